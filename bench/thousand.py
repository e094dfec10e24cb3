"""One promotion to as many endpoints as a spec may name: `python -m bench.thousand [number]`.

It is no part of `make bench`, for a thousand endpoints take many minutes and a compiler of C. All parts are the real ones, but
for what copies, builds and trains. Each endpoint has a container of its own, whose program is small enough for a thousand. It
needs the machine for itself; beside other work, 200 are enough to see what grows with their number.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

from slipway_sandbox.testing import TestImage, build_image, layer_of, member, push_image
from temporalio.client import Client

from bench.figures import line_of, told
from demo.stack import REGION
from demo.team import ROOT
from slipway.api import AppRef, Outcome, PromotionRequest, PromotionStatus, StageName, StageState
from slipway.served import TAG
from slipway.temporal.start import Handle, start_promotion
from tests.faults.ground import SAMPLE_ACCOUNT, Ground
from tests.support.waiting import state_of

MOST = 1_000
OF_A_WAVE = 50
AT_ONCE = 20
"""Targets that are rolled out at the same time: each starts a container."""
CLIENTS = 8
FORMER = "former"
LONGEST = 7_200.0
"""Seconds."""
SERVER = r"""
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    static char request[65536];
    const char *answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(8080), .sin_addr.s_addr = htonl(INADDR_ANY)};
    int on = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(server, (struct sockaddr *)&at, sizeof at) || listen(server, 64)) return 1;
    for (;;) {
        int client = accept(server, 0, 0);
        if (client < 0) continue;
        ssize_t got = 0, more;
        while ((more = read(client, request + got, sizeof request - 1 - got)) > 0) {
            got += more;
            request[got] = 0;
            char *body = strstr(request, "\r\n\r\n"), *length = strcasestr(request, "content-length:");
            if (!body) continue;
            long wanted = 0;
            for (char *digit = length ? length + 15 : ""; *digit == ' ' || (*digit >= '0' && *digit <= '9'); digit++)
                if (*digit != ' ') wanted = wanted * 10 + *digit - '0';
            if (request + got - (body + 4) >= wanted) break;
        }
        write(client, answer, strlen(answer));
        shutdown(client, SHUT_WR);
        close(client);
    }
}
"""


class Fleet:
    """An app and the endpoints that it is rolled out to.

    Args:
        ground: Where.
        number: How many endpoints.
    """

    def __init__(self, ground: Ground, number: int) -> None:
        self._ground = ground
        self.endpoints = [f"screening-{at:04}" for at in range(number)]
        self._sagemaker: Any = ground.client("sagemaker")
        self._image = push_image(ground.stack.sandbox, ground.account, "small", "v1", small_server())

    def make(self) -> PromotionRequest:
        """Let the former model serve at all of them; returns the request of the promotion."""
        self._sagemaker.create_model_package_group(ModelPackageGroupName="screening")
        former, new = self._package("former", "Approved"), self._package("new", "PendingManualApproval")
        self._sagemaker.create_model(ModelName=FORMER, Containers=[{"ModelPackageName": former}])
        variant = {"VariantName": "AllTraffic", "ModelName": FORMER, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        self._sagemaker.create_endpoint_config(EndpointConfigName=FORMER, ProductionVariants=[variant])
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(self._serve, self.endpoints))
        return self._request(new)

    def _serve(self, endpoint: str) -> None:
        self._sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=FORMER)
        while self._sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] != "InService":
            time.sleep(0.5)

    def _package(self, name: str, approval: str) -> str:
        s3, bucket = self._ground.client("s3"), self._ground.bucket
        s3.put_object(Bucket=bucket, Key=f"{name}.json", Body=json.dumps({"accuracy": {"value": 0.95}}).encode())
        statistics = {"ContentType": "application/json", "S3Uri": f"s3://{bucket}/{name}.json"}
        return self._sagemaker.create_model_package(
            ModelPackageGroupName="screening",
            InferenceSpecification={
                "Containers": [{"Image": self._image}],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            ModelApprovalStatus=approval,
            ModelMetrics={"ModelQuality": {"Statistics": statistics}},
        )["ModelPackageArn"]

    def _request(self, package: str) -> PromotionRequest:
        ground, sample = self._ground, ROOT / "pipecd"
        repository = f"{ground.account}.dkr.ecr.{REGION}.amazonaws.com/screening-pipeline"
        starts = range(0, len(self.endpoints), OF_A_WAVE)
        parts = [self.endpoints[at : at + OF_A_WAVE] for at in starts]
        waves = [{"maxConcurrency": AT_ONCE, "targets": [{"endpoint": name} for name in part]} for part in parts]
        spec = {
            "image": {"source": repository, "target": repository},
            "git": {"event": "sm-pipeline-pipecd-image-update"},
            "pipeline": {"name": "screening-training"},
            "model": {"packageGroup": "screening"},
            "gates": [{"metric": "accuracy.value", "min": 0.5}, {"metric": "accuracy.value", "maxRegression": 0.1}],
            "approval": {"mode": "auto"},
            "rollout": {"smoke": {"payload": "smoke.json"}, "waves": waves},
        }
        promotion = {"apiVersion": "slipway.dev/v1", "kind": "ModelPromotion", "metadata": {"name": "screening"}, "spec": spec}
        files = {
            name: (sample / name).read_text().replace(SAMPLE_ACCOUNT, ground.account)
            for name in ("app.pipecd.yaml", "taskdef.yaml")
        } | {"promotion.yaml": json.dumps(promotion), "smoke.json": "{}"}
        ground.remote.commit_files({f"screening/{name}": text for name, text in files.items()}, "Add the application")
        request = PromotionRequest(
            app=AppRef(repository=ground.remote.url, folder="screening"),
            image=f"{repository}@sha256:{uuid4().hex}{uuid4().hex}",
            requested_by="ci",
        )
        ground.trains(request, package)
        return request

    def unlike(self, config_of: dict[str, str]) -> list[str]:
        """The endpoints that do not serve what they should, or do not say so by their tag."""

        def look(endpoint: str) -> bool:
            found = self._sagemaker.describe_endpoint(EndpointName=endpoint)
            tags = {tag["Key"]: tag["Value"] for tag in self._sagemaker.list_tags(ResourceArn=found["EndpointArn"])["Tags"]}
            wanted = config_of.get(endpoint)
            return (found["EndpointStatus"], found["EndpointConfigName"], tags.get(TAG)) == ("InService", wanted, wanted)

        with ThreadPoolExecutor(CLIENTS) as pool:
            return [name for name, good in zip(self.endpoints, pool.map(look, self.endpoints), strict=True) if not good]


def small_server() -> TestImage:
    """An image with a program that answers every request, in less than a megabyte of memory."""
    with tempfile.TemporaryDirectory() as scratch:
        source, program = Path(scratch, "serve.c"), Path(scratch, "serve")
        source.write_text(f"#define _GNU_SOURCE\n{SERVER}")
        subprocess.run(["cc", "-Os", "-static", "-o", str(program), str(source)], check=True)
        layer = layer_of(member("usr/local/bin/serve", program.read_bytes()))
    return build_image([layer], env=["PATH=/usr/local/bin:/usr/bin:/bin"])


class CallsByMinute:
    """Counts the worker's calls of AWS, minute by minute.

    Args:
        ground: Whose account.
    """

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._counts: list[Counter[str]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> CallsByMinute:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        self._count()
        while not self._over.wait(60):
            self._count()
        self._count()

    def _count(self) -> None:
        self._counts.append(Counter(self._ground.stack.sandbox.counts(self._ground.account)))

    @property
    def most(self) -> int:
        """The most calls of a minute."""
        totals = [counts.total() for counts in self._counts]
        return max(later - earlier for earlier, later in itertools.pairwise(totals))

    @property
    def by_operation(self) -> Counter[str]:
        """All calls by their operation."""
        return self._counts[-1] - self._counts[0]


async def promote(ground: Ground, request: PromotionRequest) -> tuple[PromotionStatus, dict[str, float]]:
    """Run the promotion; returns its end, and what it took in Temporal."""
    client = await ground.connect()
    handle, _ = await start_promotion(client, request)
    begun = time.monotonic()
    ended = asyncio.ensure_future(handle.result())
    approval = begun
    pending, query = 0, 0.0
    while not ended.done():
        asked = time.monotonic()
        status = await handle.query("status", result_type=PromotionStatus)
        query = max(query, time.monotonic() - asked)
        if state_of(status, StageName.rollout) is StageState.pending:
            approval = time.monotonic()
        description = await client.get_workflow_handle(handle.id).describe()
        raw = description.raw_description
        pending = max(pending, len(raw.pending_children) + len(raw.pending_activities))
        if status.waiting_for:
            raise RuntimeError(f"it waits: {status.waiting_for.failure}")
        if time.monotonic() > begun + LONGEST:
            raise RuntimeError(f"it did not end within {LONGEST:.0f} s")
        told(f"{time.monotonic() - begun:.0f} s: {len(status.endpoints)} serve the new model; {status.notices[-1:]}")
        await asyncio.wait({ended}, timeout=10)
    seconds = {"thousand_seconds_to_rollout": approval - begun, "thousand_seconds": time.monotonic() - begun}
    return await ended, seconds | {
        "thousand_most_pending": pending,
        "thousand_longest_query_seconds": query,
        **await sizes(client, handle),
    }


async def sizes(client: Client, handle: Handle) -> dict[str, float]:
    """The largest of what Temporal bounds, in the runs of the promotion and of one rollout."""
    runs = await runs_of(client, handle)
    attributes = [event.upsert_workflow_search_attributes_event_attributes for run in runs for event in run.events]
    payloads = [size for run in runs for event in run.events for size in [event.ByteSize()]]
    return {
        "thousand_runs": len(runs),
        "thousand_most_events_of_a_run": max(len(run.events) for run in runs),
        "thousand_largest_run_bytes": max(sum(event.ByteSize() for event in run.events) for run in runs),
        "thousand_largest_event_bytes": max(payloads),
        "thousand_largest_search_attributes_bytes": max(each.ByteSize() for each in attributes),
    }


async def runs_of(client: Client, handle: Handle) -> list[Any]:
    """The histories of all runs of the promotion."""
    listed = client.list_workflows(f"WorkflowId = '{handle.id}'")
    return [await client.get_workflow_handle(handle.id, run_id=run.run_id).fetch_history() async for run in listed]


def main(number: int) -> int:
    """Measure; the exit code is 1 where an endpoint does not serve what it should."""
    with tempfile.TemporaryDirectory() as scratch, Ground(Path(scratch)) as ground:
        told(f"making {number} endpoints")
        fleet = Fleet(ground, number)
        request = fleet.make()
        told("promoting")
        with CallsByMinute(ground) as calls:
            status, figures = asyncio.run(promote(ground, request))
        if status.outcome is not Outcome.promoted:
            told(f"it ended as {status.outcome}: {status.reason}")
            return 1
        figures["thousand_targets"] = number
        figures["thousand_most_aws_calls_a_minute"] = calls.most
        figures["thousand_aws_calls_of_a_target"] = calls.by_operation.total() / number
        for name, value in figures.items():
            print(line_of(name, value), flush=True)
        told(f"calls: {calls.by_operation.most_common(12)}")
        unlike = fleet.unlike({served.endpoint: served.config for served in status.endpoints})
        told(f"not as they should be: {unlike or 'none'}")
        return 1 if unlike else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else MOST))

"""Many clients at once: nothing is lost, given twice, or answered with a 500."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess, fresh_account

CLIENTS = 64
SECONDS = 10.0
"""How long they hammer."""
DEFINITION = json.dumps(
    {"Version": "2020-12-01", "Steps": [{"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "enough"}}]}
)
CONTAINER = {"name": "c", "image": "public.example/c:1", "essential": True, "memory": 128}


@pytest.fixture(scope="module")
def own_sandbox() -> Iterator[SandboxProcess]:
    """A sandbox that nobody else uses, for it is kept busy."""
    with SandboxProcess(time_scale=60) as process:
        yield process


@dataclass
class Crowd:
    """Clients of one account, and what they were told."""

    sandbox: SandboxProcess
    account: str
    numbers: Iterator[int] = field(default_factory=itertools.count)
    told: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, service: str) -> Any:
        """The account's client of a service."""
        return self.sandbox.client(service, self.account)

    def note(self, kind: str, value: object) -> None:
        """Keep an answer."""
        with self.lock:
            self.told.setdefault(kind, []).append(str(value))

    def prepare(self) -> None:
        """Make what everybody works on."""
        self.client("ecr").create_repository(repositoryName="shared")
        self.client("sagemaker").create_model_package_group(ModelPackageGroupName="shared")
        self.client("sagemaker").create_pipeline(
            PipelineName="shared",
            PipelineDefinition=DEFINITION,
            RoleArn=f"arn:aws:iam::{self.account}:role/p",
            ClientRequestToken="c" * 32,
        )
        self.queue = self.client("sqs").create_queue(QueueName="shared")["QueueUrl"]

    def register_package(self) -> None:
        made = self.client("sagemaker").create_model_package(ModelPackageGroupName="shared")
        self.note("package", made["ModelPackageArn"])

    def register_definition(self) -> None:
        made = self.client("ecs").register_task_definition(family="shared", containerDefinitions=[CONTAINER])
        self.note("revision", made["taskDefinition"]["revision"])

    def start_execution(self) -> None:
        token = f"{next(self.numbers) // 8:032d}"
        made = self.client("sagemaker").start_pipeline_execution(PipelineName="shared", ClientRequestToken=token)
        self.note("execution", f"{token} {made['PipelineExecutionArn']}")

    def describe_pipeline(self) -> None:
        self.note("pipeline", self.client("sagemaker").describe_pipeline(PipelineName="shared")["PipelineArn"])

    def send(self) -> None:
        self.note("message", self.client("sqs").send_message(QueueUrl=self.queue, MessageBody="m")["MessageId"])

    def create_repository(self) -> None:
        name = f"own-{next(self.numbers)}"
        self.client("ecr").create_repository(repositoryName=name)
        self.note("repository", name)

    def hammer(self, seconds: float) -> None:
        """Let all clients call, one after the other each, until the time is over."""
        calls: list[Callable[[], None]] = [
            self.register_package,
            self.register_definition,
            self.start_execution,
            self.describe_pipeline,
            self.send,
            self.create_repository,
        ]
        until = time.monotonic() + seconds

        def work(number: int) -> None:
            for call in itertools.islice(itertools.cycle(calls), number, None):
                if time.monotonic() > until:
                    return
                call()

        with ThreadPoolExecutor(CLIENTS) as pool:
            for done in [pool.submit(work, number) for number in range(CLIENTS)]:
                done.result()


@pytest.fixture(scope="module")
def crowd(own_sandbox: SandboxProcess) -> Crowd:
    """An account that 64 clients have hammered on."""
    crowd = Crowd(own_sandbox, fresh_account())
    crowd.prepare()
    crowd.hammer(SECONDS)
    return crowd


pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS + 120)]


def test_given_64_clients_when_they_hammer_then_no_call_ends_in_a_500(crowd: Crowd) -> None:
    statuses = Counter(call["status"] for call in crowd.sandbox.calls(account=crowd.account))
    assert statuses.keys() == {200}
    assert sum(statuses.values()) > CLIENTS


def test_given_packages_registered_at_once_when_they_are_counted_then_each_has_a_version_of_its_own(crowd: Crowd) -> None:
    versions = sorted(int(arn.rpartition("/")[2]) for arn in crowd.told["package"])
    assert versions == list(range(1, len(versions) + 1))


def test_given_definitions_registered_at_once_when_they_are_counted_then_no_revision_is_given_twice(crowd: Crowd) -> None:
    revisions = sorted(map(int, crowd.told["revision"]))
    assert revisions == list(range(1, len(revisions) + 1))


def test_given_starts_with_the_same_token_when_they_come_at_once_then_each_token_has_one_execution(crowd: Crowd) -> None:
    pairs = {tuple(answer.split()) for answer in crowd.told["execution"]}
    tokens = {token for token, _ in pairs}
    pages = crowd.client("sagemaker").get_paginator("list_pipeline_executions").paginate(PipelineName="shared")
    listed = [each["PipelineExecutionArn"] for page in pages for each in page["PipelineExecutionSummaries"]]
    assert len(pairs) == len(tokens) == len(listed)


def test_given_repositories_made_at_once_when_they_are_listed_then_all_are_there(crowd: Crowd) -> None:
    pages = crowd.client("ecr").get_paginator("describe_repositories").paginate()
    names = {each["repositoryName"] for page in pages for each in page["repositories"]}
    assert names == {*crowd.told["repository"], "shared"}


def test_given_messages_sent_at_once_when_they_are_counted_then_none_is_lost(crowd: Crowd) -> None:
    attributes = crowd.client("sqs").get_queue_attributes(QueueUrl=crowd.queue, AttributeNames=["ApproximateNumberOfMessages"])
    assert int(attributes["Attributes"]["ApproximateNumberOfMessages"]) == len(crowd.told["message"])

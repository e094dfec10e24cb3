"""A whole promotion beside the bare script: one local AWS, the same image, turn by turn.

Each side has accounts, a deployment repository and an endpoint of its own, so that both meet the same state. The local AWS's
clock runs fast enough for its own waits to be over at once; what the containers do takes its time, on both sides.
"""

from __future__ import annotations

import asyncio
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import yaml
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from bench.bare_script import BareScript, Surroundings
from bench.figures import ratio_of_pairs, told
from bench.histories import histories, size_of
from demo.images import build_model_image, build_pipeline_image, image_layout
from demo.oci_layout import BuiltImage
from demo.stack import CI_ACCOUNT, ML_ACCOUNT, Crew, Stack, base_environment
from demo.team import FOLDER, Team
from slipway.api import AppRef, Decision, Outcome, PromotionRequest, PromotionStatus
from slipway.temporal.start import Handle, send_update, start_promotion

PAIRS = 4
BARE_CI_ACCOUNT, BARE_ML_ACCOUNT = "333333333333", "444444444444"
POLL = 0.25
"""Seconds between two looks, as the crew's worker is told."""
PATIENCE = 300.0
GIT_IDENTITY = {
    f"GIT_{role}_{name}": value
    for role in ("AUTHOR", "COMMITTER")
    for name, value in (("NAME", "Ana"), ("EMAIL", "ana@example.com"))
}


def measure(root: Path) -> dict[str, float]:
    """Seconds of both, their ratio, the calls of AWS that each made, and what a promotion with an approval leaves in history."""
    told("building the sample images")
    model, pipeline = build_model_image(root), build_pipeline_image(root)
    builds = [relabelled(pipeline, number) for number in range(PAIRS + 1)]
    with tempfile.TemporaryDirectory() as scratch, Stack(Path(scratch) / "stack") as stack:
        teams = Team(stack, CI_ACCOUNT, ML_ACCOUNT), Team(stack, BARE_CI_ACCOUNT, BARE_ML_ACCOUNT)
        for team in teams:
            told(f"pushing images to {team.ml_account}")
            team.prepare(model)
        uris = [[team.push_pipeline_image(build, f"build-{number}") for number, build in enumerate(builds)] for team in teams]
        with Crew(stack, ML_ACCOUNT):
            return asyncio.run(Contest(stack, *teams, Path(scratch)).run(*uris))


def relabelled(image: BuiltImage, number: int) -> BuiltImage:
    """The image with another digest: what is promoted a second time is already done."""
    config = json.loads(image.blob(image.config.digest).read_bytes())["config"]
    config["Labels"] = {"org.opencontainers.image.revision": str(number)}
    return image_layout().image(f"{image.name}-bench-{number}", image.layers, config, platform.machine())


class Contest:
    """Both sides.

    Args:
        stack: Where both run.
        slipway: The team that has Slipway.
        bare: The team that has a script.
        scratch: A folder for clones.
    """

    def __init__(self, stack: Stack, slipway: Team, bare: Team, scratch: Path) -> None:
        self._stack = stack
        self._slipway = slipway
        self._bare = bare
        self._scratch = scratch

    async def run(self, images: list[str], bare_images: list[str]) -> dict[str, float]:
        """A first round that warms both up and makes the endpoints, then the pairs that count."""
        client = await Client.connect(self._stack.temporal.address, data_converter=pydantic_data_converter)
        told("the first promotion, with an approval")
        history = size_of(await histories(client, await self._promote_with_approval(client, images[0])))
        self._script(bare_images[0])
        for team in (self._slipway, self._bare):
            hurry(team)
        real, bare = Side(self._stack, self._slipway), Side(self._stack, self._bare)
        for number, (image, bare_image) in enumerate(zip(images[1:], bare_images[1:], strict=True)):
            pair = [
                real.timed(lambda image=image: self._promote(client, image)),
                bare.timed(lambda image=bare_image: asyncio.to_thread(self._script, image)),
            ]
            for run in pair if number % 2 else reversed(pair):
                await run
            told(f"pair {number + 1} of {PAIRS}: promotion {real.seconds[-1]:.1f} s, bare script {bare.seconds[-1]:.1f} s")
        return {
            "promotion_seconds": statistics.median(real.seconds),
            "bare_script_seconds": statistics.median(bare.seconds),
            "promotion_to_bare_script_wall_ratio": ratio_of_pairs(real.seconds, bare.seconds),
            "promotion_aws_calls": statistics.median(real.calls),
            "bare_script_aws_calls": statistics.median(bare.calls),
            **history,
        }

    async def _promote(self, client: Client, image: str) -> Handle:
        handle = await self._start(client, image)
        async with asyncio.timeout(PATIENCE):
            require_promoted(await handle.result())
        return handle

    async def _promote_with_approval(self, client: Client, image: str) -> Handle:
        handle = await self._start(client, image)
        async with asyncio.timeout(PATIENCE):
            evidence = await evidence_of(handle)
            await send_update(handle, "approve", Decision(by="ana", evidence=evidence))
            require_promoted(await handle.result())
        return handle

    async def _start(self, client: Client, image: str) -> Handle:
        app = AppRef(repository=self._slipway.remote.url, folder=FOLDER)
        handle, _ = await start_promotion(client, PromotionRequest(app=app, image=image, requested_by="ci"))
        return handle

    def _script(self, image: str) -> None:
        around = Surroundings(
            client=self._bare.client,
            remote=self._bare.remote.url,
            folder=FOLDER,
            environment=base_environment(self._stack.folder) | GIT_IDENTITY,
            poll=POLL,
        )
        digest = image.rpartition(":")[2]
        with tempfile.TemporaryDirectory(dir=self._scratch) as scratch:
            BareScript(around, Path(scratch), image, f"bare-{digest[:40]}").run()


class Side:
    """The runs of one team.

    Args:
        stack: Where they run.
        team: Whose account's calls are counted.
    """

    def __init__(self, stack: Stack, team: Team) -> None:
        self._stack = stack
        self._team = team
        self.seconds: list[float] = []
        self.calls: list[int] = []

    async def timed(self, run: Callable[[], Awaitable[object]]) -> None:
        """One run."""
        before = self._calls()
        begun = time.perf_counter()
        await run()
        self.seconds.append(time.perf_counter() - begun)
        self.calls.append(self._calls() - before)

    def _calls(self) -> int:
        return sum(self._stack.sandbox.counts(self._team.ml_account).values())


async def evidence_of(handle: Handle) -> str:
    """Wait until the promotion asks for an approval; returns the hash of its evidence.

    Raises:
        RuntimeError: It never asked.
    """
    while True:
        status = await handle.query("status", result_type=PromotionStatus)
        if status.outcome or (status.waiting_for and status.waiting_for.failure):
            failure = status.waiting_for.failure if status.waiting_for else status.reason
            raise RuntimeError(f"the promotion {status.id} did not come to its approval: {failure}")
        if status.waiting_for:
            return status.evidence or ""
        await asyncio.sleep(POLL)


def hurry(team: Team) -> None:
    """Change the spec on the branch: nobody is asked, and the shortest of waits remain."""
    path = f"{FOLDER}/promotion.yaml"
    spec = yaml.safe_load(team.remote.read(path))
    spec["spec"]["approval"] = {"mode": "auto"}
    spec["spec"]["rollout"]["strategy"] |= {"canary": {"percent": 25, "wait": "1m"}, "bake": "1m"}
    team.remote.commit_files({path: yaml.safe_dump(spec)}, "Let the gates approve")


def require_promoted(status: PromotionStatus) -> None:
    """Lets a promotion pass that ended well.

    Raises:
        RuntimeError: It did not; nothing that it took is a figure then.
    """
    if status.outcome is not Outcome.promoted:
        raise RuntimeError(f"the promotion {status.id} ended {status.outcome}: {status.reason}")

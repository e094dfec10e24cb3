"""The GitHub action: its steps' shell as a runner runs it, in the checkout of another repository."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.stack import BINARIES
from demo.temporal import TemporalServer
from slipway.api import PromotionRequest
from tests.support.world import World, approval, request

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())


@dataclass(frozen=True)
class Ran:
    """A step that has ended."""

    code: int
    log: str
    outputs: dict[str, str]
    summary: str


class Runner:
    """A job of GitHub Actions: its own folders, and the command where the install step puts it."""

    def __init__(self, temporal: TemporalServer, world: World, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.checkout.mkdir()
        (folder / "slipway").mkdir()
        (folder / "slipway" / "bin").symlink_to(BINARIES)
        self._folder = folder
        self._inputs = {
            "temporal-address": temporal.address,
            "temporal-ui-url": "https://temporal.example.org/",
            "task-queue": world.task_queue,
        }

    async def start(self, asked: PromotionRequest, **inputs: str) -> Ran:
        """Run the step that starts a promotion."""
        values = {name: str(each.get("default", "")) for name, each in ACTION["inputs"].items()}
        values |= {"repository": asked.app.repository, "folder": asked.app.folder, "image": asked.image}
        values |= {
            "commit": asked.commit,
            "commit-author": asked.commit_author,
            "requested-by": asked.requested_by,
            **self._inputs,
            **inputs,
        }
        step = step_named("start")
        outputs, summary = self._folder / "outputs", self._folder / "summary"
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "RUNNER_TEMP": str(self._folder),
            "GITHUB_OUTPUT": str(outputs),
            "GITHUB_STEP_SUMMARY": str(summary),
            **{name: input_of(value, values) for name, value in step["env"].items()},
        }
        command = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"])
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            cwd=self.checkout,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        log, _ = await process.communicate()
        lines = outputs.read_text().splitlines() if outputs.exists() else []
        said = summary.read_text() if summary.exists() else ""
        return Ran(process.returncode or 0, log.decode(), dict(line.split("=", 1) for line in lines), said)


def step_named(name: str) -> dict[str, Any]:
    return next(step for step in ACTION["runs"]["steps"] if step.get("id") == name)


def input_of(expression: str, values: dict[str, str]) -> str:
    """What GitHub puts in for `${{ inputs.<name> }}`."""
    return values[expression.removeprefix("${{ inputs.").removesuffix(" }}")]


@pytest.fixture
def runner(temporal: TemporalServer, world: World, tmp_path: Path) -> Runner:
    return Runner(temporal, world, tmp_path)


async def test_given_gates_that_decide_alone_when_it_waits_then_the_outcome_is_an_output(runner: Runner, world: World) -> None:
    world.set_approval(approval(mode="auto"))
    asked = request()
    ran = await runner.start(asked, wait="true")
    assert ran.code == 0, ran.log
    url = f"https://temporal.example.org/namespaces/default/workflows/{asked.promotion_id}"
    assert ran.outputs == {"id": asked.promotion_id, "outcome": "promoted", "url": url}
    assert ran.summary.splitlines()[0] == f"### Promotion [{asked.promotion_id}]({url}): promoted"
    assert "✓ rollout done" in ran.log


async def test_given_a_step_then_the_runner_takes_nothing_that_is_shown_for_its_command(runner: Runner) -> None:
    shown = (await runner.start(request(), image="none")).log.splitlines()
    command, _, token = shown[0].rpartition("::")
    assert (command, len(token)) == ("::stop-commands", 32)
    assert shown[-1] == f"::{token}::"
    assert len(shown) > 2


async def test_given_a_gate_that_is_not_met_when_it_waits_then_the_step_fails(runner: Runner, world: World) -> None:
    world.accuracy = 0.5
    ran = await runner.start(request(), wait="true")
    assert (ran.code, ran.outputs["outcome"]) == (3, "refused")
    assert ran.summary.splitlines()[0].endswith(": refused")


async def test_given_a_promotion_that_asks_people_when_it_does_not_wait_then_it_is_under_way(runner: Runner) -> None:
    ran = await runner.start(request(), **{"temporal-ui-url": ""})
    assert ran.code == 0, ran.log
    assert (ran.outputs["outcome"], ran.outputs["url"]) == ("", "")
    assert ran.summary.splitlines()[0] == f"### Promotion {ran.outputs['id']}: under way"


async def test_given_an_image_that_is_none_then_the_step_fails_and_says_why(runner: Runner) -> None:
    ran = await runner.start(request(), image="$(touch stolen)")
    assert (ran.code, ran.outputs) == (2, {})
    assert "reading --image" in ran.log
    assert not list(runner.checkout.iterdir())


@pytest.mark.parametrize(("would_go", "code"), [(True, 0), (False, 2)])
async def test_given_a_plan_when_it_is_asked_for_then_it_is_in_the_summary_and_nothing_is_started(
    runner: Runner, world: World, would_go: bool, code: int
) -> None:
    world.plan = world.plan.model_copy(update={"would_go": would_go})
    ran = await runner.start(request(), plan="true", ref="refs/pull/12/merge")
    assert ran.code == code, ran.log
    assert "`refs/pull/12/merge`" in ran.summary
    assert ran.outputs["plan-file"].endswith("/slipway-plan.md")
    assert world.names == ["plan_promotion"]


def test_given_the_action_then_each_output_and_input_is_described() -> None:
    described = [*ACTION["inputs"].values(), *ACTION["outputs"].values()]
    assert all(each["description"] for each in described)

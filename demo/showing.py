"""One showing of the demo: brings the parts up, lets CI push and start, and shows how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.markup import escape

from demo.images import BAD_ACCURACY, BAD_COLUMNS, build_model_image, build_pipeline_image
from demo.keeping import exports, until_interrupted
from demo.piped import Piped
from demo.screen import Screen
from demo.signing import Signer, why_claimed
from demo.stack import BINARIES, Crew, Stack
from demo.story import EXPECTED, OPERATOR, Story, result_of, with_traffic
from demo.team import ROOT, Team
from slipway.api import Outcome, PromotionStatus

LAUNCHERS = ("slipway", "pipecd")
"""Who may run the task, by the words of `spec.task.launcher`."""
SETTINGS_OF = {"accuracy": BAD_ACCURACY, "rollout": BAD_COLUMNS}
"""What a developer changed in `pipeline/settings.json` for each bad model."""


def run(parts: contextlib.ExitStack, folder: Path, screen: Screen, bad: str, launcher: str) -> int:
    """Bring the parts up, make what the team has, push its images as CI does, and tell their story."""
    screen.title("A local AWS, Temporal, git and a worker")
    with screen.step("images") as notes:
        model = build_model_image(ROOT)
        good = build_pipeline_image(ROOT)
        built = [build_pipeline_image(ROOT, SETTINGS_OF[bad], f"pipeline-bad-{bad}") if bad in SETTINGS_OF else good]
        if bad == "rollout":
            built.insert(0, good)
        notes += [f"pipeline {built[-1].size / 1e6:.0f} MB", f"model {model.size / 1e6:.0f} MB"]
    with screen.step("servers") as notes:
        stack = parts.enter_context(Stack(folder))
        notes += [f"AWS {stack.sandbox.endpoint}", f"Temporal UI {stack.temporal.ui}"]
    team = Team(stack)
    with screen.step("accounts") as notes:
        team.prepare(model)
        images = [team.push_pipeline_image(image, f"build-{number}") for number, image in enumerate(built, 1)]
        notes += [f"CI {team.ci_account}", f"ML {team.ml_account}", f"deployment branch at {team.remote.head()[:8]}"]
    piped = parts.enter_context(begin_deploying(team, screen)) if launcher == "pipecd" else None
    signer = enrol(stack, team, screen)
    with screen.step("worker"):
        crew = parts.enter_context(Crew(stack, team.ml_account, policy=signer.policy if signer else None))
    show_ways_in(stack, crew, screen, signer)
    asks = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("DEMO_APPROVE") != "1"
    story = Story(stack, crew, team, screen, signer, asks=asks)
    return asyncio.run(tell(stack, team, screen, story, bad, images, piped))


def begin_deploying(team: Team, screen: Screen) -> Piped:
    """A piped that deploys the team's application from now on, and runs its task."""
    with screen.step("piped") as notes:
        team.leave_task_to_piped()
        notes += ["a stand-in of PipeCD's piped deploys what is pushed, and runs the task", "task.launcher is pipecd"]
    return Piped(team)


def enrol(stack: Stack, team: Team, screen: Screen) -> Signer | None:
    """The operator with a key of her own; none where decisions are claimed."""
    if why := why_claimed():
        screen.say(f"[yellow]{why}[/]")
        return None
    signer = Signer(OPERATOR, stack.folder / "keys")
    with screen.step("approver") as notes:
        signer.enrol(team)
        notes += [f"{signer.name} signs with {signer.fingerprint}", "the worker's policy takes signed decisions only"]
    return signer


def is_kept() -> bool:
    """Whether everything stays up after the end."""
    return os.environ.get("KEEP") == "1"


def show_ways_in(stack: Stack, crew: Crew, screen: Screen, signer: Signer | None) -> None:
    """Write what another terminal needs to `env.sh`, and show it where there will be time to use it."""
    signing = signer.environment if signer else {}
    text = exports(stack.environment(crew.account, crew.namespace) | signing, BINARIES)
    file = stack.folder / "env.sh"
    file.write_text(text)
    if not is_kept():
        return
    screen.title("For another terminal")
    screen.console.print(escape(text.rstrip()))
    screen.say(f"[dim]or:[/] . {file}")
    screen.say("[dim]then, for example:[/] slipway list")
    if signer:
        screen.say(f"[dim]decisions there are signed by {signer.name}:[/] slipway approve <id>")
    screen.say(f"the local AWS shows what it holds at {stack.sandbox.endpoint}/_sandbox/")


async def tell(
    stack: Stack, team: Team, screen: Screen, story: Story, bad: str, images: Sequence[str], piped: Piped | None
) -> int:
    """Tell the story of the images that CI pushed, the last of which it is about, and write down how it ended."""
    for champion in images[:-1]:
        screen.title("First a good model, which will be the champion")
        await story.promote(champion, "0" * 40)
    screen.title("CI pushed a new pipeline image and starts a promotion")
    status = await promote(team, story, screen, images[-1], bad, piped)
    answer = await asyncio.to_thread(show_end, stack, team, screen, status)
    await story.verify(status)
    result = result_of(status, answer, stack.sandbox.counts())
    (stack.folder / "result.json").write_text(json.dumps(result, indent=2, default=str) + "\n")
    if is_kept():
        screen.say(f"everything stays up until Ctrl-C; for another terminal: . {stack.folder / 'env.sh'}")
    else:
        screen.say("[dim]these addresses are stopped now; make demo KEEP=1 leaves them up[/]")
    say_last = partial(screen.console.print, last_line(status))
    if is_kept():
        await until_interrupted(say_last)
    else:
        say_last()
    expected = Outcome.rejected if story.said_no else EXPECTED[bad]
    return 0 if story.decided_elsewhere or status.outcome == expected else 1


async def promote(team: Team, story: Story, screen: Screen, uri: str, bad: str, piped: Piped | None) -> PromotionStatus:
    """The promotion that the demo is about."""
    if bad == "task":
        team.remove_data()
        screen.say("[dim]the training data is gone: a lifecycle rule was wrong[/]")

        def fix() -> None:
            team.upload_data()
            screen.say("the operator uploads the data again")
            if piped:
                piped.sync()
                screen.say("and syncs the application in PipeCD, so that piped runs the task once more")

        return await story.promote(uri, "1" * 40, fix)
    if bad == "rollout":
        status, answered, failed = await with_traffic(team, story.promote(uri, "1" * 40))
        screen.say(f"meanwhile the endpoint's clients had {answered} answers and {failed} error{'s'[: failed != 1]}")
        return status
    return await story.promote(uri, "1" * 40)


def show_end(stack: Stack, team: Team, screen: Screen, status: PromotionStatus) -> str | None:
    """Show how it ended, and what the endpoint answers now."""
    screen.summary(status)
    screen.title(f"How it ended: {status.outcome}")
    if status.reason:
        screen.say(status.reason)
    for entry in status.ledger if status.outcome is not Outcome.promoted else ():
        screen.say(f"{entry.inverse}: {entry.state}{f' ({entry.note})' if entry.note else ''}")
    screen.say(f"Temporal UI  {stack.temporal.ui}/namespaces/default/workflows/{status.id}")
    if not status.endpoints and status.outcome is not Outcome.rolled_back:
        return None
    started = time.monotonic()
    answer = team.invoke()
    screen.say(f"endpoint     {stack.sandbox.endpoint}/endpoints/{team.endpoint}/invocations")
    screen.say(f"answer       {answer['body'].strip()} [dim]in {(time.monotonic() - started) * 1000:.0f} ms[/]")
    return str(answer["body"])


def last_line(status: PromotionStatus) -> str:
    """The line that scripts read."""
    return f"promotion {status.id}: {status.outcome}"

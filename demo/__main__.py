"""`make demo`: one promotion of the sample application, from CI event to answered inference request.

Environment:
    KEEP: 1 leaves everything up until Ctrl-C.
    BAD: `accuracy`, `task` or `rollout` shows a bad promotion and its kind ending.
    DEMO_APPROVE: 1 lets the sample's operator approve, also at a terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Generator, Sequence
from pathlib import Path

from slipway_sandbox.testing import SandboxStartError

from demo.images import BAD_ACCURACY, BAD_COLUMNS, ImageBuildError, build_model_image, build_pipeline_image
from demo.processes import StartError
from demo.screen import Screen
from demo.stack import Crew, Stack
from demo.story import EXPECTED, Story, StoryError, result_of, with_traffic
from demo.team import ROOT, Team
from slipway.messages import Outcome, PromotionStatus

SETTINGS_OF = {"accuracy": BAD_ACCURACY, "rollout": BAD_COLUMNS}
"""What a developer changed in `pipeline/settings.json` for each bad model."""


def main() -> int:
    """Run the demo; the exit code is 0 when the ending is the expected one."""
    screen = Screen()
    bad = os.environ.get("BAD", "")
    if bad not in EXPECTED:
        screen.say(f"BAD={bad} is not known; it is one of: {', '.join(name for name in EXPECTED if name)}")
        return 2
    # SIGTERM ends the demo as Ctrl-C does: every child first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = ROOT / "build" / "demo"
    try:
        with contextlib.ExitStack() as parts:
            parts.enter_context(alone_in(folder))
            clear(folder)
            return run(parts, folder, screen, bad)
    except (ImageBuildError, StartError, SandboxStartError, StoryError, OSError) as error:
        screen.console.print(f"[red]the demo stopped:[/] {error}", markup=True)
        screen.say(f"logs are in {folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder}")
        return 1
    except KeyboardInterrupt:
        screen.say("interrupted; everything is stopped")
        return 130


def run(parts: contextlib.ExitStack, folder: Path, screen: Screen, bad: str) -> int:
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
    with screen.step("worker"):
        crew = parts.enter_context(Crew(stack, team.ml_account))
    asks = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("DEMO_APPROVE") != "1"
    story = Story(stack, crew, team, screen, asks=asks)
    return asyncio.run(tell(stack, team, screen, story, bad, images))


async def tell(stack: Stack, team: Team, screen: Screen, story: Story, bad: str, images: Sequence[str]) -> int:
    """Tell the story of the images that CI pushed, the last of which it is about, and write down how it ended."""
    for champion in images[:-1]:
        screen.title("First a good model, which will be the champion")
        await story.promote(champion, "0" * 40)
    screen.title("CI pushed a new pipeline image and starts a promotion")
    status = await promote(team, story, screen, images[-1], bad)
    answer = await asyncio.to_thread(show_end, stack, team, screen, status)
    result = result_of(status, answer, stack.sandbox.counts())
    (stack.folder / "result.json").write_text(json.dumps(result, indent=2, default=str) + "\n")
    if os.environ.get("KEEP") == "1":
        screen.say("everything stays up until Ctrl-C")
        print(last_line(status), flush=True)
        await asyncio.Event().wait()
    print(last_line(status), flush=True)
    return 0 if status.outcome == EXPECTED[bad] else 1


@contextlib.contextmanager
def alone_in(folder: Path) -> Generator[None]:
    """Keep a second demo out of the folder while this one runs; the lock ends with the process, however that ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StartError("another demo runs in this checkout: end it, or wait until it has ended") from error
        yield


def clear(folder: Path) -> None:
    """Forget the last demo; only the unpacked images stay, which go by their digests."""
    for path in folder.glob("*"):
        if path.name != "aws":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


async def promote(team: Team, story: Story, screen: Screen, uri: str, bad: str) -> PromotionStatus:
    """The promotion that the demo is about."""
    if bad == "task":
        team.remove_data()
        screen.say("[dim]the training data is gone: a lifecycle rule was wrong[/]")

        def mend() -> None:
            team.upload_data()
            screen.say("the operator uploads the data again")

        return await story.promote(uri, "1" * 40, mend)
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


if __name__ == "__main__":
    sys.exit(main())

"""`make pictures`: the READMEs' pictures, from real runs: the terminal as SVG, the Temporal UI and the local AWS's page as PNG.

Needs Chromium (Debian's package `chromium`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from slipway_sandbox.testing import SandboxProcess

from demo.images import build_model_image, build_pipeline_image
from demo.processes import StartError
from demo.remote import BRANCH
from demo.screen import Screen
from demo.showing import run
from demo.stack import ML_ACCOUNT, REGION, Crew, Stack
from demo.team import FOLDER, ROOT, Team
from sandbox.testkit.scene import Scene

PICTURES = ROOT / "docs" / "images"
PICTURE_OF_THE_PAGE = ROOT / "sandbox" / "docs" / "page.png"
COLUMNS = 150
COMMIT = "1" * 40
PATIENCE = 120
"""Seconds that a promotion has until it asks for its approval."""


def main() -> int:
    """Make all pictures."""
    browser = shutil.which("chromium")
    if browser is None:
        print("no Chromium is installed: install it (Debian: apt-get install chromium), and run this again")
        return 1
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        picture_of_the_page(browser)
        picture_of_the_ui(Path(folder) / "ui", browser)
        picture_of_the_terminal(Path(folder) / "terminal")
    return 0


def picture_of_the_page(browser: str) -> None:
    """The local AWS's page: an endpoint in the midst of a canary, and a pipeline that trains."""
    with SandboxProcess(time_scale=60) as sandbox:
        scene = Scene(sandbox, ML_ACCOUNT)
        scene.play()
        scene.shift_traffic()
        # The canary stays where it is.
        sandbox.set_time_scale(1)
        with opened(browser, f"{sandbox.endpoint}/_sandbox/?account={ML_ACCOUNT}&region={REGION}", height=1330) as page:
            page.locator("#pipelines .dag").first.wait_for()
            page.screenshot(path=PICTURE_OF_THE_PAGE)


def picture_of_the_ui(folder: Path, browser: str) -> None:
    """A promotion that waits for its approval, as the Temporal UI shows it."""
    with Stack(folder) as stack:
        team = Team(stack)
        team.prepare(build_model_image(ROOT))
        image = team.push_pipeline_image(build_pipeline_image(ROOT), "v1")
        with Crew(stack, team.ml_account) as crew:
            address = f"{stack.temporal.ui}/namespaces/{crew.namespace}/workflows/{waiting_promotion(crew, team, image)}"
            with opened(browser, address, width=1440, height=1120) as page:
                photograph(page)


def waiting_promotion(crew: Crew, team: Team, image: str) -> str:
    """Start a promotion, and wait until it asks people; returns its id."""
    arguments = ["--repository", team.remote.url, "--branch", BRANCH, "--folder", FOLDER, "--image", image]
    started = crew.slipway("start", *arguments, "--commit", COMMIT, "--requested-by", "ci", "--json")
    promotion = str(json.loads(started.stdout)["id"])
    deadline = time.monotonic() + PATIENCE
    while not json.loads(crew.slipway("status", promotion, "--json").stdout)["waiting_for"]:
        if time.monotonic() > deadline:
            raise StartError(f"timeout after {PATIENCE} s waiting for {promotion} to ask for its approval")
        time.sleep(1)
    return promotion


@contextlib.contextmanager
def opened(browser: str, address: str, *, width: int = 1280, height: int) -> Generator[Page]:
    """A page in a window of that size."""
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=options)
        page = chromium.new_page(viewport={"width": width, "height": height})
        page.goto(address)
        yield page
        chromium.close()


def photograph(page: Page) -> None:
    """The promotion's timeline, and its current details."""
    page.get_by_text("gather the evidence").wait_for()
    page.screenshot(path=PICTURES / "temporal-ui.png")
    page.get_by_text("User Metadata").first.click()
    page.get_by_text("Current Details").wait_for()
    page.wait_for_timeout(2_000)
    page.screenshot(path=PICTURES / "temporal-ui-details.png")


def picture_of_the_terminal(folder: Path) -> None:
    """The whole demo, as a terminal shows it."""
    os.environ["DEMO_APPROVE"] = "1"
    console = Console(record=True, width=COLUMNS, force_terminal=True, highlight=False)
    with contextlib.ExitStack() as parts:
        run(parts, folder, Screen(console), "", "slipway")
    console.save_svg(str(PICTURES / "demo.svg"), title="make demo", clear=False)


if __name__ == "__main__":
    sys.exit(main())

"""`make pictures`: the README's pictures, from real runs: the terminal as SVG, the Temporal UI as PNG.

Needs Chromium (Debian's package `chromium`); uv brings playwright for the occasion.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich.console import Console

from demo.images import build_model_image, build_pipeline_image
from demo.processes import StartError
from demo.remote import BRANCH
from demo.screen import Screen
from demo.showing import run
from demo.stack import Crew, Stack
from demo.team import FOLDER, ROOT, Team

PICTURES = ROOT / "docs" / "images"
COLUMNS = 150
COMMIT = "1" * 40
PATIENCE = 120
"""Seconds that a promotion has until it asks for its approval."""


def main() -> int:
    """Make both pictures."""
    browser = shutil.which("chromium")
    if browser is None:
        print("no Chromium is installed: install it (Debian: apt-get install chromium), and run this again")
        return 1
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        picture_of_the_ui(Path(folder) / "ui", browser)
        picture_of_the_terminal(Path(folder) / "terminal")
    return 0


def picture_of_the_ui(folder: Path, browser: str) -> None:
    """A promotion that waits for its approval, as the Temporal UI shows it."""
    with Stack(folder) as stack:
        team = Team(stack)
        team.prepare(build_model_image(ROOT))
        image = team.push_pipeline_image(build_pipeline_image(ROOT), "v1")
        with Crew(stack, team.ml_account) as crew:
            page = f"{stack.temporal.ui}/namespaces/{crew.namespace}/workflows/{waiting_promotion(crew, team, image)}"
            photograph(browser, page)


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


def photograph(browser: str, page: str) -> None:
    """The promotion's timeline, and its current details."""
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=options)
        tab = chromium.new_page(viewport={"width": 1440, "height": 1120})
        tab.goto(page)
        tab.get_by_text("gather the evidence").wait_for()
        tab.screenshot(path=PICTURES / "temporal-ui.png")
        tab.get_by_text("User Metadata").first.click()
        tab.get_by_text("Current Details").wait_for()
        tab.wait_for_timeout(2_000)
        tab.screenshot(path=PICTURES / "temporal-ui-details.png")
        chromium.close()


def picture_of_the_terminal(folder: Path) -> None:
    """The whole demo, as a terminal shows it."""
    os.environ["DEMO_APPROVE"] = "1"
    console = Console(record=True, width=COLUMNS, force_terminal=True, highlight=False)
    with contextlib.ExitStack() as parts:
        run(parts, folder, Screen(console), "")
    console.save_svg(str(PICTURES / "demo.svg"), title="make demo", clear=False)


if __name__ == "__main__":
    sys.exit(main())

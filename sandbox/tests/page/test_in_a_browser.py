"""What only a browser can tell: how the page keeps itself current, and whether people reach everything."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright
from slipway_sandbox.testing import SandboxProcess, fresh_account

from sandbox.testkit.ecs import TaskDesk
from sandbox.testkit.scene import ALARM, ENDPOINT, Scene

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WAIT_MS = 30_000
NARROW, WIDE = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
LONG = "x" * 60

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"),
    pytest.mark.timeout(180),
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser."""
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        except Error as error:
            pytest.skip(f"Chromium does not start here: {str(error)[-200:]}")
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A window."""
    window = chromium.new_page(viewport=WIDE)  # pyright: ignore[reportArgumentType]
    window.set_default_timeout(WAIT_MS)
    yield window
    window.close()


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """An account in the midst of its work, in which the time then stands still."""
    with SandboxProcess(time_scale=60) as sandbox:
        scene = Scene(sandbox, fresh_account())
        scene.play()
        scene.shift_traffic()
        sandbox.set_time_scale(0)
        yield scene


def open_page(page: Page, sandbox: SandboxProcess, account: str) -> None:
    page.goto(f"{sandbox.endpoint}/_sandbox/?account={account}&region=us-east-1")


def focused(page: Page) -> dict[str, Any]:
    """What has the focus: its text, whether one sees that, and whether nothing lies over it."""
    return page.evaluate(
        """() => {
          const element = document.activeElement;
          const box = element.getBoundingClientRect();
          const top = document.elementFromPoint(box.x + Math.min(box.width, 40) / 2, box.y + Math.min(box.height, 20) / 2);
          return {
            tag: element.localName, id: element.id, text: element.textContent.trim().slice(0, 40),
            seen: getComputedStyle(element).outlineStyle !== "none",
            free: element === document.body || element.contains(top) || (top !== null && top.contains(element)),
          };
        }"""
    )


@pytest.mark.parametrize(("scheme", "size"), [("light", WIDE), ("dark", NARROW)], ids=["light", "dark and narrow"])
def test_given_something_of_everything_when_axe_looks_at_the_page_then_it_finds_nothing(
    chromium: Browser, scene: Scene, scheme: Any, size: Any
) -> None:
    page = chromium.new_page(viewport=size, color_scheme=scheme)
    open_page(page, scene.sandbox, scene.account)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    expect(page.locator("#tasks details.log pre").first).to_contain_text("compiling")

    found = Axe().run(page)  # pyright: ignore[reportUnknownMemberType]  (its options are untyped dicts)

    assert found.violations_count == 0, found.generate_report()
    page.close()


def test_given_a_canary_when_the_page_is_opened_then_it_shows_how_the_traffic_is_split(page: Page, scene: Scene) -> None:
    open_page(page, scene.sandbox, scene.account)
    line = page.locator("#endpoints details.item").first

    expect(line.locator("summary").first).to_contain_text("25 % on screening-v7")
    expect(line.locator(".traffic")).to_contain_text("screening-v6 75 %")
    bars = line.locator(".traffic rect")
    widths = [bars.nth(number).bounding_box() for number in range(2)]
    assert widths[0]
    assert widths[1]
    assert widths[0]["width"] == pytest.approx(3 * widths[1]["width"], rel=0.02)


def test_given_a_task_and_an_execution_that_failed_when_each_is_unfolded_then_its_reason_and_its_log_are_there(
    page: Page, scene: Scene
) -> None:
    open_page(page, scene.sandbox, scene.account)
    expect(page.locator("nav")).to_contain_text("1 failed")

    page.locator("#tasks summary", has_text="exit 2").click()
    expect(page.locator("#tasks details.item[open] pre:visible")).to_contain_text("KeyError: MODEL_IMAGE is not set")

    page.locator("#pipelines summary", has_text="candidate-5").click()
    run = page.locator("#pipelines details.item[open]", has_text="candidate-5")
    expect(run).to_contain_text("AlgorithmError: the data is incomplete: age")
    expect(run.locator("pre:visible")).to_contain_text("column age has 14 empty cells")


def test_given_a_task_that_is_open_on_the_page_when_it_fails_then_its_log_is_there(
    sandbox: SandboxProcess, account: str, page: Page
) -> None:
    desk = TaskDesk(sandbox, account)
    task = desk.start(
        desk.register(desk.container("echo waiting; trap 'echo told to end; exit 2' TERM; while :; do sleep 1; done"))
    )
    desk.until_line(task, "waiting")
    open_page(page, sandbox, account)
    page.locator("#tasks summary", has_text="RUNNING").click()

    sandbox.control("POST", "ecs/interrupt", {"task": task, "kind": "TerminationNotice"})

    expect(page.locator("#tasks details.item[open] pre:visible")).to_contain_text("told to end")


def test_given_an_alarm_when_it_is_set_on_the_page_then_the_page_and_cloudwatch_have_it(page: Page, scene: Scene) -> None:
    open_page(page, scene.sandbox, scene.account)
    page.locator("#alarms summary").click()
    page.get_by_role("group", name=f"Set the state of {ALARM}").get_by_role("button", name="INSUFFICIENT_DATA").press("Enter")

    expect(page.locator("#said")).to_contain_text("Done.")
    expect(page.locator("#alarms summary")).to_contain_text("INSUFFICIENT_DATA")
    assert scene.hosted.cloudwatch.describe_alarms(AlarmNames=[ALARM])["MetricAlarms"][0]["StateValue"] == "INSUFFICIENT_DATA"
    expect(page.locator("#endpoints")).to_contain_text(ENDPOINT)


def test_given_no_mouse_when_one_goes_from_stop_to_stop_then_each_is_seen_and_all_that_can_be_done_is_among_them(
    sandbox: SandboxProcess, account: str, page: Page
) -> None:
    sandbox.client("ecr", account).create_repository(repositoryName="app")
    sandbox.plant_fault("ecr", "PutImage", "throttle", account=account)
    open_page(page, sandbox, account)
    expect(page.locator("nav")).to_contain_text("Faults 1")
    stops = page.locator("a:visible, button:visible, select:visible, summary:visible, [tabindex='0']:visible").count()
    seen: list[dict[str, Any]] = []
    for _ in range(stops):
        page.keyboard.press("Tab")
        seen.append(focused(page))

    assert seen[0]["text"] == "Skip to content"
    assert [stop for stop in seen if stop["tag"] == "body" or not stop["seen"] or not stop["free"]] == []
    texts = [stop["text"] for stop in seen]
    assert len({(stop["id"], stop["text"]) for stop in seen}) >= stops - 2, texts
    for wanted in ("Endpoints 0", "Remove", "Plant a fault", "Clock"):
        assert wanted in texts

    page.locator("#dials button", has_text="Remove").focus()
    page.keyboard.press("Enter")
    expect(page.locator("nav")).to_contain_text("Faults 0")


def test_given_a_page_in_use_when_it_refreshes_itself_then_focus_and_what_is_open_and_typed_stay(
    sandbox: SandboxProcess, account: str, page: Page
) -> None:
    ecr = sandbox.client("ecr", account)
    ecr.create_repository(repositoryName="first")
    open_page(page, sandbox, account)
    page.locator("#dials summary", has_text="Plant a fault").click()
    page.get_by_label("Operation").fill("PutIm")
    opened = page.locator("#repositories summary", has_text="first")
    opened.focus()
    page.keyboard.press("Enter")

    ecr.create_repository(repositoryName="second")
    expect(page.locator("nav")).to_contain_text("Repositories 2")

    expect(opened).to_be_focused()
    expect(page.locator("#repositories details.item[open]")).to_have_count(1)
    expect(page.get_by_label("Operation")).to_have_value("PutIm")


def test_given_an_open_page_when_the_sandbox_goes_and_comes_back_then_it_says_so_and_goes_on(account: str, page: Page) -> None:
    sandbox = SandboxProcess()
    with sandbox:
        open_page(page, sandbox, account)
        expect(page.locator("#endpoints")).to_be_visible()
        port = int(sandbox.endpoint.rpartition(":")[2])
        expect(page.locator("#gone")).to_be_hidden()
    expect(page.get_by_role("alert")).to_contain_text("The sandbox does not answer")

    with SandboxProcess(port=port) as again:
        expect(page.locator("#gone")).to_be_hidden()
        again.client("ecr", account).create_repository(repositoryName="new")
        expect(page.locator("#repositories")).to_contain_text("new")


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
def test_given_long_names_when_they_are_shown_then_nothing_leaves_the_window(
    sandbox: SandboxProcess, account: str, chromium: Browser, size: Any
) -> None:
    sandbox.client("ecr", account).create_repository(repositoryName=f"team/{LONG * 3}")
    sandbox.client("sagemaker", account).create_model_package_group(ModelPackageGroupName=LONG)
    metric: dict[str, Any] = {"Namespace": LONG, "MetricName": LONG, "ComparisonOperator": "GreaterThanThreshold"}
    periods: dict[str, Any] = {"Period": 60, "EvaluationPeriods": 1, "Threshold": 1, "Statistic": "Sum"}
    sandbox.client("cloudwatch", account).put_metric_alarm(AlarmName=LONG * 4, **metric, **periods)
    page = chromium.new_page(viewport=size)
    open_page(page, sandbox, account)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")

    wide = page.evaluate("document.documentElement.scrollWidth")

    assert wide <= size["width"]
    page.close()

"""The page that people decide on, where strangers wrote parts of it."""

from __future__ import annotations

import re

import pytest

from tests.support.states import status_of
from workflows.activity_options import READ, shown
from workflows.details import on_timeline, render

FORGED = "# Approved by ana, bo"
ATTACKS = {
    "heading": f"eve\n\n{FORGED}\n",
    "fence": f"```\n\n{FORGED}\n",
    "longer fence": f"`````\n\n{FORGED}\n",
    "HTML": "<h1>Approved by ana, bo</h1>",
    "image": "![x](http://evil/beacon)",
    "link": "[Approve](http://evil)",
    "list": f"eve\r- {FORGED}\u2028{FORGED}",
}


def outside_fences(page: str) -> list[str]:
    """The lines that are read as Markdown."""
    lines: list[str] = []
    fence = ""
    for line in page.splitlines():
        marks = line[: len(line) - len(line.lstrip("`"))]
        if not fence and len(marks) >= 3:
            fence = marks
        elif fence and line.startswith(fence) and not line.strip("`"):
            fence = ""
        elif not fence:
            lines.append(line)
    assert not fence, "a fence is not closed"
    return lines


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_given_markdown_by_a_stranger_when_the_page_is_drawn_then_nothing_of_it_has_an_effect(attack: str) -> None:
    lines = outside_fences(render(status_of(attack)))
    headings = [line for line in lines if line.lstrip(" -").startswith("#")]
    assert [heading.partition("Waiting for")[0] for heading in headings] == ["### "]
    without_code = re.sub(r"(?<![\\`])(`+)(?!`).*?(?<!`)\1(?!`)", "", "\n".join(lines))
    with_effect = re.sub(r"\\.", "", without_code)
    assert not set("<[]>") & set(with_effect)


def test_given_a_log_when_a_stage_is_parked_then_its_lines_are_in_a_fence() -> None:
    page = render(status_of("exited 1"))
    assert "- answered: exited 1\n- do: exited 1\n\n```\nexited 1\n```" in page


def test_given_lines_by_a_stranger_when_a_timer_is_shown_then_it_has_one_line() -> None:
    waiting = status_of("eve\n# Approved\x1b[2J").waiting_for
    assert waiting
    assert on_timeline(waiting).isprintable()


def test_given_a_long_summary_when_an_activity_is_shown_then_it_is_one_line_that_temporal_takes() -> None:
    summary = shown(READ, "watch\n" + "ö" * 1_000).get("summary") or ""
    assert summary.startswith("watch ö")
    assert summary.isprintable()
    assert len(summary.encode()) == 400

"""The documentation: generated pages are current, and the site is whole and needs no network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts import docs

LOADED = re.compile(
    r"""<(?:script|img|iframe)[^>]*\ssrc=["']?(https?:)?//|<link[^>]*rel=["']?(?:stylesheet|preconnect)[^>]*(https?:)//"""
)


def test_given_the_command_when_its_reference_page_is_compared_then_it_is_not_stale() -> None:
    assert docs.COMMANDS_FILE.read_text() == docs.commands(), "run `make docs`"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    docs.gather(folder / "pages")
    assert docs.build(folder / "pages", folder / "site") == 0, "a link is broken, or a page is missing: see above"
    return folder / "site"


def test_given_the_site_when_a_browser_opens_a_page_then_it_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 10
    assert not [page for page in pages if LOADED.search(page.read_text())]


def test_given_the_site_then_each_page_of_the_plan_is_there(site: Path) -> None:
    named = ("tutorial", "spec", "cli", "operations", "security", "architecture", "dependencies")
    assert not [name for name in named if not (site / "docs" / f"{name}.html").is_file()]
    assert (site / "index.html").is_file()

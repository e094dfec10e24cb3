"""The page as a browser gets it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from slipway_sandbox.testing import SandboxProcess

PATIENCE = 30.0


class Words(HTMLParser):
    """What a page shows: its text, and its elements by tag."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


class Browser:
    """One account's page."""

    def __init__(self, sandbox: SandboxProcess, account: str, http: httpx.Client) -> None:
        self.sandbox = sandbox
        self.account = account
        self.http = http

    def get(self, path: str = "", headers: dict[str, str] | None = None, **query: str) -> httpx.Response:
        """A path below `/_sandbox/`, of this account in us-east-1 unless the query says otherwise."""
        place = {"account": self.account, "region": "us-east-1", **query}
        return self.http.get(f"/_sandbox/{path}", params=place, headers=headers)

    def view(self) -> dict[str, Any]:
        """The view behind the page."""
        return self.get("view").raise_for_status().json()

    def page(self) -> Words:
        """The page."""
        return Words(self.get().raise_for_status().text)

    def until(self, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The first view of which a condition holds."""
        end = time.monotonic() + PATIENCE
        while not condition(view := self.view()):
            if time.monotonic() > end:
                raise TimeoutError(f"timeout after {PATIENCE} s; the view is {view}")
            time.sleep(0.1)
        return view


@pytest.fixture
def browser(sandbox: SandboxProcess, account: str) -> Iterator[Browser]:
    """A browser at this test's account."""
    with httpx.Client(base_url=sandbox.endpoint, trust_env=False, timeout=30) as http:
        yield Browser(sandbox, account, http)

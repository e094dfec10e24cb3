"""What crosses Temporal about a deployment branch that the worker watches for images that piped's event watcher writes."""

from __future__ import annotations

import re

from pydantic import Field

from slipway.api import Line, Message
from slipway.git.rules import normalise_url
from slipway.names import short_hash


class WatchedBranch(Message):
    """A deployment branch. Each has one watch."""

    repository: Line = Field(max_length=1_000)
    branch: Line = Field(default="main", max_length=255)

    @property
    def watch_id(self) -> str:
        """The id of the workflow that watches it: the same for every spelling of the repository."""
        repository = normalise_url(self.repository)
        name = f"{repository.rpartition('/')[2]}-{self.branch}"
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-") or "branch"
        return f"watch-{slug}-{short_hash('watch', 1, repository, self.branch)}"


class OpenApp(Message):
    """An application whose image cannot be promoted as things are. It is looked at again by itself."""

    folder: str
    since: str
    """The commit after which an image counts as new."""
    why: str
    """What was tried, what came back and what to do, in one line."""


class SeenBranch(Message):
    """What a watch has seen."""

    commit: str = ""
    """The head up to which everything was looked at; empty before the first look."""
    apps: tuple[str, ...] = ()
    """The folders of the applications whose image piped writes."""
    open: tuple[OpenApp, ...] = ()


class WatchInput(WatchedBranch):
    """The input of the workflow that watches a branch: where it goes on in a new run, with what it has seen."""

    seen: SeenBranch = SeenBranch()
    notes: tuple[str, ...] = ()


class WatchStatus(Message):
    """The answer to the query `watch`."""

    repository: str
    branch: str
    seen: SeenBranch
    problem: str = ""
    """Why the branch cannot be looked at; empty where it can be."""
    notes: tuple[str, ...] = ()
    """What was started and what was not, and why, the oldest first."""

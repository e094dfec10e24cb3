"""Where the worker's policy comes from: a list of branches, a local file, or a file in a repository of its own."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from slipway.app.spec_reader import parse_model
from slipway.errors import NeedsPersonError, RefusedError, SlipwayError
from slipway.git.repository import Repository
from slipway.git.rules import app_file, check_branch, url_for_git
from slipway.policy.model import WorkerPolicy

log = logging.getLogger(__name__)

Policies = Callable[[], Awaitable[WorkerPolicy]]
"""Gives the policy as it is now."""
REFRESH = 30.0
"""Seconds for which a policy that was read counts. A file in a repository costs one fetch."""
_IN_REPOSITORY = re.compile(r"(?P<url>.+)@(?P<branch>[^@:]+):(?P<path>[^@:]+)")
_LIMIT = 1_000_000


def fixed(policy: WorkerPolicy) -> Policies:
    """A policy that does not change."""

    async def give() -> WorkerPolicy:
        return policy

    return give


def policies_at(place: str, cache: Path) -> Policies:
    """The policy at a place.

    Args:
        place: A file's path, or `url@branch:path` of a file in a repository.
        cache: The worker's folder for mirrors.

    Raises:
        RefusedError: The place is not a repository, a branch and a path inside it.
    """
    found = _IN_REPOSITORY.fullmatch(place) if not Path(place).exists() else None
    if found is None:
        return KeptPolicy(place, lambda: _read_file(Path(place)), 0.0)
    url, branch, path = url_for_git(found["url"]), check_branch(found["branch"]), app_file(found["path"])
    repository = Repository(url, cache)

    async def read() -> bytes:
        return await repository.read(await repository.head(branch), path)

    return KeptPolicy(place, read, REFRESH)


class KeptPolicy:
    """A policy that is read again from time to time. Where it cannot be read, the last good one goes on counting.

    Args:
        place: Where it is, for people.
        read: Reads it.
        refresh: Seconds for which one reading counts.
    """

    def __init__(self, place: str, read: Callable[[], Awaitable[bytes]], refresh: float) -> None:
        self._place = place
        self._read = read
        self._refresh = refresh
        self._content = b""
        self._policy: WorkerPolicy | None = None
        self._read_at = 0.0

    async def __call__(self) -> WorkerPolicy:
        """The policy as it is now.

        Raises:
            SlipwayError: It was never read, and cannot be read now.
        """
        if self._policy is not None and time.monotonic() < self._read_at + self._refresh:
            return self._policy
        try:
            content = await self._read()
            if self._policy is None or content != self._content:
                self._policy = parse_policy(content, self._place)
                self._content = content
        except SlipwayError as error:
            if self._policy is None:
                raise
            log.warning("the policy cannot be read, and the last good one counts: %s", error)
        self._read_at = time.monotonic()
        return self._policy


def parse_policy(content: bytes, file: str) -> WorkerPolicy:
    """Reads a policy that a person wrote.

    Raises:
        RefusedError: Everything that is wrong in it, each with line, column and path.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise RefusedError(f"reading {file}", "it is not UTF-8", "save it as UTF-8") from error
    return parse_model(WorkerPolicy, text, file)


async def _read_file(path: Path) -> bytes:
    tried = f"reading the policy {path}"
    try:
        with path.open("rb") as file:
            content = file.read(_LIMIT + 1)
    except OSError as error:
        raise NeedsPersonError(tried, error.strerror or str(error), "set SLIPWAY_POLICY to a file that can be read") from error
    if len(content) > _LIMIT:
        raise NeedsPersonError(tried, f"it has more than {_LIMIT:,} bytes", "keep it smaller")
    return content

"""Where the worker's policy comes from, and the keys that it names: a local file, or a file in a repository of its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Generic, TypeVar

from slipway.app.spec_reader import parse_model
from slipway.decisions.signatures import SIGNERS_LIMIT
from slipway.errors import NeedsPersonError, RefusedError, SlipwayError
from slipway.git.repository import Repository
from slipway.git.rules import FileInRepository
from slipway.policy.model import WorkerPolicy

T = TypeVar("T")
log = logging.getLogger(__name__)

Policies = Callable[[], Awaitable[WorkerPolicy]]
"""Gives the policy as it is now."""
REFRESH = 30.0
"""Seconds for which a file that was read counts. A file in a repository costs one fetch."""
_POLICY, _SIGNERS = "policy", "allowed_signers"
_SETTINGS = {_POLICY: "SLIPWAY_POLICY", _SIGNERS: "allowedSigners in the policy"}
_POLICY_LIMIT = 1_000_000


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
    return _kept(place, cache, _POLICY, _POLICY_LIMIT, lambda content: parse_policy(content, place))


class Signers:
    """The allowed_signers files that policies name, kept as policies are.

    Args:
        cache: The worker's folder for mirrors.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._files: dict[str, KeptFile[str]] = {}

    async def at(self, place: str) -> str:
        """The content of the file as it is now.

        Args:
            place: A file's path, or `url@branch:path` of a file in a repository.

        Raises:
            NeedsPersonError: It was never read, and cannot be read now.
            TransientError: The same, and it may be read soon.
        """
        try:
            if place not in self._files:
                self._files[place] = _kept(place, self._cache, _SIGNERS, SIGNERS_LIMIT, _signers_of(place))
            return await self._files[place]()
        except RefusedError as error:
            report = error.report
            remedy = "ask the worker's owner to correct allowedSigners in the policy, then retry"
            raise NeedsPersonError(report.tried, report.answered, remedy) from error


def _signers_of(place: str) -> Callable[[bytes], str]:
    def parse(content: bytes) -> str:
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise NeedsPersonError(f"reading {place}", "it is not UTF-8", "save it as UTF-8") from error

    return parse


def _kept(place: str, cache: Path, name: str, limit: int, parse: Callable[[bytes], T]) -> KeptFile[T]:
    file = FileInRepository.of(place) if not Path(place).exists() else None
    if file is None:
        return KeptFile(name, lambda: _read_file(Path(place), name, limit), parse, 0.0)
    repository = Repository(file.url, cache)

    async def read() -> bytes:
        content = await repository.read(await repository.head(file.branch), file.path)
        _check_size(f"reading {place}", content, limit)
        return content

    return KeptFile(name, read, parse, REFRESH)


class KeptFile(Generic[T]):
    """A file that is read again from time to time. Where it cannot be read, the last good one goes on counting.

    Args:
        name: What it is, for people.
        read: Reads it.
        parse: Makes of it what it says.
        refresh: Seconds for which one reading counts.
    """

    def __init__(self, name: str, read: Callable[[], Awaitable[bytes]], parse: Callable[[bytes], T], refresh: float) -> None:
        self._name = name
        self._read = read
        self._parse = parse
        self._refresh = refresh
        self._content = b""
        self._found: T | None = None
        self._read_at = 0.0

    async def __call__(self) -> T:
        """What it says now.

        Raises:
            SlipwayError: It was never read, and cannot be read now.
        """
        if self._found is not None and time.monotonic() < self._read_at + self._refresh:
            return self._found
        try:
            content = await self._read()
            if self._found is None or content != self._content:
                self._found = self._parse(content)
                self._content = content
        except SlipwayError as error:
            if self._found is None:
                raise
            log.warning("the %s cannot be read, and the last good one counts: %s", self._name, error)
        self._read_at = time.monotonic()
        return self._found


def parse_policy(content: bytes, file: str) -> WorkerPolicy:
    """Reads a policy that a person wrote.

    Raises:
        RefusedError: Everything that is wrong in it, each with line, column and path.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise RefusedError(f"reading {file}", "it is not UTF-8", "save it as UTF-8") from error
    return parse_model(WorkerPolicy, text, file, _POLICY_LIMIT)


async def _read_file(path: Path, name: str, limit: int) -> bytes:
    tried = f"reading the {name} {path}"
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        remedy = f"set {_SETTINGS[name]} to a file that can be read"
        raise NeedsPersonError(tried, error.strerror or str(error), remedy) from error
    _check_size(tried, content, limit)
    return content


def _check_size(tried: str, content: bytes, limit: int) -> None:
    if len(content) > limit:
        raise NeedsPersonError(tried, f"it has more than {limit:,} bytes", "keep it smaller")

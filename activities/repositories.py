"""The deployment repositories that this worker may use."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from slipway.api import AppRef
from slipway.app.lint import App, Findings, read_app_from
from slipway.app.problems import FileError
from slipway.git.cache import FileCache
from slipway.git.mirror import Author
from slipway.git.repository import Repository
from slipway.git.rules import app_file, url_for_git
from slipway.kept import Kept
from slipway.policy.check import require_branch
from slipway.policy.source import Policies

KEPT = 256
"""Repositories of which the last answers are kept in memory."""


class Repositories:
    """Opens repositories for the applications that the policy names, and for no others.

    Args:
        policies: What the worker's owner allows.
        cache: The worker's folder for mirrors.
        author: Who the worker's commits are by.
    """

    def __init__(self, policies: Policies, cache: Path, author: Author = Author()) -> None:  # noqa: B008 -- frozen
        self.policies = policies
        self._cache = cache
        self._author = author
        self._files = FileCache()
        self._opened: Kept[str, Repository] = Kept(KEPT)

    async def open(self, app: AppRef) -> Repository:
        """The repository of an application.

        Raises:
            RefusedError: The policy names neither the repository nor the branch.
        """
        require_branch(await self.policies(), app)
        url = url_for_git(app.repository)
        if url not in self._opened:
            self._opened[url] = Repository(url, self._cache, self._author, self._files)
        return self._opened[url]


async def read_files(repository: Repository, app: AppRef, commit: str, files: Collection[str]) -> dict[str, bytes | None]:
    """Files of an application at a commit by their paths in its folder; none where one is not there."""
    paths = {file: app_file(app.folder, file) for file in files}
    contents = await repository.read_all(commit, paths.values())
    return {file: contents[path] for file, path in paths.items()}


async def findings_at(repository: Repository, app: AppRef, commit: str) -> Findings:
    """An application's files at a commit, read and checked against each other."""
    return await read_app_from(lambda files: read_files(repository, app, commit, files))


async def app_at(repository: Repository, app: AppRef, commit: str) -> App:
    """An application's files at a commit.

    Raises:
        FileError: They are refused.
    """
    findings = await findings_at(repository, app, commit)
    if findings.app is None:
        raise FileError(f"reading {app.folder} of {repository.shown} at {commit[:12]}", findings.errors)
    return findings.app

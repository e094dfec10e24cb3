"""The deployment repository: reading files at a commit, and committing to a branch without a work tree.

Each repository has one bare, partial mirror in the worker's folder, and one lock: git's own locks refuse rather than wait.
A commit is built in a temporary index, and counts once the push is accepted. A push that loses a race changes nothing and raises
`PushConflict`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path

from slipway.errors import RefusedError, TransientError
from slipway.git.mirror import Author, Change, Changes, Mirror, PushConflict
from slipway.git.process import without_credentials
from slipway.git.rules import app_file, check_branch, check_commit, check_trailer, normalise_url

PROMOTION_TRAILER = "Slipway-Promotion"
REVERT_TRAILER = "Slipway-Reverts"
LOCK_TIMEOUT = 300.0
"""Seconds to wait for another user of the same mirror."""
REVERT_TRIES = 5


@dataclass(frozen=True)
class Revert:
    """The result of reverting a commit."""

    commit: str
    """The commit that reverts it, or the branch's head where nothing was left to revert."""
    changed: bool


class Repository:
    """One repository, through its mirror.

    Args:
        url: Where it is; checked by a `RepositoryPolicy` before.
        cache: The worker's folder for mirrors. Two workers may share it.
    """

    def __init__(self, url: str, cache: Path) -> None:
        normal = normalise_url(url)
        self.url = url
        self.shown = without_credentials(url)
        self._folder = cache / f"{hashlib.sha256(normal.encode()).hexdigest()[:24]}.git"

    async def head(self, branch: str) -> str:
        """The branch's newest commit, asked of the remote.

        Raises:
            RefusedError: There is no such branch.
        """
        check_branch(branch)
        async with self._locked() as git:
            return await git.fetch(branch)

    async def contains(self, branch: str, commit: str) -> bool:
        """Whether the commit is the branch's head or behind it. The remote is asked where the mirror does not say so already."""
        check_branch(branch)
        check_commit(commit)
        async with self._locked() as git:
            return await git.is_behind(commit, branch) or await git.is_behind(commit, branch, await git.fetch(branch))

    async def read(self, commit: str, path: str) -> bytes:
        """A file's content at a commit.

        Raises:
            RefusedError: There is no such file, or it is a folder, a symbolic link or too large.
        """
        content = await self.read_if_there(commit, path)
        if content is None:
            raise RefusedError(
                f"reading {path} of {self.shown} at {commit[:12]}", "there is no such file", "add it, or correct the path"
            )
        return content

    async def read_if_there(self, commit: str, path: str) -> bytes | None:
        """A file's content at a commit, or none where there is no such file."""
        check_commit(commit)
        async with self._locked() as git:
            await git.ensure_commit(commit)
            entry = await git.entry(commit, app_file(path))
            return await git.blob(entry, path) if entry else None

    async def read_before(self, commit: str, path: str) -> bytes | None:
        """A file's content at the parent of a commit, or none where there was no such file."""
        check_commit(commit)
        async with self._locked() as git:
            await git.ensure_commit(commit)
            parents = await git.parents(commit)
        return await self.read_if_there(parents[0], path) if parents else None

    async def last_change(self, commit: str, path: str) -> Change | None:
        """Who last changed a file, up to a commit; none where no commit up to there has the file."""
        check_commit(commit)
        async with self._locked() as git:
            await git.ensure_commit(commit)
            return await git.last_change(commit, app_file(path))

    async def commit_file(
        self,
        branch: str,
        parent: str,
        files: Mapping[str, bytes],
        message: str,
        trailers: Mapping[str, str],
        author: Author = Author(),  # noqa: B008 -- frozen
    ) -> str:
        """Commits files to a branch and pushes it; others see one step.

        Args:
            branch: The branch.
            parent: The head that the files were made from. The push is refused if the branch is anywhere else.
            files: New content by path; a file keeps its mode.
            message: The commit's message, without trailers.
            trailers: The commit's trailers.
            author: Who the commit is by.

        Raises:
            PushConflict: The branch is not at `parent` any more. Nothing was changed.
            NeedsPersonError: The remote refuses the push, as a protected branch does.
        """
        check_branch(branch)
        check_commit(parent)
        async with self._locked() as git:
            await git.ensure_commit(parent)
            entries: Changes = {}
            for path, content in files.items():
                entries[app_file(path)] = await git.store(await git.entry(parent, app_file(path)), content)
            commit = await git.commit(parent, entries, _message(message, trailers), author)
            await git.push(commit, branch, parent)
            return commit

    async def find_by_trailer(self, branch: str, key: str, value: str) -> str | None:
        """The newest commit of a branch that carries a trailer, asked of the remote."""
        check_branch(branch)
        async with self._locked() as git:
            return await git.find(await git.fetch(branch), check_trailer(key, value))

    async def revert(
        self,
        branch: str,
        commit: str,
        message: str,
        trailers: Mapping[str, str],
        author: Author = Author(),  # noqa: B008 -- frozen
    ) -> Revert:
        """Reverts one commit on the branch's current head; what others have changed since stays.

        Raises:
            NeedsPersonError: The same lines were changed since.
        """
        check_branch(branch)
        marked = {**trailers, REVERT_TRAILER: check_commit(commit)}
        async with self._locked() as git:
            for _ in range(REVERT_TRIES):
                head = await git.fetch(branch)
                done = await git.find(head, check_trailer(REVERT_TRAILER, commit))
                if done:
                    return Revert(done, changed=False)
                entries = await git.reverted_tree(commit, head)
                if not entries:
                    return Revert(head, changed=False)
                revert = await git.commit(head, entries, _message(message, marked), author)
                with contextlib.suppress(PushConflict):
                    await git.push(revert, branch, head)
                    return Revert(revert, changed=True)
        raise TransientError(
            f"reverting {commit[:12]} on {branch} of {self.shown}", f"others pushed {REVERT_TRIES} times in the meantime"
        )

    @contextlib.asynccontextmanager
    async def _locked(self) -> AsyncGenerator[Mirror]:
        """The mirror, for one user at a time, across workers. Git's processes inherit the lock's descriptor."""
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder.with_suffix(".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            await self._lock(descriptor)
            mirror = Mirror(self.url, self._folder, descriptor)
            await mirror.prepare()
            yield mirror
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # also for a credential helper that outlives git and holds the descriptor
            os.close(descriptor)

    async def _lock(self, descriptor: int) -> None:
        deadline = time.monotonic() + LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise TransientError(f"using {self.shown}", f"another git has used it for {LOCK_TIMEOUT:.0f} s") from error
                await asyncio.sleep(0.02)
            else:
                return


def _message(message: str, trailers: Mapping[str, str]) -> str:
    lines = "\n".join(check_trailer(key, value) for key, value in trailers.items())
    return f"{message.strip()}\n\n{lines}\n" if lines else f"{message.strip()}\n"

"""The deployment repository: reading files at a commit, and committing to a branch without a work tree.

Each repository has one bare, partial mirror in the worker's folder, and one lock: git's own locks refuse rather than wait.
A commit counts once its push is accepted. A push that loses a race changes nothing and raises `PushConflict`. What cannot change
is kept in memory: a file at a commit, and that one commit is behind another.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from slipway.errors import RefusedError, TransientError
from slipway.git.cache import FileCache
from slipway.git.mirror import Author, Change, Changes, Commit, Entry, Mirror, NewFile, PushConflict
from slipway.git.process import without_credentials
from slipway.git.rules import app_file, check_branch, check_commit, check_ref, check_trailer, normalise_url
from slipway.kept import Kept

PROMOTION_TRAILER = "Slipway-Promotion"
REVERT_TRAILER = "Slipway-Reverts"
LOCK_TIMEOUT = 300.0
"""Seconds to wait for another user of the same mirror."""
REVERT_TRIES = 5
FRESH = 30.0
"""Seconds for which the remote's answer about a branch counts where it is only asked whether a commit is on the branch."""
_REMEMBERED = 1_000


@dataclass(frozen=True)
class Revert:
    """The result of reverting a commit."""

    commit: str
    """The commit that reverts it, or the branch's head where nothing was left to revert."""
    changed: bool


class Repository:
    """One repository, through its mirror.

    Args:
        url: Where it is; the worker's policy allows it.
        cache: The worker's folder for mirrors. Two workers may share it.
        author: Who commits are by.
        files: What is kept in memory, shared between repositories.
        fresh: Seconds for which an answer of the remote counts for `contains`.
    """

    def __init__(
        self,
        url: str,
        cache: Path,
        author: Author = Author(),  # noqa: B008 -- frozen
        files: FileCache | None = None,
        fresh: float = FRESH,
    ) -> None:
        normal = normalise_url(url)
        self.url = url
        self.shown = without_credentials(url)
        self.author = author
        self._name = hashlib.sha256(normal.encode()).hexdigest()[:24]
        self._folder = cache / f"{self._name}.git"
        self._files = files or FileCache()
        self._fresh = fresh
        self._heads: Kept[str, tuple[str, float]] = Kept(_REMEMBERED)
        self._behind: Kept[tuple[str, str], bool] = Kept(_REMEMBERED)

    async def head(self, branch: str) -> str:
        """The branch's newest commit, asked of the remote.

        Raises:
            RefusedError: There is no such branch.
        """
        check_branch(branch)
        async with self._locked() as git:
            return await self._fetch(git, branch)

    async def commit_of(self, ref: str) -> str:
        """The commit that any reference names, asked of the remote. It is for looking at what it has, and proves nothing.

        Raises:
            RefusedError: There is no such reference.
        """
        name = check_ref(ref)
        async with self._locked() as git:
            return await git.fetch_ref(name)

    async def contains(self, branch: str, commit: str) -> bool:
        """Whether the commit is the branch's head or behind it, as the remote says now or said less than `fresh` seconds ago.

        A push by force can take a commit off a branch, so no older answer counts.
        """
        check_branch(branch)
        check_commit(commit)
        head, asked_at = self._heads.get(branch) or ("", 0.0)
        recent = head and time.monotonic() < asked_at + self._fresh
        if recent and (commit == head or (commit, head) in self._behind):
            return True
        async with self._locked() as git:
            if recent and await self._is_behind(git, commit, head):
                return True
            return await self._is_behind(git, commit, await self._fetch(git, branch))

    async def contained(self, branch: str, commit: str) -> bool:
        """Whether the commit is or was on the branch. The remote is asked only where the mirror does not say so."""
        check_branch(branch)
        check_commit(commit)
        async with self._locked() as git:
            return await git.is_behind(commit, f"refs/remotes/origin/{branch}") or await self._is_behind(
                git, commit, await self._fetch(git, branch)
            )

    async def descends(self, commit: str, ancestor: str) -> bool:
        """Whether a commit is another one or comes after it. Both must be in the mirror."""
        check_commit(commit)
        check_commit(ancestor)
        async with self._locked() as git:
            return await self._is_behind(git, ancestor, commit)

    async def _fetch(self, git: Mirror, branch: str) -> str:
        asked_at = time.monotonic()
        head = await git.fetch(branch)
        self._heads[branch] = (head, asked_at)
        return head

    async def _is_behind(self, git: Mirror, commit: str, head: str) -> bool:
        if (commit, head) not in self._behind:
            if not await git.is_behind(commit, head):
                return False
            self._behind[commit, head] = True
        return True

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
        return (await self.read_all(commit, [path]))[path]

    async def read_all(self, commit: str, paths: Collection[str]) -> dict[str, bytes | None]:
        """Files' contents at a commit by path; none where there is no such file.

        Raises:
            RefusedError: One is a folder, a symbolic link or too large.
        """
        check_commit(commit)
        normal = {path: app_file(path) for path in paths}
        files = set(normal.values())
        contents = self._files.known(self._name, commit, files)
        if contents is None:
            async with self._locked() as git:
                contents = await self._read(git, commit, files)
        return {path: contents[file] for path, file in normal.items()}

    async def _read(self, git: Mirror, commit: str, files: Collection[str]) -> dict[str, bytes | None]:
        entries = await self._entries(git, commit, files)
        kept = self._files.contents
        contents = {entry.blob: kept[key] for entry in entries.values() if entry and (key := (self._name, entry.blob)) in kept}
        missing = {entry.blob: path for path, entry in entries.items() if entry and entry.blob not in contents}
        if missing:
            for blob, content in (await git.contents(missing)).items():
                kept[self._name, blob] = contents[blob] = content
        return {path: contents[entry.blob] if entry else None for path, entry in entries.items()}

    async def _entries(self, git: Mirror, commit: str, files: Collection[str]) -> dict[str, Entry | None]:
        kept = self._files.entries
        entries = {file: kept[key] for file in files if (key := (self._name, commit, file)) in kept}
        missing = set(files) - set(entries)
        if missing:
            for file, entry in (await git.entries(commit, missing)).items():
                kept[self._name, commit, file] = entries[file] = entry
        return entries

    async def last_change(self, commit: str, path: str) -> Change | None:
        """Who last changed a file, up to a commit; none where no commit up to there has the file."""
        key = (self._name, check_commit(commit), app_file(path))
        if key not in self._files.changes:
            async with self._locked() as git:
                self._files.changes[key] = await git.last_change(commit, key[2])
        return self._files.changes[key]

    async def commit_file(
        self, branch: str, parent: str, files: Mapping[str, bytes], message: str, trailers: Mapping[str, str]
    ) -> str:
        """Commits files to a branch and pushes it; others see one step.

        Args:
            branch: The branch.
            parent: The head that the files were made from. The push is refused if the branch is anywhere else.
            files: New content by path; a file keeps its mode.
            message: The commit's message, without trailers.
            trailers: The commit's trailers.

        Raises:
            PushConflict: The branch is not at `parent` any more. Nothing was changed.
            NeedsPersonError: The remote refuses the push, as a protected branch does.
        """
        check_branch(branch)
        check_commit(parent)
        contents = {app_file(path): content for path, content in files.items()}
        async with self._locked() as git:
            before = await self._entries(git, parent, contents)
            changes: Changes = {
                path: NewFile(entry.mode if (entry := before[path]) else "100644", content) for path, content in contents.items()
            }
            return await self._push(git, branch, parent, changes, _message(message, trailers))

    async def with_trailer(self, head: str, key: str, value: str) -> list[Commit]:
        """The commits up to a head that carry a trailer, the newest first. Anybody who may push can write a trailer."""
        check_commit(head)
        check_trailer(key, value)
        async with self._locked() as git:
            return await git.with_trailer(head, key, value)

    async def touching(self, head: str, paths: Collection[str], *, since: str = "", trailer: str, limit: int) -> list[Commit]:
        """The newest commits up to a head that changed one of some files, the newest first.

        Args:
            head: The last commit.
            paths: The files.
            since: A commit that is left out, with all behind it; nothing for none.
            trailer: The trailer that is read of each.
            limit: How many at most.
        """
        check_commit(head)
        files = {app_file(path) for path in paths}
        async with self._locked() as git:
            return await git.touching(head, check_commit(since) if since else "", files, trailer, limit)

    async def is_by_worker(self, commit: Commit) -> bool:
        """Whether author and committer are the worker, and the signature is, where it has a key."""
        name, email, key = self.author.name, self.author.email, self.author.signing_key
        if any((each.name, each.email) != (name, email) for each in (commit.author, commit.committer)):
            return False
        if key is None:
            return True
        async with self._locked() as git:
            return await git.is_signed_with(commit.id, key)

    async def changed_files(self, parent: str, commit: str) -> frozenset[str]:
        """The paths that a commit changed."""
        async with self._locked() as git:
            return frozenset(await git.changed_files(check_commit(parent), check_commit(commit)))

    async def has(self, commit: str) -> bool:
        """Whether a commit is known, on whichever branch. One that was taken off by force may be gone."""
        check_commit(commit)
        async with self._locked() as git:
            return await git.has(commit)

    async def find_files(self, commit: str, name: str, limit: int) -> list[str]:
        """The paths of the files of a name, in any folder of a commit.

        Args:
            commit: The commit.
            name: The file's name.
            limit: How many at most.
        """
        check_commit(commit)
        async with self._locked() as git:
            return await git.find_files(commit, name, limit)

    async def revert(self, branch: str, commit: str, message: str) -> Revert:
        """Reverts one commit on the branch's current head; what others have changed since stays.

        Raises:
            NeedsPersonError: The same lines were changed since.
        """
        check_branch(branch)
        marked = _message(message, {REVERT_TRAILER: check_commit(commit)})
        async with self._locked() as git:
            for _ in range(REVERT_TRIES):
                head = await self._fetch(git, branch)
                changes = await git.reverted_tree(commit, head)
                if not changes:
                    return Revert(head, changed=False)
                with contextlib.suppress(PushConflict):
                    return Revert(await self._push(git, branch, head, changes, marked), changed=True)
        raise TransientError(
            f"reverting {commit[:12]} on {branch} of {self.shown}", f"others pushed {REVERT_TRIES} times in the meantime"
        )

    async def _push(self, git: Mirror, branch: str, parent: str, changes: Changes, message: str) -> str:
        commit = await git.commit(parent, changes, message, self.author)
        asked_at = time.monotonic()
        await git.push(commit, branch, parent)
        self._heads[branch] = (commit, asked_at)
        self._behind[parent, commit] = True
        return commit

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

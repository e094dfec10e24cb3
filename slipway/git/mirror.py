"""Git's plumbing in one bare mirror, while its lock is held. Each failed command raises the error that fits."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from slipway.errors import NeedsPersonError, RefusedError, TransientError
from slipway.git.process import FILE_LIMIT, GitAnswer, failure, run_git, without_credentials
from slipway.text import one_line

_STOPPED = ("died of signal 25", "File too large", "file too large", "Filesize limit", "File size limit")
"""What git says when it may write no more to a file."""
_NAME_LIMIT = 200
"""Letters of an author's name or address that are shown."""
_LAST_SECOND = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())
_RACE = ("stale info", "non-fast-forward", "fetch first", "cannot lock ref", "failed to update ref", "reference already exists")


class PushConflict(TransientError):  # noqa: N818 -- a lost race is no error: the caller looks again
    """The branch has moved: read the new head, do the work again on it, push again."""


@dataclass(frozen=True)
class Author:
    """Who a commit is by."""

    name: str = "Slipway"
    email: str = "slipway@localhost"


@dataclass(frozen=True)
class Change:
    """A commit that changed a file. The author is who the commit says; git does not prove it."""

    commit: str
    author: str
    email: str
    time: datetime
    """When it was committed."""


@dataclass(frozen=True)
class Entry:
    """A file in a tree."""

    mode: str
    blob: str


Changes = dict[str, Entry | None]
"""Files of a new tree by path; none removes the file."""


class Mirror:
    """A bare, partial copy of one repository: all commits and trees, and those files that were read.

    Args:
        url: The remote.
        folder: The mirror.
        lock: The descriptor of the lock. Git's processes inherit it: if the worker is killed, its last git keeps the lock until
            it ends.
    """

    def __init__(self, url: str, folder: Path, lock: int) -> None:
        self._url = url
        self._shown = without_credentials(url)
        self._folder = folder
        self._lock = lock

    async def prepare(self) -> None:
        """Creates the mirror, or removes the locks that a killed git left."""
        if not (self._folder / "slipway-ready").exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            await self._git("init", "--quiet", "--bare", tried=f"creating a mirror of {self._shown}")
            for key, value in (("url", self._url), ("promisor", "true"), ("partialclonefilter", "blob:none")):
                await self._git("config", f"remote.origin.{key}", value, tried=f"creating a mirror of {self._shown}")
            (self._folder / "slipway-ready").touch()
        # Nobody else uses the mirror while the lock is held: a git lock found here belongs to a git that was killed.
        for left in [*self._folder.glob("*.lock"), *(self._folder / "refs").rglob("*.lock")]:
            left.unlink(missing_ok=True)

    async def fetch(self, branch: str) -> str:
        """Fetches the branch, and returns its head."""
        tried = f"fetching {branch} of {self._shown}"
        refspec = f"+refs/heads/{branch}:refs/remotes/origin/{branch}"
        answer = await self._run("fetch", "--quiet", "--no-tags", "--filter=blob:none", "origin", refspec, tried=tried)
        if answer.code and "couldn't find remote ref" in answer.stderr:
            raise RefusedError(tried, answer.words, "name a branch that exists")
        if answer.code:
            raise failure(tried, answer)
        return (await self._git("rev-parse", "--verify", f"refs/remotes/origin/{branch}^{{commit}}", tried=tried)).text

    async def is_behind(self, commit: str, branch: str, head: str = "") -> bool:
        """Whether the branch, as it was fetched last, holds the commit."""
        of = head or f"refs/remotes/origin/{branch}"
        tried = f"looking for the commit {commit[:12]} on {branch} of {self._shown}"
        return (await self._run("merge-base", "--is-ancestor", commit, of, tried=tried)).code == 0

    async def ensure_commit(self, commit: str) -> None:
        """Fetch the commit unless the mirror has it."""
        if (await self._run("cat-file", "-e", f"{commit}^{{commit}}", tried="looking for a commit")).code == 0:
            return
        tried = f"fetching the commit {commit[:12]} of {self._shown}"
        answer = await self._run("fetch", "--quiet", "--no-tags", "--filter=blob:none", "origin", commit, tried=tried)
        if answer.code:
            raise failure(tried, answer)

    async def entry(self, commit: str, path: str) -> Entry | None:
        """A file of a commit, or none."""
        tried = f"looking for {path} at {commit[:12]} of {self._shown}"
        listed = (await self._git("ls-tree", "-z", "--full-tree", commit, "--", f":(literal){path}", tried=tried)).text.rstrip(
            "\0"
        )
        if not listed:
            return None
        mode, kind, blob = listed.partition("\t")[0].split(" ")
        if kind != "blob" or mode == "120000":
            named = "a symbolic link" if mode == "120000" else "a folder"
            raise RefusedError(tried, f"it is {named}", "put a file there")
        return Entry(mode, blob)

    async def blob(self, entry: Entry, path: str) -> bytes:
        """A file's content."""
        tried = f"reading {path} of {self._shown}"
        await self._require_small(entry.blob, tried)
        return (await self._git("cat-file", "blob", entry.blob, tried=tried)).stdout

    async def _require_small(self, blob: str, tried: str) -> None:
        """Fetches a blob unless it is there, but no larger one than is read.

        A remote does not tell a blob's size before it sends the blob, so the fetch is stopped where it writes too much.
        """
        answer = await self._run(
            "cat-file", "--batch-check=%(objectsize)", tried=tried, stdin=f"{blob}\n".encode(), file_limit=2 * FILE_LIMIT
        )
        stopped = any(words in answer.stderr for words in _STOPPED)
        size = answer.text.strip()
        if stopped or (size.isdecimal() and int(size) > FILE_LIMIT):
            has = f"{int(size):,}" if size.isdecimal() else f"more than {FILE_LIMIT:,}"
            raise RefusedError(tried, f"it has {has} bytes", f"keep it under {FILE_LIMIT:,} bytes")
        if answer.code or not size.isdecimal():
            raise failure(tried, answer)

    async def store(self, before: Entry | None, content: bytes) -> Entry:
        """Stores a file's content in the mirror, with the mode of the file that it replaces."""
        blob = await self._git("hash-object", "-w", "--stdin", tried="storing a file", stdin=content)
        return Entry(before.mode if before else "100644", blob.text)

    async def commit(self, parent: str, changes: Changes, message: str, author: Author) -> str:
        """Creates a commit on a parent. No branch refers to it yet."""
        tried = f"committing on {parent[:12]} of {self._shown}"
        lines = [
            f"{entry.mode} {entry.blob}\t{path}\0" if entry else f"0 {'0' * len(parent)}\t{path}\0"
            for path, entry in changes.items()
        ]
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="index-") as folder:
            index = {"GIT_INDEX_FILE": os.path.join(folder, "index")}  # noqa: PTH118 -- a variable's text
            await self._git("read-tree", parent, tried=tried, environment=index)
            await self._git("update-index", "-z", "--index-info", tried=tried, stdin="".join(lines).encode(), environment=index)
            tree = await self._git("write-tree", "--missing-ok", tried=tried, environment=index)
        arguments = ("commit-tree", tree.text, "-p", parent, "-F", "-")
        return (await self._git(*arguments, tried=tried, stdin=message.encode(), environment=_identity(author))).text

    async def push(self, commit: str, branch: str, parent: str) -> None:
        """Moves the remote's branch from the parent to the commit. It fails if the branch is anywhere else."""
        tried = f"pushing {commit[:12]} to {branch} of {self._shown}"
        ref = f"refs/heads/{branch}"
        lease = f"--force-with-lease={ref}:{parent}"
        answer = await self._run("push", "--porcelain", "--no-verify", lease, "origin", f"{commit}:{ref}", tried=tried)
        if answer.code == 0:
            return
        verdict = next((line for line in answer.text.splitlines() if line.startswith("!")), "")
        if any(word in verdict for word in _RACE):
            raise PushConflict(tried, verdict.split("\t")[-1], "the branch is read again and pushed to again by itself")
        if verdict:
            said = f"{verdict.split(chr(9))[-1]}. {answer.words}"
            raise NeedsPersonError(tried, said, "let the worker push to this branch (branch protection, hooks), then retry")
        raise failure(tried, answer)

    async def find(self, head: str, trailer: str) -> str | None:
        """The newest commit up to a head that carries a trailer line."""
        key, _, value = trailer.partition(": ")
        form = f"--format=%H%x00%(trailers:key={key},valueonly,separator=%x01)"
        arguments = ("log", "-z", "--fixed-strings", f"--grep={trailer}", form, head, "--")
        listed = (await self._git(*arguments, tried=f"looking for {key} in {self._shown}")).text
        # With -z, a line is `<hash> NUL <values> NUL`.
        fields = listed.split("\0")
        for commit, values in zip(fields[::2], fields[1::2], strict=False):
            if value in values.split("\x01"):
                return commit
        return None

    async def last_change(self, commit: str, path: str) -> Change | None:
        """The newest commit up to this one that changed a file; none where no commit did."""
        tried = f"looking for who last changed {path} of {self._shown}"
        arguments = ("log", "-1", "--format=%H%x00%an%x00%ae%x00%ct", commit, "--", f":(literal){path}")
        listed = (await self._git(*arguments, tried=tried)).text
        if not listed:
            return None
        changed_by, name, email, seconds = listed.split("\0")
        # A commit may claim any time; a later one than a date can hold is shown as the last.
        time = datetime.fromtimestamp(min(int(seconds), _LAST_SECOND), UTC)
        return Change(changed_by, one_line(name)[:_NAME_LIMIT], one_line(email)[:_NAME_LIMIT], time)

    async def parents(self, commit: str) -> list[str]:
        """The parents of a commit."""
        tried = f"looking for the parents of {commit[:12]} of {self._shown}"
        return (await self._git("rev-list", "--parents", "-n", "1", commit, "--", tried=tried)).text.split()[1:]

    async def reverted_tree(self, commit: str, head: str) -> Changes:
        """The files of the head without a commit's changes; empty if none of them is left."""
        tried = f"reverting {commit[:12]} of {self._shown}"
        parents = await self.parents(commit)
        if len(parents) != 1:
            raise NeedsPersonError(tried, f"the commit has {len(parents)} parents", "revert it by hand")
        listed = await self._git("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", parents[0], commit, tried=tried)
        changes: Changes = {}
        fields = listed.text.split("\0")
        for raw, path in zip(fields[::2], fields[1::2], strict=False):
            old_mode, new_mode, old_blob, new_blob, _ = raw.removeprefix(":").split(" ")
            before, after = _entry(old_mode, old_blob), _entry(new_mode, new_blob)
            now = await self.entry(head, path)
            if now == before:
                continue
            changes[path] = before if now == after else await self._merged(now, after, before, path, tried)
        return changes

    async def _merged(self, now: Entry | None, base: Entry | None, wanted: Entry | None, path: str, tried: str) -> Entry:
        remedy = "revert it by hand, or keep it"
        if now is None or base is None or wanted is None:
            raise NeedsPersonError(tried, f"{path} was added or removed since", remedy)
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="merge-") as folder:
            files = [Path(folder) / name for name in ("now", "base", "wanted")]
            for file, entry in zip(files, (now, base, wanted), strict=True):
                file.write_bytes(await self.blob(entry, path))
            answer = await self._run("merge-file", "-p", "--quiet", *map(str, files), tried=tried)
        if answer.code:
            raise NeedsPersonError(tried, f"the same lines of {path} were changed since", remedy)
        return await self.store(now, answer.stdout)

    async def _run(
        self,
        *arguments: str,
        tried: str,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        file_limit: int | None = None,
    ) -> GitAnswer:
        return await run_git(
            arguments,
            folder=self._folder,
            tried=tried,
            stdin=stdin,
            environment=environment,
            pass_fds=(self._lock,),
            file_limit=file_limit,
        )

    async def _git(
        self, *arguments: str, tried: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None
    ) -> GitAnswer:
        answer = await self._run(*arguments, tried=tried, stdin=stdin, environment=environment)
        if answer.code:
            raise failure(tried, answer)
        return answer


def _entry(mode: str, blob: str) -> Entry | None:
    return Entry(mode, blob) if mode.strip("0") else None


def _identity(author: Author) -> dict[str, str]:
    return {
        "GIT_AUTHOR_NAME": author.name,
        "GIT_AUTHOR_EMAIL": author.email,
        "GIT_COMMITTER_NAME": author.name,
        "GIT_COMMITTER_EMAIL": author.email,
    }

"""Git's plumbing in one bare mirror, while its lock is held. Each failed command raises the error that fits."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from slipway.errors import NeedsPersonError, RefusedError, TransientError
from slipway.git.process import FILE_LIMIT, GitAnswer, failure, run_git, without_credentials
from slipway.git.signing import signing_options, verifying_options
from slipway.text import one_line

RUN_TRAILER = "Slipway-Run"
_STOPPED = ("died of signal 25", "File too large", "file too large", "Filesize limit", "File size limit")
"""What git says when it may write no more to a file."""
_NAME_LIMIT = 200
"""Letters of an author's name or address that are shown."""
_NEW_COMMIT = "refs/slipway/new"
"""What git's fast-import calls the commit that it makes. Nothing reads it."""
_EMPTY_TREES = {
    40: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    64: "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
"""Git's name of a tree without files, by the length of a name: each git knows it."""
_LAST_SECOND = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())
_RACE = ("stale info", "non-fast-forward", "fetch first", "cannot lock ref", "failed to update ref", "reference already exists")


class PushConflict(TransientError):  # noqa: N818 -- a lost race is no error: the caller looks again
    """The branch has moved: read the new head, do the work again on it, push again."""


@dataclass(frozen=True)
class Author:
    """Who a commit is by."""

    name: str = "Slipway"
    email: str = "slipway@localhost"
    signing_key: Path | None = None
    """An SSH private key that commits are signed with."""

    def __str__(self) -> str:
        """As git writes it, in one short line."""
        return f"{shown_name(self.name)} <{shown_name(self.email)}>"


@dataclass(frozen=True)
class Commit:
    """A commit. Whoever pushes decides what it says; only a signature proves anything."""

    id: str
    parents: tuple[str, ...]
    author: Author
    committer: Author
    runs: tuple[str, ...]
    """The values of its trailer `Slipway-Run`."""
    trailer: tuple[str, ...] = ()
    """The values of the trailer that was asked for."""


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


@dataclass(frozen=True)
class NewFile:
    """A file that is not in the repository yet."""

    mode: str
    content: bytes


Changes = dict[str, Entry | NewFile | None]
"""Files of a new tree by path; none removes the file."""


def shown_name(name: str) -> str:
    """A name or an address that a commit claims, for people."""
    return one_line(name)[:_NAME_LIMIT]


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
            url = self._url.replace("\\", "\\\\").replace('"', '\\"')
            remote = f'[remote "origin"]\n\turl = "{url}"\n\tpromisor = true\n\tpartialclonefilter = blob:none\n'
            with (self._folder / "config").open("a") as config:
                config.write(remote)
            (self._folder / "slipway-ready").touch()
        # Nobody else uses the mirror while the lock is held: a git lock found here belongs to a git that was killed.
        for left in [*self._folder.glob("*.lock"), *(self._folder / "refs").rglob("*.lock")]:
            left.unlink(missing_ok=True)

    async def fetch(self, branch: str) -> str:
        """Fetches the branch, and returns its head."""
        return await self._fetch(branch, f"+refs/heads/{branch}:refs/remotes/origin/{branch}")

    async def fetch_ref(self, ref: str) -> str:
        """Fetches what a reference names, and returns the commit. No branch of the mirror moves, and none contains it by that."""
        await self._fetch(ref, ref)
        return (
            await self._git("rev-parse", "FETCH_HEAD^{commit}", tried=f"looking for the commit of {ref} of {self._shown}")
        ).text

    async def _fetch(self, name: str, refspec: str) -> str:
        tried = f"fetching {name} of {self._shown}"
        answer = await self._run("fetch", "--quiet", "--no-tags", "--filter=blob:none", "origin", refspec, tried=tried)
        if answer.code and "couldn't find remote ref" in answer.stderr:
            raise RefusedError(tried, answer.words, "name a branch that exists")
        if answer.code:
            raise failure(tried, answer)
        # Git writes there what it fetched, for scripts; the lock keeps other fetches away.
        return (self._folder / "FETCH_HEAD").read_text().partition("\t")[0]

    async def is_behind(self, commit: str, head: str) -> bool:
        """Whether a commit is the head or behind it.

        Args:
            commit: The commit.
            head: A commit, or a reference that may be missing.
        """
        tried = f"looking for the commit {commit[:12]} behind {head[:12]} of {self._shown}"
        return commit == head or (await self._run("merge-base", "--is-ancestor", commit, head, tried=tried)).code == 0

    async def has(self, commit: str) -> bool:
        """Whether a commit is here, or the remote still gives it."""
        tried = f"looking for the commit {commit[:12]} of {self._shown}"
        return (await self._run("cat-file", "-e", f"{commit}^{{commit}}", tried=tried)).code == 0

    async def find_files(self, commit: str, name: str, limit: int) -> list[str]:
        """The paths of the files of a name, in any folder of a commit, in their order."""
        tried = f"looking for files named {name} at {commit[:12]} of {self._shown}"
        nothing = _EMPTY_TREES[len(commit)]
        patterns = (f":(top,glob)**/{name}",)
        listed = await self._git(
            "diff-tree", "-r", "-z", "--name-only", "--no-renames", nothing, commit, "--", *patterns, tried=tried
        )
        return listed.text.split("\0")[:-1][:limit]

    async def entries(self, commit: str, paths: Collection[str]) -> dict[str, Entry | None]:
        """Files of a commit by path; none where there is no such file. Git fetches a commit that it does not have."""
        tried = f"looking for {', '.join(sorted(paths))} at {commit[:12]} of {self._shown}"
        patterns = (f":(literal){path}" for path in sorted(paths))
        listed = (await self._git("ls-tree", "-z", "--full-tree", commit, "--", *patterns, tried=tried)).text
        found: dict[str, Entry | None] = dict.fromkeys(paths)
        for line in listed.split("\0")[:-1]:
            attributes, _, path = line.partition("\t")
            mode, kind, blob = attributes.split(" ")
            if kind != "blob" or mode == "120000":
                named = "a symbolic link" if mode == "120000" else "a folder"
                raise RefusedError(f"looking for {path} at {commit[:12]} of {self._shown}", f"it is {named}", "put a file there")
            found[path] = Entry(mode, blob)
        return found

    async def contents(self, blobs: Mapping[str, str]) -> dict[str, bytes]:
        """The contents of blobs.

        Args:
            blobs: For each blob, a path that it has, for errors.
        """
        tried = f"reading {', '.join(sorted(set(blobs.values())))} of {self._shown}"
        await self._require_small(blobs, tried)
        asked = "".join(f"{blob}\n" for blob in blobs).encode()
        rest = (await self._git("cat-file", "--batch=%(objectname) %(objectsize)", tried=tried, stdin=asked)).stdout
        contents: dict[str, bytes] = {}
        while rest:
            header, _, rest = rest.partition(b"\n")
            blob, size = header.decode().split(" ")
            contents[blob], rest = rest[: int(size)], rest[int(size) + 1 :]
        return contents

    async def _require_small(self, blobs: Mapping[str, str], tried: str) -> None:
        """Fetches blobs unless they are there, but no larger ones than are read.

        A remote does not tell a blob's size before it sends the blob, so the fetch is stopped where it writes too much.
        """
        asked = "".join(f"{blob}\n" for blob in blobs).encode()
        answer = await self._run("cat-file", "--batch-check=%(objectsize)", tried=tried, stdin=asked, file_limit=2 * FILE_LIMIT)
        stopped = any(words in answer.stderr for words in _STOPPED)
        sizes = answer.text.splitlines()
        for number, path in enumerate(blobs.values()):
            size = sizes[number] if number < len(sizes) else ""
            if size.isdecimal() and int(size) <= FILE_LIMIT:
                continue
            if stopped or size.isdecimal():
                has = f"{int(size):,}" if size.isdecimal() else f"more than {FILE_LIMIT:,}"
                tried = f"reading {path} of {self._shown}"
                raise RefusedError(tried, f"it has {has} bytes", f"keep it under {FILE_LIMIT:,} bytes")
            raise failure(tried, answer)

    async def commit(self, parent: str, changes: Changes, message: str, author: Author) -> str:
        """Creates a commit on a parent. It counts once it is pushed."""
        tried = f"committing on {parent[:12]} of {self._shown}"
        who = f"{author.name} <{author.email}> now\n".encode()
        stream = [f"commit {_NEW_COMMIT}\nmark :1\n".encode(), b"author ", who, b"committer ", who, _data(message.encode())]
        stream += [f"from {parent}\n".encode(), *(_change(path, file) for path, file in changes.items()), b"\nget-mark :1\n"]
        arguments = ("fast-import", "--quiet", "--force", "--date-format=now")
        # The bound is on what git fetches: a revert may name a blob that is not here.
        commit = (await self._git(*arguments, tried=tried, stdin=b"".join(stream), file_limit=2 * FILE_LIMIT)).text
        if author.signing_key is None:
            return commit
        signed = (*signing_options(author.signing_key), "commit-tree", "-S", f"{commit}^{{tree}}", "-p", parent, "-F", "-")
        return (await self._git(*signed, tried=f"signing a commit of {self._shown}", stdin=message.encode(), author=author)).text

    async def is_signed_with(self, commit: str, key: Path) -> bool:
        """Whether a commit has a signature of this SSH key."""
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="signers-") as folder:
            options = await verifying_options(key, Path(folder) / "allowed")
            return (await self._run(*options, "verify-commit", commit, tried=f"verifying {commit[:12]}")).code == 0

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

    async def with_trailer(self, head: str, key: str, value: str) -> list[Commit]:
        """The commits up to a head that carry a trailer, the newest first."""
        found = await self._log(("--fixed-strings", f"--grep={key}: {value}", head, "--"), key)
        return [commit for commit in found if value in commit.trailer]

    async def touching(self, head: str, since: str, paths: Collection[str], key: str, limit: int) -> list[Commit]:
        """The newest commits up to a head that changed one of some files, the newest first.

        Args:
            head: The last commit.
            since: A commit that is left out, with all behind it; nothing for none.
            paths: The files.
            key: The trailer that is read of each.
            limit: How many at most.
        """
        commits = (f"--max-count={limit}", head, *([f"^{since}"] if since else []))
        return await self._log((*commits, "--", *(f":(literal){path}" for path in sorted(paths))), key)

    async def _log(self, arguments: Collection[str], key: str) -> list[Commit]:
        values = "%(trailers:key={},valueonly,separator=%x01)"
        fields = ("%H", "%P", "%an", "%ae", "%cn", "%ce", values.format(key), values.format(RUN_TRAILER))
        form = f"--format={'%x00'.join(fields)}"
        listed = (await self._git("log", "-z", form, *arguments, tried=f"looking for {key} in {self._shown}")).text
        # With -z, each commit ends with one NUL more.
        told = listed.split("\0")
        return [_commit(told[start : start + len(fields)]) for start in range(0, len(told) - 1, len(fields))]

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
        return Change(changed_by, shown_name(name), shown_name(email), time)

    async def parents(self, commit: str) -> list[str]:
        """The parents of a commit."""
        tried = f"looking for the parents of {commit[:12]} of {self._shown}"
        return (await self._git("rev-list", "--parents", "-n", "1", commit, "--", tried=tried)).text.split()[1:]

    async def changed_files(self, parent: str, commit: str) -> dict[str, tuple[Entry | None, Entry | None]]:
        """The files that a commit changed, before and after."""
        tried = f"looking at what {commit[:12]} of {self._shown} changes"
        listed = await self._git("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", parent, commit, tried=tried)
        fields = listed.text.split("\0")
        changed: dict[str, tuple[Entry | None, Entry | None]] = {}
        for raw, path in zip(fields[::2], fields[1::2], strict=False):
            old_mode, new_mode, old_blob, new_blob, _ = raw.removeprefix(":").split(" ")
            changed[path] = _entry(old_mode, old_blob), _entry(new_mode, new_blob)
        return changed

    async def reverted_tree(self, commit: str, head: str) -> Changes:
        """The files of the head without a commit's changes; empty if none of them is left."""
        tried = f"reverting {commit[:12]} of {self._shown}"
        parents = await self.parents(commit)
        if len(parents) != 1:
            raise NeedsPersonError(tried, f"the commit has {len(parents)} parents", "revert it by hand")
        changed = await self.changed_files(parents[0], commit)
        now = await self.entries(head, changed)
        changes: Changes = {}
        for path, (before, after) in changed.items():
            if now[path] != before:
                changes[path] = before if now[path] == after else await self._merged(now[path], after, before, path, tried)
        return changes

    async def _merged(self, now: Entry | None, base: Entry | None, wanted: Entry | None, path: str, tried: str) -> NewFile:
        remedy = "revert it by hand, or keep it"
        if now is None or base is None or wanted is None:
            raise NeedsPersonError(tried, f"{path} was added or removed since", remedy)
        contents = await self.contents(dict.fromkeys((now.blob, base.blob, wanted.blob), path))
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="merge-") as folder:
            files = [Path(folder) / name for name in ("now", "base", "wanted")]
            for file, entry in zip(files, (now, base, wanted), strict=True):
                file.write_bytes(contents[entry.blob])
            answer = await self._run("merge-file", "-p", "--quiet", *map(str, files), tried=tried)
        if answer.code:
            raise NeedsPersonError(tried, f"the same lines of {path} were changed since", remedy)
        return NewFile(now.mode, answer.stdout)

    async def _run(
        self, *arguments: str, tried: str, stdin: bytes = b"", author: Author | None = None, file_limit: int | None = None
    ) -> GitAnswer:
        return await run_git(
            arguments,
            folder=self._folder,
            tried=tried,
            stdin=stdin,
            environment=_identity(author) if author else None,
            pass_fds=(self._lock,),
            file_limit=file_limit,
        )

    async def _git(
        self, *arguments: str, tried: str, stdin: bytes = b"", author: Author | None = None, file_limit: int | None = None
    ) -> GitAnswer:
        answer = await self._run(*arguments, tried=tried, stdin=stdin, author=author, file_limit=file_limit)
        if answer.code:
            raise failure(tried, answer)
        return answer


def _entry(mode: str, blob: str) -> Entry | None:
    return Entry(mode, blob) if mode.strip("0") else None


def _commit(fields: Sequence[str]) -> Commit:
    commit, parents, author, author_email, committer, committer_email, trailer, runs = fields
    return Commit(
        id=commit,
        parents=tuple(parents.split()),
        author=Author(author, author_email),
        committer=Author(committer, committer_email),
        runs=tuple(runs.split("\x01")) if runs else (),
        trailer=tuple(trailer.split("\x01")) if trailer else (),
    )


def _change(path: str, file: Entry | NewFile | None) -> bytes:
    """A file of a new commit, as git's fast-import reads it."""
    quoted = '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if file is None:
        return f"D {quoted}\n".encode()
    if isinstance(file, Entry):
        return f"M {file.mode} {file.blob} {quoted}\n".encode()
    return f"M {file.mode} inline {quoted}\n".encode() + _data(file.content)


def _data(content: bytes) -> bytes:
    return f"data {len(content)}\n".encode() + content + b"\n"


def _identity(author: Author) -> dict[str, str]:
    return {
        "GIT_AUTHOR_NAME": author.name,
        "GIT_AUTHOR_EMAIL": author.email,
        "GIT_COMMITTER_NAME": author.name,
        "GIT_COMMITTER_EMAIL": author.email,
    }

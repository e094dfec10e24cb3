"""Which commits are a promotion's own. Whoever may push can write any trailer, so a trailer alone proves nothing.

A commit is the promotion's own if the worker made it (author, committer, and the signature if the worker has a key), if it is of
this run, and if it changes its parent by what the event's handler writes and by nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from activities.repositories import read_files
from slipway.api import AppRef
from slipway.app.pipecd import EventHandler
from slipway.app.replacements import FileChange, apply_event
from slipway.errors import RefusedError
from slipway.git.mirror import Commit
from slipway.git.repository import PROMOTION_TRAILER, REVERT_TRAILER, Repository
from slipway.git.rules import app_file

CANDIDATES = 20
"""The most commits with one trailer that are looked at, the newest first."""


@dataclass(frozen=True)
class Written:
    """What a promotion writes.

    Args:
        app: Whose files.
        promotion_id: The promotion.
        run: Its first run; nothing where an older release recorded the activity.
        handler: Which places of which files.
        image: The value.
    """

    app: AppRef
    promotion_id: str
    run: str
    handler: EventHandler
    image: str

    @property
    def files(self) -> frozenset[str]:
        """The files, by their paths in the application's folder."""
        return frozenset(replacement.file for replacement in self.handler.replacements)


@dataclass(frozen=True)
class Judged:
    """A commit with the promotion's trailer: what it changed if it is the promotion's own, or why it is not."""

    commit: Commit
    changes: tuple[FileChange, ...] = ()
    objection: str = ""


async def commits_of(repository: Repository, head: str, promotion_id: str, run: str) -> tuple[list[Commit], list[Commit]]:
    """The commits that carry a promotion's trailer, the newest first: those that may be this run's, and those of other runs."""
    carrying = await repository.with_trailer(head, PROMOTION_TRAILER, promotion_id)
    others = [commit for commit in carrying if commit.runs and commit.runs != (run,)]
    return [commit for commit in carrying if commit not in others][:CANDIDATES], others


async def judge(repository: Repository, commits: Sequence[Commit], written: Written) -> Judged | None:
    """The newest commit that is the promotion's own; else the newest with what speaks against it; none where there is none."""
    first: Judged | None = None
    for commit in commits:
        judged = await _judge_one(repository, commit, written)
        if not judged.objection:
            return judged
        first = first or judged
    return first


async def own_revert(repository: Repository, head: str, commit: str, written: Written) -> Commit | None:
    """The worker's commit that reverted another one, if the image does not stand at the head any more."""
    reverts = await repository.with_trailer(head, REVERT_TRAILER, commit)
    if not reverts:
        return None
    files = await read_files(repository, written.app, head, written.files)
    if any(content and written.image.encode() in content for content in files.values()):
        return None
    for revert in reverts[:CANDIDATES]:
        if await repository.is_by_worker(revert):
            return revert
    return None


async def _judge_one(repository: Repository, commit: Commit, written: Written) -> Judged:
    if written.run and not commit.runs:
        return Judged(commit, objection="it does not say of which run it is")
    if len(commit.parents) != 1:
        return Judged(commit, objection=f"it has {len(commit.parents)} parents")
    if not await repository.is_by_worker(commit):
        signed = " signed with its key" if repository.author.signing_key else ""
        who = f"its author is {commit.author} and its committer {commit.committer}"
        return Judged(commit, objection=f"{who}, and the worker commits as {repository.author}{signed}")
    return await _judge_content(repository, commit, written)


async def _judge_content(repository: Repository, commit: Commit, written: Written) -> Judged:
    parent = commit.parents[0]
    changed = await repository.changed_files(parent, commit.id)
    paths = {file: app_file(written.app.folder, file) for file in written.files}
    foreign = sorted(changed - set(paths.values()))
    if foreign:
        return Judged(commit, objection=f"it changes {', '.join(foreign[:3])}, which the event's handler does not write to")
    before = await read_files(repository, written.app, parent, written.files)
    after = await read_files(repository, written.app, commit.id, written.files)
    try:
        changes = await asyncio.to_thread(apply_event, written.handler, written.image, before.get)
    except RefusedError as error:
        return Judged(commit, objection=f"the handler could not have written it: {error.report.answered}")
    differing = [change.file for change in changes if after[change.file] != change.content]
    if differing or not changed:
        place = f" in {differing[0]}" if differing else ""
        return Judged(commit, objection=f"it does not write {written.image}{place}, or writes more than that")
    return Judged(commit, changes)

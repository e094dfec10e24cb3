"""One look at a deployment branch: which images piped's event watcher has written since the last one.

An image counts as new where a commit that was not there before brought it. Only the newest of an application counts, as piped
runs only the newest; those that it replaced are superseded. What was there at the first look is not promoted.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath

from activities.event_commits import ImageChange, author_of, image_changes, parse_held, shown_value, value_at, value_if_there
from activities.images.registries import find_digest
from activities.repositories import Repositories, findings_at
from slipway.api import AppRef, Message, PromotionRequest
from slipway.app.lint import App
from slipway.app.problems import FileError
from slipway.app.spec import SPEC_FILE
from slipway.aws.clients import Aws
from slipway.errors import RefusedError, SlipwayError, cap
from slipway.git.mirror import Commit
from slipway.git.repository import Repository
from slipway.people import NAME_LIMIT, fold_name
from slipway.policy.check import entry_for, require_app
from slipway.text import one_line
from slipway.watch import OpenApp, SeenBranch, WatchedBranch

MOST_APPS = 1_000
"""Applications of one branch that are watched."""
MOST_OPEN = 100
"""Applications whose image is looked at again by itself."""
WHY_LIMIT = 600
SUPERSEDED = 10
"""Superseded images that are named."""
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
log = logging.getLogger(__name__)


class FoundImage(Message):
    """An image to promote."""

    request: PromotionRequest
    commit: str
    """The commit that brought it."""
    held: str
    """What the files name it by."""
    superseded: tuple[str, ...] = ()
    """The images that it replaced before they were promoted, each with its commit."""


class BranchNews(Message):
    """What one look, or many, brought."""

    seen: SeenBranch
    found: tuple[FoundImage, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Looked:
    """One application."""

    by_piped: bool = False
    found: FoundImage | None = None
    open: OpenApp | None = None
    note: str = ""


class BranchLook:
    """One look at a branch.

    Args:
        aws: Where to find registries.
        repositories: The repositories that this worker may use, and its policy.
        branch: The branch.
        seen: What the last look has seen.
        head: The branch's head.
    """

    def __init__(self, aws: Aws, repositories: Repositories, branch: WatchedBranch, seen: SeenBranch, head: str) -> None:
        self._aws = aws
        self._repositories = repositories
        self._branch = branch
        self._seen = seen
        self._head = head

    async def news(self) -> BranchNews:
        """What is new.

        Raises:
            SlipwayError: The branch cannot be read. What is wrong with one application is noted, and the others are looked at.
        """
        seen = self._seen
        if self._head == seen.commit and not seen.open:
            return BranchNews(seen=seen)
        repository = await self._repositories.open(self._app("."))
        notes: list[str] = []
        if seen.commit and not await repository.has(seen.commit):
            gone = f"{seen.commit[:12]} is gone: the branch was pushed by force, and is watched from {self._head[:12]} on"
            notes.append(gone)
            seen = self._seen = SeenBranch()
        folders = {str(PurePosixPath(path).parent) for path in await repository.find_files(self._head, SPEC_FILE, MOST_APPS)}
        looked = {folder: await self._look(repository, folder, since) for folder, since in (await self._due(repository, folders))}
        apps = {folder for folder in seen.apps if folder in folders and folder not in looked}
        apps |= {folder for folder, each in looked.items() if each.by_piped}
        still_open = [each.open for each in looked.values() if each.open]
        return BranchNews(
            seen=SeenBranch(commit=self._head, apps=tuple(sorted(apps)), open=tuple(still_open[:MOST_OPEN])),
            found=tuple(each.found for each in looked.values() if each.found),
            notes=(*notes, *(each.note for each in looked.values() if each.note)),
        )

    async def _due(self, repository: Repository, folders: Collection[str]) -> list[tuple[str, str]]:
        """The applications to look at, each with the commit after which an image counts as new; empty for none that does."""
        since = self._seen.commit
        if not since:
            return [(folder, "") for folder in sorted(folders)]
        changed = await repository.changed_files(since, self._head)
        touched = {str(parent) for path in changed for parent in PurePosixPath(path).parents}
        due = {folder: since for folder in folders if folder in touched}
        due |= {each.folder: each.since for each in self._seen.open if each.folder in folders}
        return sorted(due.items())

    async def _look(self, repository: Repository, folder: str, since: str) -> _Looked:
        was_by_piped = folder in self._seen.apps
        try:
            return await self._look_at(repository, self._app(folder), since, was_by_piped=was_by_piped)
        except SlipwayError as error:
            why = str(error)
        except Exception as error:
            # Whatever it is, it is about this application, and no reason to lose the others of the branch.
            log.exception("looking at %s failed", folder)
            why = f"looking at {folder} failed: {type(error).__name__}: {error}; the worker's log has more"
        return _Looked(by_piped=True, open=OpenApp(folder=folder, since=since, why=cap(one_line(why), WHY_LIMIT)))

    async def _look_at(self, repository: Repository, ref: AppRef, since: str, *, was_by_piped: bool) -> _Looked:
        policy = await self._repositories.policies()
        try:
            entry = entry_for(policy, ref)
        except RefusedError:
            return _Looked()  # an application of others
        findings = await findings_at(repository, ref, self._head)
        app = findings.app
        if app is None and was_by_piped and since:
            raise FileError(f"reading {ref.folder} of {repository.shown} at {self._head[:12]}", findings.errors)
        if app is None or app.spec.spec.git.writer != "pipecd":
            return _Looked()
        if not since:
            return _Looked(by_piped=True)
        require_app(entry, ref, app)
        return await self._compare(repository, ref, app, since)

    async def _compare(self, repository: Repository, ref: AppRef, app: App, since: str) -> _Looked:
        held = await value_at(repository, ref, app.handler, self._head)
        before = await value_if_there(repository, ref, app.handler, since)
        if held == before:
            return _Looked(by_piped=True)
        if not before:
            return _Looked(
                by_piped=True, note=f"{ref.folder} is new: its image {shown_value(held)} was not promoted, the next one will be"
            )
        changes = [change async for change in image_changes(repository, ref, app.handler, self._head, since)]
        brought = next((change for change in changes if change.after == held), None)
        if brought is None:
            return _Looked(
                by_piped=True, note=f"{ref.folder} is back at {shown_value(held)} by a push by force: no new commit brought it"
            )
        if await repository.is_by_worker(brought.commit):
            return _Looked(by_piped=True)  # a promotion from before, or its revert
        return _Looked(by_piped=True, found=await self._found(ref, app, brought, changes))

    async def _found(self, ref: AppRef, app: App, brought: ImageChange, changes: Collection[ImageChange]) -> FoundImage:
        held, commit = brought.after, brought.commit
        reference = parse_held(f"reading the image of {ref.folder} at {commit.id[:12]}", held)
        digest = await find_digest(self._aws, reference)
        superseded = [f"{shown_value(each.after)} of {each.commit.id[:12]}" for each in changes if each.after != held]
        request = PromotionRequest(
            app=ref,
            image=f"{app.spec.spec.image.source}@{digest}",
            commit=source_commit(commit),
            requested_by=requester(commit),
        )
        return FoundImage(request=request, commit=commit.id, held=held, superseded=tuple(superseded[:SUPERSEDED]))

    def _app(self, folder: str) -> AppRef:
        return AppRef(repository=self._branch.repository, branch=self._branch.branch, folder=folder)


def source_commit(commit: Commit) -> str:
    """The commit that the image was built from, as the event's trailer has it; empty where there is none."""
    return next((value for value in reversed(commit.trailer) if _COMMIT.fullmatch(value)), "")


def requester(commit: Commit) -> str:
    """Who asks for the promotion: the author that the commit claims."""
    name = "".join(letter for letter in author_of(commit) if letter.isprintable())[:NAME_LIMIT].strip()
    return name if fold_name(name) else "unknown"

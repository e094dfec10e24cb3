"""Stage 2 activities: read the application from the deployment branch, commit the image, revert the commit."""

from __future__ import annotations

import asyncio
import re

from temporalio import activity

from activities.compensation import Compensation
from activities.event_commits import shown_value
from activities.guard import known_origin, promoted_image
from activities.origin import Origin
from activities.own_commits import Judged, Written, commits_of, judge, own_revert
from activities.repositories import Repositories, findings_at, read_files
from slipway.api import AppRef, IdentityLevel, LedgerState, Message, Rollback, TaskdefCommit
from slipway.app.going_back import spec_of_rollback
from slipway.app.pipecd import Attachment, EcsApp, EventHandler
from slipway.app.problems import FileError
from slipway.app.replacements import FileChange, apply_event
from slipway.app.spec import ModelPromotion
from slipway.errors import NeedsPersonError, RefusedError, TransientError
from slipway.git.mirror import RUN_TRAILER
from slipway.git.repository import PROMOTION_TRAILER, PushConflict, Repository
from slipway.git.rules import app_file
from slipway.oci.reference import ImageReference
from slipway.policy.check import entry_for, require_app

REQUESTER_TRAILER = "Slipway-Requested-By"
SOURCE_TRAILER = "Slipway-Source-Commit"
PUSH_TRIES = 5


class ReadApp(Message):
    """Input of `read_app`."""

    app: AppRef
    image: str
    rollback: Rollback | None = None
    """Where it is a rollback: then there is no image, and the spec is read as a rollback uses it."""


class AppSnapshot(Message):
    """The application's files, read at one commit of the deployment branch, checked against each other."""

    commit: str
    spec: ModelPromotion
    ecs: EcsApp
    handler: EventHandler
    """What the event watcher of `spec.git.event` does: which file and field, and the commit message."""
    containers: tuple[str, ...] = ()
    """The containers whose image the handler writes."""
    attachment: Attachment | None = None
    """What is put into the task definition's file before it is read."""
    warnings: tuple[str, ...] = ()
    identity: IdentityLevel = IdentityLevel.claimed
    """How well those who approve have to be known: the policy's."""


class WriteImage(Message):
    """Input of `write_image`."""

    app: AppRef
    promotion_id: str
    handler: EventHandler
    event: str
    image: str
    requested_by: str
    source_commit: str
    origin: Origin | None = None
    """Absent where an older release recorded the input."""
    run: str = ""
    """The promotion's first run. Absent where an older release recorded the input; commits' runs are not compared then."""


class RevertImage(Message):
    """Input of `revert_image`."""

    app: AppRef
    promotion_id: str
    reason: str
    origin: Origin | None = None
    """Absent where an older release recorded the input."""
    run: str = ""
    """The promotion's first run. Absent where an older release recorded the input; commits' runs are not compared then."""


class TaskdefActivities:
    """Stage 2, and the reading of the application before all stages.

    Args:
        repositories: The repositories that this worker may use.
    """

    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories

    @activity.defn
    async def read_app(self, request: ReadApp) -> AppSnapshot:
        """The application's files at the head of the deployment branch, checked against each other. Reads only.

        Raises:
            RefusedError: The policy has no entry for the application or does not allow what its files say, a file is wrong (each
                place is listed), or the image is not from the repository that the spec names.
        """
        repository = await self._repositories.open(request.app)
        entry = entry_for(await self._repositories.policies(), request.app)
        commit = await repository.head(request.app.branch)
        findings = await findings_at(repository, request.app, commit)
        if findings.app is None:
            raise FileError(f"reading {request.app.folder} of {repository.shown} at {commit[:12]}", findings.errors)
        app = findings.app
        if request.rollback is None:
            require_source(request.image, app.spec.spec.image.source)
        require_app(entry, request.app, app)
        spec = spec_of_rollback(app.spec, request.rollback.endpoint) if request.rollback else app.spec
        return AppSnapshot(
            commit=commit,
            spec=spec,
            ecs=app.pipecd.ecs,
            handler=app.handler,
            containers=app.containers,
            attachment=app.pipecd.attachment,
            warnings=tuple(str(problem) for problem in findings.warnings),
            identity=entry.approval.level,
        )

    @activity.defn
    async def write_image(self, request: WriteImage) -> TaskdefCommit:
        """Writes the image into the files that the event's handler names, commits and pushes.

        If it is killed after the push, the retry finds the commit by its trailer, and the former value at the commit's parent. A
        commit that carries the trailer and is not this promotion's own is left alone.

        Raises:
            RefusedError: A field is missing or no single value.
            TransientError: Others push all the time.
        """
        repository = await self._repositories.open(request.app)
        branch = request.app.branch
        for _ in range(PUSH_TRIES):
            head = await repository.head(branch)
            done = await _standing_commit(repository, head, request)
            if done is not None:
                return _written(done.commit.id, done.changes)
            try:
                return await _write(repository, head, request)
            except PushConflict:
                continue  # the branch moved: look again, and work on its new head
        raise TransientError(f"pushing to {branch} of {repository.shown}", f"others pushed {PUSH_TRIES} times in the meantime")

    @activity.defn
    async def revert_image(self, request: RevertImage) -> Compensation:
        """Reverts the promotion's commit on the branch's current head; what others have changed since stays.

        If it is killed after the push, the retry finds the revert by its trailer.

        Raises:
            NeedsPersonError: Others have changed the same lines since, or a commit that carries the promotion's trailer is not
                proven to be its own.
        """
        repository, branch = await self._repositories.open(request.app), request.app.branch
        head = await repository.head(branch)
        mine, others = await commits_of(repository, head, request.promotion_id, request.run)
        if not mine:
            of_others = f"; {others[0].id[:12]} is of another run, and stays" if others else ""
            return Compensation(state=LedgerState.kept, note=f"the promotion made no commit{of_others}")
        written = await _what_was_written(repository, request)
        judged = await judge(repository, mine, written)
        if judged is None or judged.objection:
            raise _not_proven(repository, request, judged)
        commit = judged.commit.id
        earlier = await own_revert(repository, head, commit, written)
        if earlier:
            return Compensation(state=LedgerState.undone, note=f"{commit[:12]} is reverted by {earlier.id[:12]}")
        message = f"Revert the image of promotion {request.promotion_id}\n\n{short_line(request.reason)}"
        revert = await repository.revert(branch, commit, message)
        note = f"{commit[:12]} is reverted by {revert.commit[:12]}" if revert.changed else f"{commit[:12]} has no effect any more"
        return Compensation(state=LedgerState.undone, note=note)


async def _standing_commit(repository: Repository, head: str, request: WriteImage) -> Judged | None:
    """The promotion's own commit, unless it was reverted."""
    written = Written(request.app, request.promotion_id, request.run, request.handler, request.image)
    mine, _ = await commits_of(repository, head, request.promotion_id, request.run)
    judged = await judge(repository, mine, written)
    if judged is None or judged.objection or await own_revert(repository, head, judged.commit.id, written):
        return None
    return judged


async def changes_at(
    repository: Repository, app: AppRef, commit: str, handler: EventHandler, image: str
) -> tuple[FileChange, ...]:
    """The files of a commit with an image written to where the event's handler says. Nothing is committed.

    Raises:
        RefusedError: A field is missing or no single value.
    """
    contents = await read_files(repository, app, commit, {replacement.file for replacement in handler.replacements})
    return await asyncio.to_thread(apply_event, handler, image, contents.get)


async def _write(repository: Repository, head: str, request: WriteImage) -> TaskdefCommit:
    changes = await changes_at(repository, request.app, head, request.handler, request.image)
    changed = [change for change in changes if change.changed]
    commit = head
    if changed:
        commit = await repository.commit_file(
            request.app.branch,
            head,
            {app_file(request.app.folder, change.file): change.content for change in changed},
            request.handler.message(request.image),
            trailers_of(request),
        )
    return _written(commit, changes)


def _written(commit: str, changes: tuple[FileChange, ...]) -> TaskdefCommit:
    first = changes[0]
    changed = any(change.changed for change in changes)
    return TaskdefCommit(commit=commit, changed=changed, file=first.file, before=shown_value(first.before), after=first.after)


async def _what_was_written(repository: Repository, request: RevertImage) -> Written:
    """What the promotion writes, by the files that it pinned: nothing in the activity's input is believed."""
    origin = known_origin("revert_image", request.origin)
    app = (findings := await findings_at(repository, origin.app, origin.commit)).app
    if app is None:
        raise NeedsPersonError(
            f"reading what the promotion {request.promotion_id} wrote",
            f"the files of {origin.app.folder} at {origin.commit[:12]} are refused: {findings.errors[0]}",
            "revert the promotion's commit by hand if it must be undone",
        )
    return Written(origin.app, request.promotion_id, request.run, app.handler, promoted_image(origin, app))


def _not_proven(repository: Repository, request: RevertImage, judged: Judged | None) -> NeedsPersonError:
    found = f"{judged.commit.id[:12]} carries its trailer, but {judged.objection}" if judged else "there is none"
    return NeedsPersonError(
        f"reverting the commit of the promotion {request.promotion_id} on {request.app.branch} of {repository.shown}",
        found,
        "look at that commit, and revert it by hand if it must be undone",
    )


def trailers_of(request: WriteImage) -> dict[str, str]:
    """The trailers that say where the commit comes from."""
    trailers = {
        PROMOTION_TRAILER: request.promotion_id,
        RUN_TRAILER: request.run,
        REQUESTER_TRAILER: short_line(request.requested_by),
        SOURCE_TRAILER: short_line(request.source_commit),
    }
    return {key: value for key, value in trailers.items() if value}


def short_line(text: str) -> str:
    """A sender's text as one line of at most 200 characters, so that it cannot add trailers."""
    return " ".join(re.sub(r"[\x00-\x20\x7f\x85\u2028\u2029]+", " ", text).split())[:200]


def require_source(image: str, source: str) -> None:
    """Checks that an image comes from the repository that the spec names.

    Raises:
        RefusedError: It comes from another, or names no registry.
    """
    tried = f"checking where {image} comes from"
    try:
        repository = str(ImageReference.parse(image).without_reference)
    except ValueError as error:
        raise RefusedError(tried, str(error), "start with the image's whole name, by digest") from error
    if repository != source:
        remedy = "start with an image of that repository, or change spec.image.source on the deployment branch"
        raise RefusedError(tried, f"the spec's spec.image.source is {source}", remedy)

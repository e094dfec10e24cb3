"""Stage 2 activities: read the application from the deployment branch, commit the image, revert the commit."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial

from temporalio import activity

from activities.compensation import Compensation
from activities.origin import Origin
from activities.repositories import Repositories
from slipway.api import AppRef, LedgerState, Message, TaskdefCommit
from slipway.app.lint import read_app_from
from slipway.app.pipecd import Attachment, EcsApp, EventHandler
from slipway.app.problems import FileError
from slipway.app.replacements import FileChange, apply_event
from slipway.app.spec import ModelPromotion
from slipway.errors import RefusedError, TransientError
from slipway.git.repository import PROMOTION_TRAILER, REVERT_TRAILER, PushConflict, Repository
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


class RevertImage(Message):
    """Input of `revert_image`."""

    app: AppRef
    promotion_id: str
    reason: str
    origin: Origin | None = None
    """Absent where an older release recorded the input."""


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
        findings = await read_app_from(lambda path: repository.read_if_there(commit, app_file(request.app.folder, path)))
        if findings.app is None:
            raise FileError(f"reading {request.app.folder} of {repository.shown} at {commit[:12]}", findings.errors)
        app = findings.app
        require_source(request.image, app.spec.spec.image.source)
        require_app(entry, request.app, app)
        return AppSnapshot(
            commit=commit,
            spec=app.spec,
            ecs=app.pipecd.ecs,
            handler=app.handler,
            containers=app.containers,
            attachment=app.pipecd.attachment,
            warnings=tuple(str(problem) for problem in findings.warnings),
        )

    @activity.defn
    async def write_image(self, request: WriteImage) -> TaskdefCommit:
        """Writes the image into the files that the event's handler names, commits and pushes.

        If it is killed after the push, the retry finds the commit by its trailer, and the former value at the commit's parent.

        Raises:
            RefusedError: A field is missing or no single value.
            TransientError: Others push all the time.
        """
        repository = await self._repositories.open(request.app)
        branch = request.app.branch
        for _ in range(PUSH_TRIES):
            done = await self._standing_commit(repository, branch, request.promotion_id)
            if done is not None:
                first = (await _changes(request, partial(repository.read_before, done)))[0]
                return TaskdefCommit(commit=done, changed=True, file=first.file, before=first.before, after=first.after)
            try:
                return await self._write(repository, request)
            except PushConflict:
                continue  # the branch moved: look again, and work on its new head
        raise TransientError(f"pushing to {branch} of {repository.shown}", f"others pushed {PUSH_TRIES} times in the meantime")

    @staticmethod
    async def _standing_commit(repository: Repository, branch: str, promotion_id: str) -> str | None:
        """The promotion's commit, unless it was reverted."""
        commit = await repository.find_by_trailer(branch, PROMOTION_TRAILER, promotion_id)
        if commit is None or await repository.find_by_trailer(branch, REVERT_TRAILER, commit):
            return None
        return commit

    @staticmethod
    async def _write(repository: Repository, request: WriteImage) -> TaskdefCommit:
        head = await repository.head(request.app.branch)
        changes = await _changes(request, partial(repository.read_if_there, head))
        first = changes[0]
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
        return TaskdefCommit(commit=commit, changed=bool(changed), file=first.file, before=first.before, after=first.after)

    @activity.defn
    async def revert_image(self, request: RevertImage) -> Compensation:
        """Reverts the promotion's commit on the branch's current head; what others have changed since stays.

        If it is killed after the push, the retry finds the revert by its trailer.

        Raises:
            NeedsPersonError: Others have changed the same lines since.
        """
        repository, branch = await self._repositories.open(request.app), request.app.branch
        commit = await repository.find_by_trailer(branch, PROMOTION_TRAILER, request.promotion_id)
        if commit is None:
            return Compensation(state=LedgerState.kept, note="the promotion made no commit")
        message = f"Revert the image of promotion {request.promotion_id}\n\n{one_line(request.reason)}"
        revert = await repository.revert(branch, commit, message, {})
        note = f"{commit[:12]} is reverted by {revert.commit[:12]}" if revert.changed else f"{commit[:12]} has no effect any more"
        return Compensation(state=LedgerState.undone, note=note)


async def _changes(request: WriteImage, read: Callable[[str], Awaitable[bytes | None]]) -> tuple[FileChange, ...]:
    files = {replacement.file for replacement in request.handler.replacements}
    contents = {file: await read(path_of(request.app, file)) for file in sorted(files)}
    return await asyncio.to_thread(apply_event, request.handler, request.image, contents.get)


def path_of(app: AppRef, file: str) -> str:
    """The path of an application's file in its repository."""
    return app_file(app.folder, file)


def trailers_of(request: WriteImage) -> dict[str, str]:
    """The trailers that say where the commit comes from."""
    trailers = {PROMOTION_TRAILER: request.promotion_id, REQUESTER_TRAILER: one_line(request.requested_by)}
    source = one_line(request.source_commit)
    return trailers | ({SOURCE_TRAILER: source} if source else {})


def one_line(text: str) -> str:
    """A sender's text as one line, so that it cannot add trailers."""
    return " ".join(re.sub(r"[\x00-\x20\x7f\x85\u2028\u2029]+", " ", text).split())[:200]


def require_source(image: str, source: str) -> None:
    """Checks that an image comes from the repository that the spec names.

    Raises:
        RefusedError: It comes from another, or is not an image in ECR.
    """
    tried = f"checking where {image} comes from"
    try:
        repository = str(ImageReference.parse(image).without_reference)
    except ValueError as error:
        raise RefusedError(tried, str(error), "start with the image's name in ECR, by digest") from error
    if repository != source:
        remedy = "start with an image of that repository, or change spec.image.source on the deployment branch"
        raise RefusedError(tried, f"the spec's spec.image.source is {source}", remedy)

"""The image that piped's event watcher wrote into an application's files, and the commit that brought it.

Whoever may push can write the same, with any author and any trailer. So what counts is what the files hold: piped goes by that,
too. Who the commit says it is by is only claimed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from temporalio import activity

from activities.images.registries import find_digest
from activities.origin import Origin
from activities.repositories import Repositories, read_files
from slipway.api import AppRef, Message, TaskdefCommit
from slipway.app.pipecd import EventHandler
from slipway.app.replacements import value_held
from slipway.aws.clients import Aws
from slipway.errors import RefusedError, cap
from slipway.git.mirror import Commit, shown_name
from slipway.git.repository import Repository
from slipway.git.rules import app_file
from slipway.oci.reference import ImageReference
from slipway.text import one_line

TRACE_TRAILER = "Pipecd-Dev-Trace-Trigger-Commit-Hash"
"""The trailer in which piped's event watcher keeps the event's commit: the source that the image was built from."""
VALUE_SHOWN = 600
"""Characters of a value that files hold. The longest name of an image that ECR takes has fewer."""
LOOKED_AT = 50
"""The most commits that are looked at for the one that brought an image, the newest first."""
_ANEW = "register the event anew, so that piped commits the image, or correct it on the branch"


class VerifyImage(Message):
    """Input of `verify_image`."""

    app: AppRef
    promotion_id: str
    handler: EventHandler
    commit: str
    """The pinned commit of the deployment branch."""
    image: str
    """The image that is promoted, in its source repository and by digest."""
    origin: Origin | None = None


class HeldImage(Message):
    """An image that the files hold."""

    taskdef: TaskdefCommit
    """The commit that brought it, with what the files had before and have since. Slipway changed nothing."""
    author: str
    """Who the commit says it is by."""


@dataclass(frozen=True)
class ImageChange:
    """A commit that changed the image in an application's files."""

    commit: Commit
    before: str
    """Empty where there was none."""
    after: str


class EventCommitActivities:
    """Stage 2, where piped's event watcher writes the image.

    Args:
        aws: Where to find registries.
        repositories: The repositories that this worker may use.
    """

    def __init__(self, aws: Aws, repositories: Repositories) -> None:
        self._aws = aws
        self._repositories = repositories

    @activity.defn
    async def verify_image(self, request: VerifyImage) -> HeldImage:
        """Finds the commit that brought the image that is promoted. Reads only.

        Raises:
            RefusedError: The files do not hold that image at the pinned commit, or another commit has replaced it since.
        """
        app, handler = request.app, request.handler
        repository = await self._repositories.open(app)
        held = await require_held(self._aws, repository, app, handler, request.commit, request.image)
        await _require_newest(repository, request, held)
        async for change in image_changes(repository, app, handler, request.commit):
            if change.after == held:
                return _found(handler, change)
        raise RefusedError(
            f"looking for the commit that brought {held} to {app.branch} of {repository.shown}",
            f"none of the last {LOOKED_AT} commits to these files did",
            _ANEW,
        )


async def require_held(aws: Aws, repository: Repository, app: AppRef, handler: EventHandler, commit: str, image: str) -> str:
    """What the files hold at a commit, if that is an image: by its digest, or by a tag that names it now.

    Args:
        aws: Where to find registries.
        repository: The application's.
        app: Whose files.
        handler: Which places in them.
        commit: The commit.
        image: The image, by digest.

    Raises:
        RefusedError: They hold another one.
    """
    held = await value_at(repository, app, handler, commit)
    tried = f"looking for {image} in {app.folder} at {commit[:12]} of {repository.shown}"
    reference, wanted = parse_held(tried, held), ImageReference.parse(image)
    if reference.without_reference != wanted.without_reference:
        raise RefusedError(tried, f"its image is {held}", _ANEW)
    digest = await find_digest(aws, reference)
    if digest != wanted.digest:
        now = "" if reference.digest else f", and that tag names {digest} now"
        raise RefusedError(tried, f"its image is {held}{now}", _ANEW)
    return held


def parse_held(tried: str, held: str) -> ImageReference:
    """The image that the files name.

    Raises:
        RefusedError: That is no image with its registry.
    """
    try:
        return ImageReference.parse(held)
    except ValueError as error:
        raise RefusedError(tried, str(error), _ANEW) from error


async def value_at(repository: Repository, app: AppRef, handler: EventHandler, commit: str) -> str:
    """The value of the places that an event's handler writes to, at a commit.

    Raises:
        RefusedError: One is not there, or they do not have one value.
    """
    files = await read_files(repository, app, commit, {replacement.file for replacement in handler.replacements})
    # Strangers write the files; other promotions go on meanwhile.
    return await asyncio.to_thread(value_held, handler, files.get)


async def value_if_there(repository: Repository, app: AppRef, handler: EventHandler, commit: str) -> str:
    """The same; empty where there is none."""
    try:
        return await value_at(repository, app, handler, commit)
    except RefusedError:
        return ""


async def image_changes(
    repository: Repository, app: AppRef, handler: EventHandler, head: str, since: str = ""
) -> AsyncGenerator[ImageChange]:
    """The newest commits that changed the image, the newest first.

    Args:
        repository: The application's.
        app: Whose files.
        handler: Which places in them.
        head: The last commit.
        since: A commit that is left out, with all behind it; nothing for none.
    """
    paths = {app_file(app.folder, replacement.file) for replacement in handler.replacements}
    for commit in await repository.touching(head, paths, since=since, trailer=TRACE_TRAILER, limit=LOOKED_AT):
        after = await value_if_there(repository, app, handler, commit.id)
        before = await value_if_there(repository, app, handler, commit.parents[0]) if commit.parents else ""
        if after and after != before:
            yield ImageChange(commit, before, after)


def shown_value(value: str) -> str:
    """What files hold, for people: whoever may push can write half a megabyte there."""
    return cap(one_line(value), VALUE_SHOWN)


def author_of(commit: Commit) -> str:
    """Who a commit says it is by, in one short line; a person's name is compared with those of approvers."""
    return shown_name(commit.author.name)


async def _require_newest(repository: Repository, request: VerifyImage, held: str) -> None:
    """Piped runs the newest image alone.

    Raises:
        RefusedError: The branch has another one by now.
    """
    app, handler, branch = request.app, request.handler, request.app.branch
    head = await repository.head(branch)
    now = await value_if_there(repository, app, handler, head)
    if now == held:
        return
    newest = await anext(image_changes(repository, app, handler, head), None)
    by = f", which {newest.commit.id[:12]} by {author_of(newest.commit)} (claimed) brought" if newest else ""
    raise RefusedError(
        f"looking for {held} at the head of {branch} of {repository.shown}",
        f"it is superseded by {shown_value(now) or 'none'}{by}",
        "nothing: the newest image has a promotion of its own; to go back to this one, register its event anew",
    )


def _found(handler: EventHandler, change: ImageChange) -> HeldImage:
    file = handler.replacements[0].file
    before = shown_value(change.before)
    taskdef = TaskdefCommit(commit=change.commit.id, changed=False, file=file, before=before, after=change.after)
    return HeldImage(taskdef=taskdef, author=author_of(change.commit))

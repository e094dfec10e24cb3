"""The task definition that a promotion registers, and whether there is a revision of it already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from activities.tags import HASH_TAG
from activities.tasks.messages import RegisterTaskDefinition
from slipway.app.attachment import read_definition
from slipway.app.taskdef import TaskDefinition, container_images, taskdef_hash
from slipway.aws.clients import Aws
from slipway.errors import RefusedError
from slipway.gathering import gather_bounded
from slipway.git.rules import app_file

ReadFiles = Callable[[Collection[str]], Awaitable[Mapping[str, bytes | None]]]
"""Gives files of the application's folder at one commit."""
REVISIONS_LOOKED_AT = 10
AT_ONCE = 5
"""Revisions that are described at the same time."""


async def definition_to_register(request: RegisterTaskDefinition, read: ReadFiles) -> TaskDefinition:
    """The task definition as it is registered.

    Args:
        request: Which file, and which image its containers must run.
        read: Reads the app's files.

    Raises:
        RefusedError: The file does not hold the image that was promoted.
    """
    path = app_file(request.app.folder, request.file)
    definition = await read_definition(request.file, read, request.attachment, path)
    tried = f"registering {path} at {request.commit[:12]}"
    require_image(tried, container_images(definition), request.held or request.image, request.containers)
    return by_digest(definition, request.image, request.containers) if request.held else definition


@dataclass(frozen=True)
class Revision:
    """A revision of a task definition that is registered."""

    arn: str
    described: Mapping[str, Any]
    """What ECS says of it."""
    content: str
    """The hash of what it was registered from, by its tag; empty where it has none."""


async def find_revision(aws: Aws, region: str, definition: TaskDefinition) -> str | None:
    """The ARN of a newer revision that was registered from the same content; none where there is none."""
    return revision_of(await newest_revisions(aws, region, definition["family"]), definition)


def revision_of(revisions: Iterable[Revision], definition: TaskDefinition) -> str | None:
    """The ARN of the first of these revisions that was registered from the same content; none where there is none."""
    wanted = taskdef_hash(definition)
    return next((revision.arn for revision in revisions if revision.content == wanted), None)


async def newest_revisions(aws: Aws, region: str, family: str) -> list[Revision]:
    """A family's active revisions, the newest first."""
    tried, ecs = f"looking for revisions of the task definition {family}", aws.ecs(region)
    listed = await aws.call(
        tried, ecs.list_task_definitions, familyPrefix=family, status="ACTIVE", sort="DESC", maxResults=REVISIONS_LOOKED_AT
    )

    async def one(arn: str) -> Revision:
        found = await aws.call(tried, ecs.describe_task_definition, taskDefinition=arn, include=["TAGS"])
        tags = {tag.get("key"): tag.get("value", "") for tag in found.get("tags", [])}
        return Revision(arn, cast("Mapping[str, Any]", found["taskDefinition"]), tags.get(HASH_TAG, ""))

    return await gather_bounded(one, listed["taskDefinitionArns"], AT_ONCE)


def require_image(tried: str, images: Mapping[str, str], image: str, written: Collection[str]) -> None:
    """Checks that the containers whose image was written run it. Another container with that image is no proof.

    Args:
        tried: What is tried, for the error.
        images: The image of each container.
        image: The image that was written.
        written: The containers that it was written to. Empty: it is not known, and one of any name will do.

    Raises:
        RefusedError: They run another.
    """
    others = {name: images.get(name, "nothing") for name in written if images.get(name) != image}
    if others or image not in images.values():
        runs = ", ".join(f"{name or 'one without a name'} runs {found}" for name, found in (others or images).items())
        raise RefusedError(tried, f"the image is {image}, and {runs}", "point the event watcher's field at the container's image")


def by_digest(definition: TaskDefinition, image: str, containers: Collection[str]) -> TaskDefinition:
    """The task definition whose containers run an image by its digest, whatever the file names it by."""
    changed = [
        each | {"image": image} if each.get("name", "") in containers else each for each in definition["containerDefinitions"]
    ]
    return {**definition, "containerDefinitions": changed}

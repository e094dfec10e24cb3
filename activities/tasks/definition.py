"""The task definition that a promotion registers, and whether there is a revision of it already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, cast

from activities.tags import HASH_TAG
from activities.tasks.messages import RegisterTaskDefinition
from slipway.app.attachment import read_definition
from slipway.app.taskdef import TaskDefinition, container_images, taskdef_hash
from slipway.aws.clients import Aws
from slipway.errors import RefusedError
from slipway.git.rules import app_file

ReadFiles = Callable[[Collection[str]], Awaitable[Mapping[str, bytes | None]]]
"""Gives files of the application's folder at one commit."""
REVISIONS_LOOKED_AT = 10


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


async def find_revision(aws: Aws, region: str, definition: TaskDefinition) -> str | None:
    """The ARN of a newer revision that was registered from the same content; none where there is none."""
    wanted = {"key": HASH_TAG, "value": taskdef_hash(definition)}
    tried = f"looking for revisions of the task definition {definition['family']}"
    for arn in await _revisions(aws, region, definition["family"], REVISIONS_LOOKED_AT):
        described = await aws.call(tried, aws.ecs(region).describe_task_definition, taskDefinition=arn, include=["TAGS"])
        if wanted in described.get("tags", []):
            return arn
    return None


async def newest_revision(aws: Aws, region: str, family: str) -> tuple[str, dict[str, Any]] | None:
    """The ARN of a family's newest active revision, and what ECS says of it; none where there is none."""
    tried = f"looking for revisions of the task definition {family}"
    for arn in await _revisions(aws, region, family, 1):
        described = await aws.call(tried, aws.ecs(region).describe_task_definition, taskDefinition=arn)
        return arn, cast("dict[str, Any]", described["taskDefinition"])
    return None


async def _revisions(aws: Aws, region: str, family: str, number: int) -> list[str]:
    listed = await aws.call(
        f"looking for revisions of the task definition {family}",
        aws.ecs(region).list_task_definitions,
        familyPrefix=family,
        status="ACTIVE",
        sort="DESC",
        maxResults=number,
    )
    return listed["taskDefinitionArns"]


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

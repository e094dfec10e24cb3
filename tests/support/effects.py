"""The requests of effects that several tests ask a worker for, as a promotion makes them."""

from __future__ import annotations

from activities.origin import Origin
from activities.taskdefs import WriteImage
from activities.tasks.messages import RegisterTaskDefinition
from slipway.app.lint import App


def write_image(origin: Origin, app: App, image: str) -> WriteImage:
    """To write an image where the event's handler says."""
    return WriteImage(
        app=origin.app,
        promotion_id=origin.promotion_id,
        handler=app.handler,
        event="image-update",
        image=image,
        requested_by="ci",
        source_commit="",
        origin=origin,
    )


def register_task_definition(origin: Origin, commit: str, image: str) -> RegisterTaskDefinition:
    """To register the file at a commit."""
    return RegisterTaskDefinition(
        app=origin.app, commit=commit, file="taskdef.yaml", region="us-east-1", image=image, origin=origin
    )

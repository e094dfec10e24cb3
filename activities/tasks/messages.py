"""Inputs and outputs of the task activities."""

from __future__ import annotations

from datetime import datetime, timedelta

from activities.origin import Origin
from slipway.api import AppRef, Message
from slipway.app.pipecd import Attachment, EcsApp


class RegisterTaskDefinition(Message):
    """Input of `register_task_definition`: the file at one commit."""

    app: AppRef
    commit: str
    file: str
    region: str
    image: str
    """The image that the revision runs, and that the file must hold where `held` is empty: the digest that was promoted."""
    containers: tuple[str, ...] = ()
    """The containers that must run it: those whose image the event watcher writes. Empty where an older release recorded the
    input; any container will do then."""
    attachment: Attachment | None = None
    """What is put into the file before it is read."""
    held: str = ""
    """What the file holds in the image's place, where piped's event watcher wrote it: the same image, perhaps by a tag."""
    origin: Origin | None = None
    """Absent where an older release recorded the input."""


class RegisteredTaskDefinition(Message):
    """One revision."""

    arn: str
    containers: tuple[str, ...]
    reused: bool


class RunTask(Message):
    """Input of `run_task`."""

    promotion_id: str
    attempt: int
    """The number of this run of the task in the promotion. Each has its own client token."""
    task_definition: RegisteredTaskDefinition
    ecs: EcsApp
    origin: Origin | None = None
    """Absent where an older release recorded the input."""


class StartedTask(Message):
    """A task that ECS accepted."""

    arn: str
    cluster: str
    started_at: datetime
    definition: str = ""
    """The ARN of its task definition; empty where an older release recorded the task."""
    stopped_at: datetime | None = None
    """When it had stopped; none before that, and where it is not known."""
    deployment: str = ""
    """PipeCD's id of the deployment that ran it; empty where Slipway did, and where PipeCD was not heard."""


class FindTask(Message):
    """Input of `find_task`: the task that piped runs."""

    origin: Origin
    commit: str
    """The commit that brought the image to the deployment branch, whoever made it; or the head that had it already."""
    region: str
    """Where the cluster is."""
    within: timedelta
    """How long piped may take to run it."""
    former: StartedTask | None = None
    """The task that the stage followed before. If it neither runs nor succeeded, a newer one is waited for."""
    named: str = ""
    """The ARN that an operator named; empty where none did."""
    for_undo: bool = False
    """Whether it is looked for once, to be stopped, and there may be none."""


class FoundTask(Message):
    """A task that piped ran."""

    task: StartedTask
    commit: str
    """The commit that piped deployed: the one that brought the image, or a later one that has it still."""
    application: str = ""
    """PipeCD's id of the application."""
    pipecd: str = ""
    """What PipeCD's API said of it, or why it said nothing; empty where the worker does not ask PipeCD."""


class FollowTask(Message):
    """Input of `follow_task`."""

    task: StartedTask
    timeout: timedelta
    by_piped: bool = False
    """Whether piped ran it, so that a retry runs no other one."""
    origin: Origin | None = None
    """Absent where an older release recorded the input."""


class ContainerExit(Message):
    """How one container ended."""

    name: str
    exit_code: int | None
    reason: str = ""


class TaskVerdict(Message):
    """A task whose program did not fail: every essential container exited with 0, or ECS itself stopped the task."""

    arn: str
    containers: tuple[ContainerExit, ...]
    ended_by_platform: str | None = None
    """What ECS said, if it stopped the task before the program ended: another run may succeed."""
    stopped_at: datetime | None = None


class StopTask(Message):
    """Input of `stop_task`."""

    task: StartedTask
    reason: str
    origin: Origin | None = None
    """Absent where an older release recorded the input."""

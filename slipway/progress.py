"""The live progress that long waits put into their heartbeats, where the Temporal UI and `slipway watch` show it."""

from __future__ import annotations

from slipway.api import Message, StepReport


class CopyProgress(Message):
    """An image on its way from one registry to another."""

    copied_blobs: int
    mounted_blobs: int
    skipped_blobs: int
    copied_bytes: int
    referrers: int = 0
    other_referrers: int = 0


class ScanProgress(Message):
    """A scan that is not done yet."""

    status: str


class ContainerState(Message):
    """One container of a task."""

    name: str
    status: str


class TaskProgress(Message):
    """A task between its start and its end."""

    status: str
    containers: tuple[ContainerState, ...] = ()


class PipelineProgress(Message):
    """An execution and the steps it has begun, oldest first."""

    status: str
    steps: tuple[StepReport, ...] = ()


class VariantProgress(Message):
    """How far one variant of an endpoint is."""

    name: str
    status: str
    weight: float | None = None
    """The part of the traffic that it takes now, relative to the other variants."""
    desired_weight: float | None = None
    instances: int | None = None
    desired_instances: int | None = None


class EndpointProgress(Message):
    """An endpoint on its way to a config."""

    status: str
    serving: str | None
    """The config that takes the traffic."""
    pending: str | None = None
    """The config that is being deployed."""
    variants: tuple[VariantProgress, ...] = ()
    """Of the pending deployment where there is one, else of what is served."""

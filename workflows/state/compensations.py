"""What undoes a promotion's effects, as data: planned before each effect, carried out last in first out.

A compensation holds what was recorded when the effect was made. How each kind is carried out stands in `undo.py`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from activities.endpoints.messages import RestoreEndpoint
from activities.taskdefs import RevertImage
from slipway.api import LedgerEntry, LedgerState, Message, ModelPackage, StageName


class KeepImage(Message):
    """What does no harm stays: the copy of an image, or a commit that piped made."""

    kind: Literal["keep-image"] = "keep-image"


class RevertCommit(Message):
    """The commit that wrote the image is reverted."""

    kind: Literal["revert-commit"] = "revert-commit"
    request: RevertImage


class StopExecution(Message):
    """The pipeline execution is stopped if it runs."""

    kind: Literal["stop-execution"] = "stop-execution"
    pipeline: str
    region: str


class StopStartedTask(Message):
    """The task is stopped if it runs."""

    kind: Literal["stop-task"] = "stop-task"


class RejectPackage(Message):
    """The model package is rejected."""

    kind: Literal["reject-package"] = "reject-package"
    package: ModelPackage


class RestoreTarget(Message):
    """The endpoint serves its former config again, or is deleted if this promotion created it."""

    kind: Literal["restore-endpoint"] = "restore-endpoint"
    request: RestoreEndpoint


Undo = Annotated[
    KeepImage | RevertCommit | StopExecution | StopStartedTask | RejectPackage | RestoreTarget, Field(discriminator="kind")
]


class Planned(Message):
    """One compensation, and what became of it."""

    stage: StageName
    """The stage of the effect."""
    inverse: str
    """What it does, as `revert the commit`."""
    undo: Undo
    state: LedgerState = LedgerState.planned
    note: str = ""

    @property
    def entry(self) -> LedgerEntry:
        """The compensation as people see it."""
        return LedgerEntry(stage=self.stage, inverse=self.inverse, state=self.state, note=self.note)

    def is_for(self, other: Planned) -> bool:
        """Whether both undo the same effect."""
        return (self.stage, self.inverse) == (other.stage, other.inverse)

    def settled(self, state: LedgerState, note: str) -> Planned:
        """The compensation, with what became of it."""
        return self.model_copy(update={"state": state, "note": note})

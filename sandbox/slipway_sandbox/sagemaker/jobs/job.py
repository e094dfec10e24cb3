"""One job: what was asked for, and how far it is."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from slipway_sandbox.core.calls import Caller

LONGEST_REASON = 1024
"""Characters of a FailureReason or ExitMessage, by the service's model."""
BEFORE_THE_END = frozenset({"Starting", "Downloading", "Training", "Interrupted"})
"""Phases that a job which is being stopped does not enter any more."""
PHASE_MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Stopping": "Stopping the training job",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "Interrupted": "Training job interrupted",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}
"""The StatusMessage of each SecondaryStatus."""


class JobFailedError(Exception):
    """The job ends as Failed. The text is its FailureReason."""


@dataclass(frozen=True)
class Ending:
    """How a job ended.

    Args:
        status: The job's status from now on.
        phase: Its SecondaryStatus.
        reason: Its FailureReason.
    """

    status: str
    phase: str
    reason: str | None = None


COMPLETED = Ending("Completed", "Completed")
STOPPED = Ending("Stopped", "Stopped")
OUT_OF_TIME = Ending("Stopped", "MaxRuntimeExceeded")
INTERRUPTED = Ending("InProgress", "Interrupted")
"""No end at all: the instance was taken away, and the job starts again on another."""


def failed(reason: str) -> Ending:
    """The end of a job that failed."""
    return Ending("Failed", "Failed", reason[:LONGEST_REASON])


@dataclass
class Transition:
    """One SecondaryStatus, and how long the job was in it."""

    phase: str
    started: datetime
    ended: datetime | None = None

    def shown(self) -> dict[str, Any]:
        """The transition as DescribeTrainingJob shows it."""
        return {
            "Status": self.phase,
            "StartTime": self.started,
            "EndTime": self.ended,
            "StatusMessage": PHASE_MESSAGES[self.phase],
        }


@dataclass
class Job:
    """A training, processing or transform job. Its runner's thread changes it and clients read it, both under `lock`."""

    name: str
    arn: str
    caller: Caller
    request: dict[str, Any]
    created: datetime
    status: str = "InProgress"
    started: datetime | None = None
    ended: datetime | None = None
    modified: datetime = field(init=False)
    reason: str | None = None
    exit_message: str | None = None
    artifacts: str | None = None
    """Where the model is, once it is known."""
    metrics: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    transitions: list[Transition] = field(default_factory=list[Transition])
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def __post_init__(self) -> None:
        self.modified = self.created
        self.transitions.append(Transition("Starting", self.created))

    @property
    def phase(self) -> str:
        """The SecondaryStatus."""
        return self.transitions[-1].phase

    @property
    def seconds(self) -> int | None:
        """Whole seconds between start and end, as they are billed; None before the end."""
        if self.started is None or self.ended is None:
            return None
        return max(1, math.ceil((self.ended - self.started).total_seconds()))

    def move(self, phase: str, now: datetime) -> bool:
        """Enter a phase. One that is being stopped begins nothing new; returns whether it has entered it."""
        with self.lock:
            if self.status == "Stopping" and phase in BEFORE_THE_END:
                return False
            if phase == "Downloading" and self.started is None:
                self.started = now
            self.transitions[-1].ended = now
            self.transitions.append(Transition(phase, now))
            self.modified = now
            return True

    def stop(self, now: datetime) -> bool:
        """Note that it is to end; returns whether that is new."""
        with self.lock:
            if self.status != "InProgress":
                return False
            self.status = "Stopping"
            return self.move("Stopping", now)

    def end(self, ending: Ending, now: datetime) -> None:
        """Note how it ended."""
        with self.lock:
            self.move(ending.phase, now)
            self.transitions[-1].ended = now
            self.status = ending.status
            self.reason = ending.reason
            self.ended = now

"""Steps that run a training, processing or transform job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.sagemaker.pipelines.work import (
    CAPACITY_ERROR,
    INTERNAL_ERROR,
    RESOURCE_LIMIT,
    AbandonedError,
    Outcome,
    StepError,
    Work,
)

POLL = 0.2
"""Real seconds between two looks at a job, which runs in real time, too."""
ENDS = ("Completed", "Failed", "Stopped")
KINDS_OF_FAILURE = (
    ("InternalServerError", INTERNAL_ERROR),
    ("CapacityError", CAPACITY_ERROR),
    ("InsufficientCapacity", CAPACITY_ERROR),
    ("ResourceLimitExceeded", RESOURCE_LIMIT),
)
"""How a job's FailureReason begins, and the type by which retry policies know that."""


@dataclass(frozen=True)
class JobKind:
    """How a kind of job is called in the API."""

    noun: str
    """As in `TrainingJob`; members of requests and answers begin with it."""
    verb: str
    """As in `training_job`; boto3's methods end with it."""

    @property
    def _name_field(self) -> str:
        return f"{self.noun}Name"

    def perform(self, work: Work) -> Outcome:
        """Run a job to its end, and stop it when the execution stops. A job that runs already is followed.

        Raises:
            StepError: It could not be started, or is gone.
            AbandonedError: The execution is forgotten.
        """
        if self.noun not in work.run.metadata:
            if work.stopping:
                return Outcome("Stopped")
            self._create(work)
        name: str = work.run.metadata[self.noun]["Arn"].rpartition("/")[2]
        self._follow(work, name)
        described = work.call("sagemaker", f"Describe{self.noun}", f"describe_{self.verb}", **{self._name_field: name})
        return self._outcome(work, described)

    def _create(self, work: Work) -> None:
        request = {**work.arguments, self._name_field: work.resource}
        created = work.call("sagemaker", f"Create{self.noun}", f"create_{self.verb}", **request)
        work.report({self.noun: {"Arn": created[f"{self.noun}Arn"]}})

    def _follow(self, work: Work, name: str) -> None:
        """Wait for the job's end."""
        asked = False
        while True:
            try:
                described = work.look(f"describe_{self.verb}", **{self._name_field: name})
            except (ClientError, BotoCoreError) as error:
                raise StepError(f"ClientError: The job {name} could not be described: {error}") from error
            if described[f"{self.noun}Status"] in ENDS:
                return
            if work.stopping and not asked:
                self._stop(work, name)
                asked = True
            if work.execution.abandoned.wait(POLL):
                raise AbandonedError

    def _stop(self, work: Work, name: str) -> None:
        try:
            work.call("sagemaker", f"Stop{self.noun}", f"stop_{self.verb}", **{self._name_field: name})
        except StepError:
            # It has ended meanwhile, or it may not be stopped: then its own end is waited for.
            return

    def _outcome(self, work: Work, described: dict[str, Any]) -> Outcome:
        metadata = work.run.metadata
        properties = {name: value for name, value in described.items() if name != "ResponseMetadata"}
        reason: str | None = described.get("FailureReason") or described.get("ExitMessage")
        match described[f"{self.noun}Status"]:
            case "Completed":
                return Outcome("Succeeded", None, metadata, properties)
            case "Stopped" if work.stopping:
                return Outcome("Stopped", None, metadata)
            case "Stopped":
                return Outcome("Failed", reason or "ClientError: The job was stopped.", metadata)
            case _:
                return Outcome("Failed", reason or "ClientError: The job failed.", metadata, exception=kind_of(reason or ""))


def kind_of(reason: str) -> str | None:
    """The type by which retry policies know a job's failure."""
    return next((kind for words, kind in KINDS_OF_FAILURE if reason.startswith(words)), None)

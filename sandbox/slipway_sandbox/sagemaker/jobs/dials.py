"""What no API call can cause: no capacity for jobs, a Spot interruption, a lost host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.models import Frozen
from slipway_sandbox.core.world import Room, World, dial
from slipway_sandbox.sagemaker.jobs.room import JobRoom, JobStarter


class Incident(StrEnum):
    """What happens to a job that runs."""

    interruption = "interruption"
    host_failure = "host-failure"


class JobIncident(Frozen):
    """Something happens to one job now."""

    account: str
    region: str = "us-east-1"
    kind: str
    """As in ARNs: `training-job`, `processing-job` or `transform-job`."""
    job: str
    incident: Incident


class Shortage(Frozen):
    """How many of an account's next jobs get no instances."""

    account: str
    jobs: int = 1


class JobDialRoom(Room):
    """The dials of jobs.

    Args:
        world: What all rooms share.
        starter: Starts jobs.
        rooms: The rooms of each kind.
    """

    service = "sagemaker"

    def __init__(self, world: World, starter: JobStarter, rooms: Sequence[JobRoom]) -> None:
        super().__init__(world)
        self._starter = starter
        self._rooms: Mapping[str, JobRoom] = {room.segment: room for room in rooms}

    @dial("job-capacity")
    def set_shortage(self, body: dict[str, Any]) -> dict[str, Any]:
        """The account's next jobs find no instances: `{"account": …, "jobs": 1}`. They end with AWS's CapacityError."""
        shortage = Shortage.model_validate(body)
        self._starter.shortages[shortage.account] = shortage.jobs
        return {}

    @dial("job-incident")
    def happen(self, body: dict[str, Any]) -> dict[str, Any]:
        """An incident of a job that runs now: `{"account": …, "kind": "training-job", "job": …, "incident": …}`.

        `interruption` takes a Spot instance away: the job starts again with its checkpoints. `host-failure` ends it as Failed,
        with AWS's InternalServerError.
        """
        wanted = JobIncident.model_validate(body)
        if wanted.kind not in self._rooms:
            raise ValueError(f"a job's kind is one of {', '.join(self._rooms)}, not {wanted.kind!r}")
        runner = self._rooms[wanted.kind].runner_of(Caller(wanted.account, wanted.region, ""), wanted.job)
        match wanted.incident:
            case Incident.interruption:
                runner.interrupt()
            case Incident.host_failure:
                runner.lose_host()
        return {}

    def reset(self, account: str | None) -> None:
        """Forget the shortages of one account, or all."""
        for key in [key for key in self._starter.shortages if account in (None, key)]:
            del self._starter.shortages[key]

"""What the rooms of all kinds of jobs share: creating, finding, stopping, listing and deleting."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any, ClassVar

from slipway_sandbox.containers.runtime import ContainerRuntime
from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError, validation_error
from slipway_sandbox.core.world import Room, World
from slipway_sandbox.roles.credentials import CredentialsEndpoint
from slipway_sandbox.sagemaker.jobs import events
from slipway_sandbox.sagemaker.jobs.job import Job
from slipway_sandbox.sagemaker.jobs.runner import JobRunner, Tools
from slipway_sandbox.sagemaker.jobs.work import Work
from slipway_sandbox.sagemaker.quotas import SageMakerQuotas
from slipway_sandbox.sagemaker.resources import Table, page, select, within
from slipway_sandbox.sagemaker.tags import TagRoom

END_SECONDS = 5.0
"""Real seconds that a job which was aborted has to clean up."""
RUNNING = ("InProgress", "Stopping")


class JobStarter:
    """Starts jobs' runners, each in a folder of its own.

    Args:
        world: What all rooms share.
        containers: Runs the jobs' containers.
        roles: Gives them their role's credentials.
    """

    def __init__(self, world: World, containers: ContainerRuntime, roles: CredentialsEndpoint) -> None:
        folder = world.data.resolve() / "jobs"
        # An earlier sandbox on this folder may have been killed.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        self._tools = Tools(world, containers, roles, folder)
        self.shortages: dict[str, int] = {}
        """How many of an account's next jobs find no instances."""

    def begin(self, work: Work, changed: Callable[[], None]) -> JobRunner:
        """Start a job. Called under the service's lock."""
        account = work.job.caller.account
        left = self.shortages.get(account, 0)
        if left:
            self.shortages[account] = left - 1
        runner = JobRunner(self._tools, work, changed, has_capacity=not left)
        runner.start()
        return runner


class JobRoom(Room):
    """Jobs of one kind.

    Args:
        world: What all rooms share.
        starter: Runs them.
        tags: The tags of all SageMaker resources.
        quotas: How many instances an account may have.
    """

    service = "sagemaker"
    kind: ClassVar[str]
    """The kind as AWS's messages call it, such as `training job`."""
    segment: ClassVar[str]
    """The kind as ARNs spell it."""
    noun: ClassVar[str]
    """The kind as event types spell it, such as `Training Job`."""
    not_there: ClassVar[str]
    """What AWS says of a job that does not exist; `{name}` stands for its name."""
    already_there: ClassVar[str] = (
        "Job name must be unique within an AWS account and region, and a job with this name already exists"
    )
    """What AWS says of a name that is taken; the ARN follows."""

    def __init__(self, world: World, starter: JobStarter, tags: TagRoom, quotas: SageMakerQuotas) -> None:
        super().__init__(world)
        self._quotas = quotas
        self._starter = starter
        self._tags = tags
        self._jobs: Table[Job] = Table(self.kind, self.segment)
        self._runners: dict[str, JobRunner] = {}

    def described(self, job: Job) -> dict[str, Any]:
        """The job as its Describe call shows it."""
        raise NotImplementedError

    def instances(self, request: dict[str, Any]) -> tuple[str, int]:
        """The type and number of instances that a request asks for."""
        raise NotImplementedError

    def create(self, caller: Caller, name: str, request: dict[str, Any], work: Callable[[Job], Work]) -> Job:
        """Note a job and start it.

        Raises:
            AwsError: The name is taken, or a quota is used up.
        """
        # Unlike in other ARNs of SageMaker, names keep their case: log streams begin with the name, and are found by the ARN.
        arn = f"arn:aws:sagemaker:{caller.region}:{caller.account}:{self.segment}/{name}"
        if self._jobs.find(caller, name) is not None:
            raise AwsError("ResourceInUse", f"{self.already_there} ({arn})")
        self._check_quota(caller, request)
        kept = {member: value for member, value in request.items() if member != "Tags"}
        job = Job(name, arn, caller, kept, self.world.clock.now())
        self._jobs.add(caller, job)
        self._tags.put(arn, request.get("Tags", ()))
        self._emit(job)
        self._runners[arn] = self._starter.begin(work(job), lambda: self._emit(job))
        return job

    def _check_quota(self, caller: Caller, request: dict[str, Any]) -> None:
        kind, asked = self.instances(request)

        def used() -> int:
            running = [self.instances(job.request) for job in self._jobs.all_of(caller) if job.status in RUNNING]
            return sum(count for other, count in running if other == kind)

        self._quotas.check(caller, f"{kind} for {self.kind} usage", used, asked)

    def find(self, caller: Caller, name: str) -> Job:
        """The job.

        Raises:
            AwsError: There is none.
        """
        job = self._jobs.find(caller, name)
        if job is None:
            # The model has ResourceNotFound for it; what AWS sends is this.
            raise validation_error(self.not_there.format(name=name))
        return job

    def existing(self, caller: Caller, name: str) -> Job:
        """The job, for the calls whose error for one that is not there nothing is known of but the model.

        Raises:
            AwsError: There is none.
        """
        job = self._jobs.find(caller, name)
        if job is None:
            raise AwsError("ResourceNotFound", self.not_there.format(name=name))
        return job

    def stop(self, caller: Caller, name: str) -> None:
        """Ask a job to end.

        Raises:
            AwsError: There is none, or it has ended.
        """
        job = self.find(caller, name)
        if job.status not in RUNNING:
            raise validation_error(f"The request was rejected because the {self.kind} is in status {job.status}.")
        self._runners[job.arn].stop()

    def runner_of(self, caller: Caller, name: str) -> JobRunner:
        """What runs a job.

        Raises:
            ValueError: There is no such job, or it has ended.
        """
        job = self._jobs.find(caller, name)
        if job is None or job.status not in RUNNING:
            raise ValueError(f"no {self.kind} {name!r} runs in account {caller.account}, region {caller.region}")
        return self._runners[job.arn]

    def delete(self, caller: Caller, name: str) -> None:
        """Forget a job that has ended.

        Raises:
            AwsError: There is none, or it has not ended.
        """
        job = self.existing(caller, name)
        if job.status in RUNNING:
            raise AwsError("ResourceInUse", f"The request was rejected because the {self.kind} is in status {job.status}.")
        self._jobs.remove(caller, name)
        self._runners.pop(job.arn, None)
        self._tags.forget(job.arn)

    def listed(self, caller: Caller, request: dict[str, Any]) -> tuple[list[Job], str | None]:
        """One page of the jobs that a List request asks for, and the token of the next one."""
        wanted = request.get("StatusEquals")
        jobs = [
            job
            for job in select(self._jobs.all_of(caller), request)
            if wanted in (None, job.status) and within(job.modified, request, "LastModifiedTime")
        ]
        if request.get("SortBy") == "Status":
            jobs.sort(key=lambda job: job.status, reverse=request.get("SortOrder", "Descending") == "Descending")
        return page(jobs, request)

    def reset(self, account: str | None) -> None:
        """Forget the jobs of one account, or all, and kill those that run."""
        gone = [self._runners.pop(job.arn, None) for job in self._jobs.clear(account)]
        runners = [runner for runner in gone if runner]
        for runner in runners:
            runner.abort()
        for runner in runners:
            runner.join(END_SECONDS)

    def _emit(self, job: Job) -> None:
        with job.lock:
            described = self.described(job)
        events.emit(self.world, self.noun, job, described, self._tags.of(job.arn))

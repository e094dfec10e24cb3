"""Processing jobs: create, describe, list, stop and delete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slipway_sandbox.containers import roots
from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import validation_error
from slipway_sandbox.core.world import operation
from slipway_sandbox.sagemaker.access import check_role
from slipway_sandbox.sagemaker.jobs.contract import (
    local_folder,
    not_implemented,
    refuse_experiment,
    refuse_path,
    resource_config,
)
from slipway_sandbox.sagemaker.jobs.job import COMPLETED, Ending, Job
from slipway_sandbox.sagemaker.jobs.room import JobRoom
from slipway_sandbox.sagemaker.jobs.storage import Storage
from slipway_sandbox.sagemaker.jobs.work import DEFAULT_MAX_RUNTIME, Command, Work, read_text, write_json


class ProcessingWork(Work):
    """One processing job's files and command."""

    log_group = "/aws/sagemaker/ProcessingJobs"

    @property
    def isolated(self) -> bool:
        """Whether the container is to have no way to AWS, and so no credentials either."""
        return self.job.request.get("NetworkConfig", {}).get("EnableNetworkIsolation", False)

    @property
    def image(self) -> str:
        """The image's URI."""
        return self.job.request["AppSpecification"]["ImageUri"]

    def command(self) -> Command:
        """The image's own command, where the request names none."""
        application = self.job.request["AppSpecification"]
        return Command(
            entry_point=application.get("ContainerEntrypoint"),
            command=application.get("ContainerArguments"),
            environment=self.job.request.get("Environment", {}),
        )

    def prepare(self, ml: Path, storage: Storage) -> None:
        """Write the configuration, bring each input, and make each output's folder."""
        request = self.job.request
        (ml / "output").mkdir()
        cluster = request["ProcessingResources"]["ClusterConfig"]
        write_json(ml / "config" / "resourceconfig.json", resource_config(cluster.get("InstanceType")))
        config: dict[str, Any] = {"ProcessingJobArn": self.job.arn, "ProcessingInputs": [], "Environment": {}, **request}
        write_json(ml / "config" / "processingjobconfig.json", config)
        for source in inputs_of(request):
            folder = local_folder(ml, source["LocalPath"])
            folder.mkdir(parents=True, exist_ok=True)
            storage.download(source["S3DataType"], source["S3Uri"], folder)
        for target in outputs_of(request):
            local_folder(ml, target["LocalPath"]).mkdir(parents=True, exist_ok=True)

    def collect(self, ml: Path, storage: Storage, ending: Ending) -> None:
        """Store the outputs, and read what the job says at its end. After a failure only what is uploaded continuously."""
        message = read_text(ml, "output/message")
        with self.job.lock:
            self.job.exit_message = message or None
        for target in outputs_of(self.job.request):
            if ending is not COMPLETED and target["S3UploadMode"] != "Continuous":
                continue
            folder = roots.resolve(ml, str(local_folder(ml, target["LocalPath"]).relative_to(ml)))
            storage.upload_folder(folder, target["S3Uri"])


class ProcessingRoom(JobRoom):
    """Answers for processing jobs."""

    kind = "processing job"
    segment = "processing-job"
    noun = "Processing Job"
    not_there = "Could not find requested job with name: {name}"

    def described(self, job: Job) -> dict[str, Any]:
        """The job as DescribeProcessingJob shows it."""
        return {**job.request, **summary(job), "ProcessingStartTime": job.started}

    def instances(self, request: dict[str, Any]) -> tuple[str, int]:
        """The type and number of instances that a request asks for."""
        cluster = request["ProcessingResources"]["ClusterConfig"]
        return cluster.get("InstanceType", ""), cluster.get("InstanceCount", 1)

    @operation(
        "CreateProcessingJob",
        differs="one instance; Pipe mode, data sets and feature store answer `NotImplemented`; Continuous upload comes at the "
        "end, too; an input without objects fails the job, where AWS refuses some at once; networks are not looked at, and "
        "a role that IAM does not know will do, unless the account is strict; MaxRuntimeInSeconds is real time, as containers "
        "run in real time",
    )
    def create_job(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        refuse_experiment(request)
        refuse(request)
        check_role(self.world, caller, request["RoleArn"])
        asked = with_defaults(request)
        job = self.create(caller, request["ProcessingJobName"], asked, lambda job: ProcessingWork(self.world, job))
        return {"ProcessingJobArn": job.arn}

    @operation("DescribeProcessingJob")
    def describe_job(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        job = self.find(caller, request["ProcessingJobName"])
        with job.lock:
            return self.described(job)

    @operation("StopProcessingJob", differs="SIGKILL follows SIGTERM after 120 s, scaled, but after at least 2 s of real time")
    def stop_job(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        self.stop(caller, request["ProcessingJobName"])
        return {}

    @operation("DeleteProcessingJob", differs="wording of its errors is not verified on AWS")
    def delete_job(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        self.delete(caller, request["ProcessingJobName"])
        return {}

    @operation("ListProcessingJobs")
    def list_jobs(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        jobs, token = self.listed(caller, request)
        return {"ProcessingJobSummaries": [summary(job) for job in jobs], "NextToken": token}


def inputs_of(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The places in S3 that are downloaded before the start."""
    return [source["S3Input"] for source in request.get("ProcessingInputs", ())]


def outputs_of(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The places in S3 that are written after the end."""
    return [target["S3Output"] for target in request.get("ProcessingOutputConfig", {}).get("Outputs", ())]


def refuse(request: dict[str, Any]) -> None:
    """Refuse what SageMaker would not take, and what the sandbox cannot do.

    Raises:
        AwsError: It is one of these.
    """
    if request["ProcessingResources"]["ClusterConfig"].get("InstanceCount", 1) > 1:
        raise not_implemented("more than one instance")
    sources, targets = request.get("ProcessingInputs", []), request.get("ProcessingOutputConfig", {}).get("Outputs", [])
    names = [source["InputName"] for source in sources], [target["OutputName"] for target in targets]
    if any(len(set(some)) < len(some) for some in names):
        raise validation_error("Input names and output names must each be unique within a processing job.")
    for source in sources:
        refuse_input(source)
    for target in targets:
        if "S3Output" not in target:
            raise not_implemented("outputs that are not an S3Output")
        refuse_path(target["S3Output"].get("LocalPath", ""), f"output {target['OutputName']}")


def refuse_input(source: dict[str, Any]) -> None:
    """Refuse an input that does not come from S3 as files.

    Raises:
        AwsError: It is something else.
    """
    place = source.get("S3Input")
    if place is None or place.get("S3InputMode") == "Pipe":
        raise not_implemented("inputs that are not an S3Input in File mode")
    refuse_path(place.get("LocalPath", ""), f"input {source['InputName']}")


def with_defaults(request: dict[str, Any]) -> dict[str, Any]:
    """The request with what SageMaker fills in."""
    return {"StoppingCondition": {"MaxRuntimeInSeconds": DEFAULT_MAX_RUNTIME}, **request}


def summary(job: Job) -> dict[str, Any]:
    """The job as lists show it."""
    return {
        "ProcessingJobName": job.name,
        "ProcessingJobArn": job.arn,
        "CreationTime": job.created,
        "ProcessingEndTime": job.ended,
        "LastModifiedTime": job.modified,
        "ProcessingJobStatus": job.status,
        "FailureReason": job.reason,
        "ExitMessage": job.exit_message,
    }

"""Training jobs: create, describe, list, stop and delete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slipway_sandbox.containers import roots
from slipway_sandbox.containers.container import Mount
from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import validation_error
from slipway_sandbox.core.world import World, operation
from slipway_sandbox.sagemaker.access import check_role
from slipway_sandbox.sagemaker.jobs.checkpoints import Checkpoints
from slipway_sandbox.sagemaker.jobs.contract import not_implemented, refuse_experiment, resource_config
from slipway_sandbox.sagemaker.jobs.job import INTERRUPTED, Ending, Job
from slipway_sandbox.sagemaker.jobs.metrics import LineMetrics
from slipway_sandbox.sagemaker.jobs.room import JobRoom
from slipway_sandbox.sagemaker.jobs.storage import Storage
from slipway_sandbox.sagemaker.jobs.work import DEFAULT_MAX_RUNTIME, Command, Work, write_json

CHANGEABLE = ("ProfilerConfig", "ProfilerRuleConfigurations", "RemoteDebugConfig")
NOT_DESCRIBED = frozenset({"SessionChainingConfig"})


class TrainingWork(Work):
    """One training job's files and command.

    Raises:
        AwsError: A metric's regular expression cannot be read.
    """

    log_group = "/aws/sagemaker/TrainingJobs"

    def __init__(self, world: World, job: Job) -> None:
        super().__init__(world, job)
        self._request = job.request
        self._metrics = LineMetrics(job.request["AlgorithmSpecification"].get("MetricDefinitions", ()))
        self._checkpoints = Checkpoints(job.request.get("CheckpointConfig"))
        self._mounts: list[Mount] = []

    @property
    def image(self) -> str:
        """The image's URI."""
        return self._request["AlgorithmSpecification"]["TrainingImage"]

    def command(self) -> Command:
        """`train` is the image's command, unless the request names an entry point or arguments."""
        algorithm = self._request["AlgorithmSpecification"]
        entry_point = algorithm.get("ContainerEntrypoint")
        return Command(
            entry_point=entry_point,
            command=algorithm.get("ContainerArguments") or (None if entry_point else ["train"]),
            environment={
                "TRAINING_JOB_NAME": self.job.name,
                "TRAINING_JOB_ARN": self.job.arn,
                **self._request.get("Environment", {}),
            },
        )

    def prepare(self, ml: Path, storage: Storage) -> None:
        """Write hyperparameters and configuration, and bring each channel."""
        for folder in ("model", "output/data", "input/data"):
            (ml / folder).mkdir(parents=True)
        config = ml / "input" / "config"
        channels = self._request.get("InputDataConfig", ())
        write_json(config / "hyperparameters.json", self._request.get("HyperParameters", {}))
        write_json(config / "inputdataconfig.json", {channel["ChannelName"]: self._described(channel) for channel in channels})
        write_json(config / "resourceconfig.json", resource_config(self._request.get("ResourceConfig", {}).get("InstanceType")))
        for channel in channels:
            folder = ml / "input" / "data" / channel["ChannelName"]
            folder.mkdir()
            source = channel["DataSource"]["S3DataSource"]
            storage.download(source["S3DataType"], source["S3Uri"], folder)
        self._mounts = self._checkpoints.bring(ml, storage)

    def mounts(self, ml: Path) -> list[Mount]:  # noqa: ARG002  (they are beside it)
        """The folder of the checkpoints."""
        return self._mounts

    def _described(self, channel: dict[str, Any]) -> dict[str, Any]:
        described = {
            "TrainingInputMode": channel.get("InputMode") or self._request["AlgorithmSpecification"]["TrainingInputMode"],
            "S3DistributionType": channel["DataSource"]["S3DataSource"].get("S3DataDistributionType", "FullyReplicated"),
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
        }
        return described | ({"ContentType": channel["ContentType"]} if "ContentType" in channel else {})

    def collect(self, ml: Path, storage: Storage, ending: Ending) -> None:
        """Store the model and the further output. SageMaker does so for jobs that failed or were stopped, too."""
        self._checkpoints.store(ml, storage)
        if ending is INTERRUPTED:
            return
        base = f"{self._request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self.job.name}/output"
        plain = self._request["OutputDataConfig"].get("CompressionType") == "NONE"
        artifacts = f"{base}/model/" if plain else f"{base}/model.tar.gz"
        places = (("output/data", f"{base}/output/" if plain else f"{base}/output.tar.gz"), ("model", artifacts))
        for name, uri in places:
            folder = roots.resolve(ml, name)
            if not folder.is_dir() or not any(folder.iterdir()):
                continue
            if plain:
                storage.upload_folder(folder, uri)
            else:
                storage.upload_archive(folder, ml.parent / "archive.tar.gz", uri)
        with self.job.lock:
            self.job.metrics = self._metrics.final()
            if ending.status != "Failed":
                self.job.artifacts = artifacts

    def read_line(self, line: str) -> None:
        """Look for metrics."""
        self._metrics.read(line)

    def pulse(self) -> None:
        """Tell CloudWatch the metrics so far."""
        self._metrics.publish(self._world, self.job.caller, self.job.name)


class TrainingRoom(JobRoom):
    """Answers for training jobs."""

    kind = "training job"
    segment = "training-job"
    noun = "Training Job"
    not_there = "Requested resource not found."
    already_there = (
        "Training job names must be unique within an AWS account and region, and a training job with this name already exists"
    )

    def described(self, job: Job) -> dict[str, Any]:
        """The job as DescribeTrainingJob shows it."""
        return described(job)

    def instances(self, request: dict[str, Any]) -> tuple[str, int]:
        """The type and number of instances that a request asks for."""
        return request["ResourceConfig"].get("InstanceType", ""), request["ResourceConfig"].get("InstanceCount", 1)

    @operation(
        "CreateTrainingJob",
        differs="one instance; algorithms by name, Pipe mode, augmented manifests, file systems and instance groups answer "
        "`NotImplemented`; FastFile is File; an input without objects fails the job, where AWS refuses some at once; "
        "networks are not looked at, and a role that IAM does not know will do, unless the account is strict; profiling, "
        "debugging and warm pools do nothing; "
        "MaxRuntimeInSeconds is real time, as containers run in real time",
    )
    def create_job(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        refuse_experiment(request)
        refuse(request)
        check_role(self.world, caller, request["RoleArn"])
        asked = with_defaults(request)
        job = self.create(caller, request["TrainingJobName"], asked, lambda job: TrainingWork(self.world, job))
        return {"TrainingJobArn": job.arn}

    @operation("DescribeTrainingJob")
    def describe_job(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        job = self.find(caller, request["TrainingJobName"])
        with job.lock:
            return described(job)

    @operation("StopTrainingJob", differs="SIGKILL follows SIGTERM after 120 s, scaled, but after at least 2 s of real time")
    def stop_job(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        self.stop(caller, request["TrainingJobName"])
        return {}

    @operation("DeleteTrainingJob", differs="wording of its errors is not verified on AWS")
    def delete_job(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        self.delete(caller, request["TrainingJobName"])
        return {}

    @operation(
        "UpdateTrainingJob",
        differs="profiling, remote debugging and warm pools are only shown; wording of its errors is not verified on AWS",
    )
    def update_job(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        job = self.existing(caller, request["TrainingJobName"])
        with job.lock:
            if job.status != "InProgress":
                raise validation_error(f"The request was rejected because the training job is in status {job.status}.")
            changed = {name: request[name] for name in CHANGEABLE if name in request}
            if "ResourceConfig" in request:
                kind, count = self.instances(job.request)
                self._quotas.check(caller, f"{kind} for training warm pool usage", lambda: 0, count)
                changed["ResourceConfig"] = {**job.request["ResourceConfig"], **request["ResourceConfig"]}
            job.request.update(changed)
            job.modified = self.world.clock.now()
        return {"TrainingJobArn": job.arn}

    @operation("ListTrainingJobs")
    def list_jobs(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        if not request.keys().isdisjoint(("WarmPoolStatusEquals", "TrainingPlanArnEquals")):
            # No job here has either.
            return {"TrainingJobSummaries": []}
        jobs, token = self.listed(caller, request)
        return {"TrainingJobSummaries": [summary(job) for job in jobs], "NextToken": token}


def refuse(request: dict[str, Any]) -> None:
    """Refuse what SageMaker would not take, and what the sandbox cannot do.

    Raises:
        AwsError: It is one of these.
    """
    algorithm = request.get("AlgorithmSpecification")
    if not algorithm or not request.get("ResourceConfig"):
        raise validation_error("AlgorithmSpecification and ResourceConfig are required to train with a container.")
    if not algorithm.get("TrainingImage"):
        raise not_implemented("an AlgorithmName in place of a TrainingImage")
    if algorithm["TrainingInputMode"] == "Pipe":
        raise not_implemented("TrainingInputMode Pipe")
    if request["ResourceConfig"].get("InstanceCount", 1) > 1 or request["ResourceConfig"].get("InstanceGroups"):
        raise not_implemented("more than one instance")
    channels = request.get("InputDataConfig", ())
    names = [channel["ChannelName"] for channel in channels]
    if len(set(names)) < len(names):
        raise validation_error("Duplicate channel names are not allowed in InputDataConfig.")
    LineMetrics(algorithm.get("MetricDefinitions", ()))
    Checkpoints(request.get("CheckpointConfig"))
    refuse_waiting(request)
    for channel in channels:
        refuse_channel(channel)


def refuse_waiting(request: dict[str, Any]) -> None:
    """Refuse a time to wait that does not fit to how the job gets its instances.

    Raises:
        AwsError: It does not.
    """
    limits = request.get("StoppingCondition", {})
    longest, waiting = limits.get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME), limits.get("MaxWaitTimeInSeconds")
    if not request.get("EnableManagedSpotTraining"):
        if waiting is not None:
            raise validation_error(
                "Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is set to true"
            )
    elif waiting is None or waiting < longest:
        raise validation_error(
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
        )


def refuse_channel(channel: dict[str, Any]) -> None:
    """Refuse a channel that does not come from S3 as files.

    Raises:
        AwsError: It is something else.
    """
    source = channel["DataSource"].get("S3DataSource")
    if source is None or source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
        raise not_implemented("channels that are neither an S3Prefix nor a ManifestFile")
    if channel.get("InputMode") == "Pipe":
        raise not_implemented("InputMode Pipe")
    if not channel["ChannelName"].strip("."):
        raise validation_error(f"The ChannelName '{channel['ChannelName']}' cannot be a folder's name.")


def with_defaults(request: dict[str, Any]) -> dict[str, Any]:
    """The request with what SageMaker fills in."""
    return {
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": False,
        "EnableManagedSpotTraining": False,
        **request,
        "StoppingCondition": {"MaxRuntimeInSeconds": DEFAULT_MAX_RUNTIME, **request.get("StoppingCondition", {})},
        "OutputDataConfig": {"CompressionType": "GZIP", **request["OutputDataConfig"]},
    }


def described(job: Job) -> dict[str, Any]:
    """The job as DescribeTrainingJob shows it."""
    asked = {member: value for member, value in job.request.items() if member not in NOT_DESCRIBED}
    return {
        **asked,
        **summary(job),
        "TrainingStartTime": job.started,
        "FailureReason": job.reason,
        "SecondaryStatusTransitions": [transition.shown() for transition in job.transitions],
        "ModelArtifacts": {"S3ModelArtifacts": job.artifacts} if job.artifacts else None,
        "FinalMetricDataList": job.metrics or None,
        "TrainingTimeInSeconds": job.seconds,
        "BillableTimeInSeconds": job.seconds,
    }


def summary(job: Job) -> dict[str, Any]:
    """The job as lists show it."""
    return {
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "CreationTime": job.created,
        "TrainingEndTime": job.ended,
        "LastModifiedTime": job.modified,
        "TrainingJobStatus": job.status,
        "SecondaryStatus": job.phase,
    }

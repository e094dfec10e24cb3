"""Jobs as tests start and watch them: one account, a bucket, and images of a shell.

Example:
    desk = JobDesk(sandbox, account)
    desk.train(desk.image("echo -n 1 > /opt/ml/model/weights"))
    assert desk.trained()["TrainingJobStatus"] == "Completed"
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from slipway_sandbox.testing import SandboxProcess
from slipway_sandbox.testing_images import PROGRAMS, build_image, layer_of, member, push_image, shell_layer

ROLE = "arn:aws:iam::111111111111:role/jobs"
DEADLINE = 30.0
"""Seconds until a job has to be where it is expected."""
POLL_SECONDS = 0.05
ENDS = ("Completed", "Failed", "Stopped")


class JobDesk:
    """One account of the sandbox, with a bucket.

    Args:
        sandbox: Where it is.
        account: The account, which nobody else uses.
    """

    def __init__(self, sandbox: SandboxProcess, account: str) -> None:
        self.sandbox = sandbox
        self.account = account
        self.sagemaker = sandbox.client("sagemaker", account)
        self.logs = sandbox.client("logs", account)
        self.s3 = sandbox.client("s3", account)
        self.bucket = f"jobs-{account}"
        self.s3.create_bucket(Bucket=self.bucket)

    def image(self, script: str, **files: str) -> str:
        """An image whose `train` and own command both run a shell script.

        Args:
            script: What it does; it has `cat`, `env`, `id`, `ln`, `ls` and `sleep`.
            files: Further files by name, below `/opt/ml/code`.
        """
        members = [member("usr/bin/train", f"#!/bin/sh\n{script}\n".encode())]
        members += [member(f"opt/ml/code/{name}", content.encode()) for name, content in files.items()]
        image = build_image([shell_layer((*PROGRAMS, "ln")), layer_of(*members)], command=["train"])
        return push_image(self.sandbox, self.account, "jobs", "v1", image)

    def missing_image(self) -> str:
        """The name of an image that was never pushed."""
        return f"{self.account}.dkr.ecr.us-east-1.amazonaws.com/nowhere:v1"

    def put(self, key: str, content: str = "content") -> str:
        """Store an object; returns its URI."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=content.encode())
        return self.uri(key)

    def uri(self, key: str) -> str:
        """The URI of a key."""
        return f"s3://{self.bucket}/{key}"

    def read(self, key: str) -> bytes:
        """An object's content."""
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def keys(self, prefix: str) -> list[str]:
        """The keys of the bucket that begin so."""
        return [item["Key"] for item in self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])]

    def train(self, image: str, name: str = "job", **more: Any) -> None:
        """Start a training job. `algorithm` is added to its AlgorithmSpecification."""
        self.sagemaker.create_training_job(
            TrainingJobName=name,
            RoleArn=ROLE,
            AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File", **more.pop("algorithm", {})},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
            **{
                "OutputDataConfig": {"S3OutputPath": self.uri("out")},
                "StoppingCondition": {"MaxRuntimeInSeconds": 60},
                **more,
            },
        )

    def process(self, image: str, name: str = "job", **more: Any) -> None:
        """Start a processing job. `application` is added to its AppSpecification."""
        cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}
        self.sagemaker.create_processing_job(
            ProcessingJobName=name,
            RoleArn=ROLE,
            AppSpecification={"ImageUri": image, **more.pop("application", {})},
            ProcessingResources={"ClusterConfig": cluster},
            **more,
        )

    def trained(self, name: str = "job") -> dict[str, Any]:
        """The training job, once it has ended."""
        return self.wait(lambda: self.sagemaker.describe_training_job(TrainingJobName=name), "TrainingJobStatus", ENDS)

    def processed(self, name: str = "job") -> dict[str, Any]:
        """The processing job, once it has ended."""
        return self.wait(lambda: self.sagemaker.describe_processing_job(ProcessingJobName=name), "ProcessingJobStatus", ENDS)

    def wait(self, describe: Callable[[], dict[str, Any]], member_name: str, wanted: Sequence[str]) -> dict[str, Any]:
        """Describe until a member has one of some values."""
        deadline = time.monotonic() + DEADLINE
        while (found := describe())[member_name] not in wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(f"timeout after {DEADLINE:g} s waiting for {wanted}; it is {found[member_name]}")
            time.sleep(POLL_SECONDS)
        return found

    def wait_for_line(self, group: str, line: str) -> None:
        """Wait until a line is in the logs, so that the container surely runs."""
        self.wait(lambda: {"line": line if line in self.lines(group) else ""}, "line", [line])

    def lines(self, group: str) -> list[str]:
        """The log lines of the streams in a group."""
        try:
            streams = self.logs.describe_log_streams(logGroupName=group)["logStreams"]
        except self.logs.exceptions.ResourceNotFoundException:
            return []
        names = [stream["logStreamName"] for stream in streams]
        answers = [self.logs.get_log_events(logGroupName=group, logStreamName=name, startFromHead=True) for name in names]
        return [event["message"] for answer in answers for event in answer["events"]]


def s3_channel(name: str, uri: str) -> dict[str, Any]:
    """A training job's channel of all objects below a prefix."""
    return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}


def s3_input(name: str, uri: str) -> dict[str, Any]:
    """A processing job's input at `/opt/ml/processing/input/<name>`."""
    path = f"/opt/ml/processing/input/{name}"
    return {"InputName": name, "S3Input": {"S3Uri": uri, "LocalPath": path, "S3DataType": "S3Prefix", "S3InputMode": "File"}}


def s3_outputs(name: str, uri: str) -> dict[str, Any]:
    """A processing job's one output, of `/opt/ml/processing/<name>`."""
    target = {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/{name}", "S3UploadMode": "EndOfJob"}
    return {"Outputs": [{"OutputName": name, "S3Output": target}]}

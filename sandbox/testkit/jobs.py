"""Jobs as tests start and watch them: one account, a bucket, and images of a shell.

Example:
    desk = JobDesk(sandbox, account)
    desk.train(desk.image("echo -n 1 > /opt/ml/model/weights"))
    assert desk.trained()["TrainingJobStatus"] == "Completed"
"""

from __future__ import annotations

import functools
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from typing import Any

from slipway_sandbox.testing import (
    SandboxProcess,
    TestImage,
    build_image,
    layer_of,
    member,
    push_image,
    python_image,
    shell_layer,
    wait_until,
)
from slipway_sandbox.testing.images import PROGRAMS

ROLE = "arn:aws:iam::111111111111:role/jobs"
ENDS = ("Completed", "Failed", "Stopped")
SERVE = """
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WISHES = os.environ.get("WISHES")


def predicted(record):
    return str(sum(float(each) for each in record.split(b",")))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: two would wait for each other's acknowledgement

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        if self.path == "/ping":
            return self.answer(200, b"")
        self.answer(200 if WISHES else 404, (WISHES or "").encode())

    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        print("asked", json.dumps(asked.decode()), self.headers.get("Content-Type"), self.headers.get("Accept"), flush=True)
        if b"hang" in asked:
            time.sleep(600)
        if b"broken" in asked:
            return self.answer(500, b"no such layer")
        try:
            answers = [predicted(record) for record in asked.splitlines()]
        except ValueError as error:
            return self.answer(400, str(error).encode())
        self.answer(200, chr(10).join(answers).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


print("model", open("/opt/ml/model/model.txt").read(), "batch", os.environ.get("SAGEMAKER_BATCH"), flush=True)
for name in sorted(os.environ):
    print(f"{name}={os.environ[name]}", flush=True)
if os.environ.get("EXITS"):
    sys.exit("this model does not load")
ThreadingHTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
"""
"""A model that adds up the numbers of each line."""


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

    def serving_image(self) -> str:
        """An image of a model that adds up the numbers of each line."""
        return push_image(self.sandbox, self.account, "serving", "v1", server())

    def model(
        self, image: str, name: str = "model", artifact: bytes | None = None, role: str | None = ROLE, **environment: str
    ) -> None:
        """A SageMaker model with a small artifact."""
        self.s3.put_object(
            Bucket=self.bucket, Key=f"{name}/model.tar.gz", Body=packed("model.txt", b"sums") if artifact is None else artifact
        )
        container = {"Image": image, "ModelDataUrl": self.uri(f"{name}/model.tar.gz"), "Environment": environment}
        own = {"ExecutionRoleArn": role} if role else {}
        self.sagemaker.create_model(ModelName=name, PrimaryContainer=container, **own)

    def transform(self, name: str = "job", model: str = "model", **more: Any) -> None:
        """Start a transform job over `in/`, to `out`. `source` and `target` are added to its TransformInput and -Output."""
        place = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": self.uri("in/")}}
        self.sagemaker.create_transform_job(
            TransformJobName=name,
            ModelName=model,
            TransformInput={"DataSource": place, "ContentType": "text/csv", "SplitType": "Line", **more.pop("source", {})},
            TransformOutput={"S3OutputPath": self.uri("out"), "AssembleWith": "Line", **more.pop("target", {})},
            TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
            **more,
        )

    def transformed(self, name: str = "job") -> dict[str, Any]:
        """The transform job, once it has ended."""
        return self.wait(lambda: self.sagemaker.describe_transform_job(TransformJobName=name), "TransformJobStatus", ENDS)

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
            RoleArn=more.pop("role", ROLE),
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

    def role(self, name: str, *statements: dict[str, Any]) -> str:
        """A role that SageMaker and the account may assume, with a policy of these statements; returns its ARN."""
        principal = {"AWS": f"arn:aws:iam::{self.account}:root", "Service": "sagemaker.amazonaws.com"}
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]}
        iam = self.sandbox.client("iam", self.account)
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        policy = {"Version": "2012-10-17", "Statement": list(statements)}
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        return arn

    def turn(self, dial: str, **body: Any) -> None:
        """Turn one of SageMaker's dials for this account."""
        self.sandbox.control("POST", f"sagemaker/{dial}", {"account": self.account, **body})

    def trained(self, name: str = "job") -> dict[str, Any]:
        """The training job, once it has ended."""
        return self.wait(lambda: self.sagemaker.describe_training_job(TrainingJobName=name), "TrainingJobStatus", ENDS)

    def processed(self, name: str = "job") -> dict[str, Any]:
        """The processing job, once it has ended."""
        return self.wait(lambda: self.sagemaker.describe_processing_job(ProcessingJobName=name), "ProcessingJobStatus", ENDS)

    def wait(self, describe: Callable[[], dict[str, Any]], member_name: str, wanted: Sequence[str]) -> dict[str, Any]:
        """Describe until a member has one of some values."""
        found: dict[str, Any] = {}

        def there() -> bool:
            found.clear()
            found.update(describe())
            return found[member_name] in wanted

        wait_until(there, f"{member_name} to be one of {wanted}")
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


@functools.cache
def server() -> TestImage:
    """An image of a model. Packing it takes a second, so it is done once."""
    return python_image({"serve": SERVE}, command=["serve"])


def packed(name: str, content: bytes) -> bytes:
    """A `tar.gz` of one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info, body = member(name, content)
        archive.addfile(info, io.BytesIO(body))
    return buffer.getvalue()


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

"""A tiny model server in an image of this machine's own Python, and shorthands for endpoints that run it."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from slipway_sandbox.testing import SandboxProcess, member, push_image, python_image, wait_until

ROLE = "arn:aws:iam::111111111111:role/serving"
LABEL = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"
CANARY = 0.25
SERVE = """
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = json.load(open("/opt/ml/model/model.json"))
print("serving", MODEL["name"], "as", os.path.basename(sys.argv[0]), flush=True)
if MODEL.get("exits"):
    sys.exit("this model does not load")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: two would wait for each other's acknowledgement

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.answer(200, b"")

    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        if asked == b"exit":
            os._exit(3)
        if asked in (b"parts", b"broken"):
            return self.answer_in_parts(whole=asked == b"parts")
        if asked.startswith(b"wait "):
            time.sleep(float(asked.split()[1]))
        said = {
            "model": MODEL["name"],
            "greeting": os.environ.get("GREETING"),
            "accept": self.headers.get("Accept"),
            "type": self.headers.get("Content-Type"),
            "asked": asked.decode(),
            "credentials": os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
            "port": os.environ.get("SAGEMAKER_BIND_TO_PORT"),
        }
        status = MODEL.get("status", 400 if asked == b"bad" else 200)
        self.answer(status, json.dumps(said).encode() if status == 200 else b"no such features")

    def answer_in_parts(self, whole):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in (b"one ", b"two ", b"three"):
            self.wfile.write(b"%x\\r\\n%s\\r\\n" % (len(part), part))
            self.wfile.flush()
        if not whole:
            self.close_connection = True
            return
        self.wfile.write(b"0\\r\\n\\r\\n")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        custom = self.headers.get("X-Amzn-SageMaker-Custom-Attributes")
        if custom:
            self.send_header("X-Amzn-SageMaker-Custom-Attributes", custom)
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))), Handler).serve_forever()
"""


def push_server(sandbox: SandboxProcess, account: str, *, labelled: bool = True) -> str:
    """Push the server's image, with the label that it takes a port, or without; returns its URI."""
    labels = {LABEL: "true"} if labelled else {}
    name = "model" if labelled else "plain"
    return push_image(sandbox, account, name, "1", python_image({"serve": SERVE}, compress=False, labels=labels))


class Hosted:
    """One account of the sandbox, and shorthands for what a client does."""

    def __init__(self, sandbox: SandboxProcess, account: str, image: str) -> None:
        self.sandbox = sandbox
        self.account = account
        self.sagemaker = sandbox.client("sagemaker", account)
        self.runtime = sandbox.client("sagemaker-runtime", account)
        self.cloudwatch = sandbox.client("cloudwatch", account)
        self.s3 = sandbox.client("s3", account)
        self.image = image
        self.role = ROLE
        self.bucket = f"models-{account}"
        self.s3.create_bucket(Bucket=self.bucket)

    def container(self, name: str, image: str | None = None, **behaviour: Any) -> dict[str, Any]:
        """A container whose artifact is in S3."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            info, content = member("model.json", json.dumps({"name": name, **behaviour}).encode())
            archive.addfile(info, io.BytesIO(content))
        self.s3.put_object(Bucket=self.bucket, Key=f"{name}.tar.gz", Body=packed.getvalue())
        return {
            "Image": image or self.image,
            "ModelDataUrl": f"s3://{self.bucket}/{name}.tar.gz",
            "Environment": {"GREETING": "hello"},
        }

    def model(self, name: str, image: str | None = None, **behaviour: Any) -> None:
        """A model, and an endpoint configuration of the same name with four instances of it."""
        container = self.container(name, image, **behaviour)
        self.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=self.role)
        self.config(name, name)

    def config(self, name: str, model: str, variant: dict[str, Any] | None = None, **more: Any) -> None:
        """An endpoint configuration of one variant; `more` are members of the request."""
        sized = variant or {"InitialInstanceCount": 4, "InstanceType": "ml.m5.large"}
        variants = [{"VariantName": "AllTraffic", "ModelName": model, **sized}]
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants, **more)

    def create(self, config: str) -> dict[str, Any]:
        """An endpoint with that configuration, in service or failed."""
        self.sagemaker.create_endpoint(EndpointName="ep", EndpointConfigName=config)
        return self.until(lambda shown: shown["EndpointStatus"] != "Creating", "the endpoint's creation")

    def serve(self, name: str, image: str | None = None, **behaviour: Any) -> dict[str, Any]:
        """An endpoint that serves a new model, or failed to."""
        self.model(name, image, **behaviour)
        return self.create(name)

    def update(self, name: str, wait: int = 0, bake: int = 0, alarm: str | None = None) -> None:
        """A canary of a quarter, watched for `wait` simulated seconds, and a bake."""
        size = {"Type": "CAPACITY_PERCENT", "Value": 25}
        routing = {"Type": "CANARY", "CanarySize": size, "WaitIntervalInSeconds": wait}
        policy = {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": bake}
        config: dict[str, Any] = {"BlueGreenUpdatePolicy": policy}
        if alarm:
            config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": alarm}]}
        self.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName=name, DeploymentConfig=config)

    def until(self, condition: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """Wait for what DescribeEndpoint shows."""
        last: dict[str, Any] = {}

        def holds() -> bool:
            last.clear()
            last.update(self.sagemaker.describe_endpoint(EndpointName="ep"))
            return condition(last)

        wait_until(holds, f"{what} of {self.account}'s endpoint")
        return last

    def until_in_service(self) -> dict[str, Any]:
        """Wait for the end of an update."""
        return self.until(lambda shown: shown["EndpointStatus"] == "InService", "InService")

    def until_canary(self) -> None:
        """Wait until a quarter of the traffic is on the new fleet."""

        def there(shown: dict[str, Any]) -> bool:
            pending = shown.get("PendingDeploymentSummary", {"ProductionVariants": [{}]})["ProductionVariants"][0]
            return pending.get("CurrentWeight") == CANARY

        self.until(there, "the canary")

    def ask(self, payload: str = "1,2", **more: Any) -> dict[str, Any]:
        """An answer, and what the model says in it."""
        answer = self.runtime.invoke_endpoint(EndpointName="ep", Body=payload, ContentType="text/csv", **more)
        return {**answer, "said": json.loads(answer["Body"].read())}

    def outcome(self, payload: str = "1,2") -> str:
        """The model that answered one request, or the error's code."""
        try:
            return self.ask(payload)["said"]["model"]
        except ClientError as error:
            return error.response["Error"]["Code"]  # pyright: ignore[reportTypedDictNotRequiredAccess]

    def refusal(self, payload: str, **more: Any) -> dict[str, Any]:
        """The error answer to a request, which has to be one."""
        try:
            self.runtime.invoke_endpoint(**{"EndpointName": "ep", "Body": payload, **more})
        except ClientError as error:
            return dict(error.response)
        raise AssertionError("the request was answered")

    def metric(self, name: str, variant: str = "AllTraffic") -> float:
        """The sum of a variant's metric in CloudWatch."""
        now = datetime.now(UTC)
        statistics = self.cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=name,
            Dimensions=[{"Name": "EndpointName", "Value": "ep"}, {"Name": "VariantName", "Value": variant}],
            StartTime=now - timedelta(minutes=5),
            EndTime=now + timedelta(minutes=5),
            Period=600,
            Statistics=["Sum"],
        )
        return sum(point["Sum"] for point in statistics["Datapoints"])

    def log_streams(self) -> list[str]:
        """The streams of the endpoint's log group, if it has one."""
        logs, group = self.sandbox.client("logs", self.account), "/aws/sagemaker/Endpoints/ep"
        if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            return []
        return [stream["logStreamName"] for stream in logs.describe_log_streams(logGroupName=group)["logStreams"]]

    def keys(self, prefix: str) -> list[str]:
        """The objects below a prefix of the bucket."""
        return [item["Key"] for item in self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])]

    def read(self, key: str) -> str:
        """An object's text."""
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read().decode()

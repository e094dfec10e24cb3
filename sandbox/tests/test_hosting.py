"""Endpoints whose containers really run: a tiny model server in an image of this machine's own Python."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from slipway_sandbox.testing import SandboxProcess, fresh_account
from slipway_sandbox.testing_images import build_image, layer_of, libraries_of, member, push_image

ROLE = "arn:aws:iam::111111111111:role/serving"
LABEL = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"
INTERPRETER = str(Path(sys.executable).resolve())
SERVE = f"""#!{INTERPRETER} -IS
import json, os, sys
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
        said = {{
            "model": MODEL["name"],
            "greeting": os.environ.get("GREETING"),
            "accept": self.headers.get("Accept"),
            "type": self.headers.get("Content-Type"),
        }}
        status = MODEL.get("status", 400 if asked == b"bad" else 200)
        self.answer(status, json.dumps(said).encode() if status == 200 else b"no such features")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        custom = self.headers.get("X-Amzn-SageMaker-Custom-Attributes")
        if custom:
            self.send_header("X-Amzn-SageMaker-Custom-Attributes", custom)
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


def python_files() -> list[Path]:
    """The interpreter, the modules that the server imports, and the shared libraries of both."""
    listing = (
        "import sys, json, http.server, encodings.idna, encodings.latin_1, encodings.ascii\n"
        "for module in list(sys.modules.values()):\n"
        "    for name in ('__file__', '__cached__'):\n"
        "        print(getattr(module, name, None) or '')\n"
    )
    printed = subprocess.run([INTERPRETER, "-IS", "-c", listing], check=True, capture_output=True, text=True).stdout
    modules = {Path(line) for line in printed.split("\n") if line and Path(line).is_file()}
    binaries = [Path(INTERPRETER), *(module for module in modules if module.suffix == ".so")]
    libraries = {Path(library) for binary in binaries for library in libraries_of(binary)}
    return sorted({Path(INTERPRETER), *modules, *libraries})


def layer() -> bytes:
    """A tar archive of a root file system that can run the server."""
    files = [member(str(path).lstrip("/"), path.read_bytes()) for path in python_files()]
    return layer_of(*files, member("usr/local/bin/serve", SERVE.encode()))


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
        self.bucket = f"models-{account}"
        self.s3.create_bucket(Bucket=self.bucket)

    def model(self, name: str, image: str | None = None, **behaviour: Any) -> None:
        """A model, and an endpoint configuration of the same name with four instances of it."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            info, content = member("model.json", json.dumps({"name": name, **behaviour}).encode())
            archive.addfile(info, io.BytesIO(content))
        self.s3.put_object(Bucket=self.bucket, Key=f"{name}.tar.gz", Body=packed.getvalue())
        container = {
            "Image": image or self.image,
            "ModelDataUrl": f"s3://{self.bucket}/{name}.tar.gz",
            "Environment": {"GREETING": "hello"},
        }
        self.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
        variant = {"VariantName": "AllTraffic", "ModelName": name, "InitialInstanceCount": 4, "InstanceType": "ml.m5.large"}
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])

    def serve(self, name: str, image: str | None = None, **behaviour: Any) -> dict[str, Any]:
        """An endpoint that serves a new model, or failed to."""
        self.model(name, image, **behaviour)
        self.sagemaker.create_endpoint(EndpointName="ep", EndpointConfigName=name)
        return self.until(lambda shown: shown["EndpointStatus"] != "Creating", "the endpoint's creation")

    def update(self, name: str, wait: int = 0, bake: int = 0, alarm: str | None = None) -> None:
        """A canary of a quarter, watched for `wait` simulated seconds, and a bake."""
        size = {"Type": "CAPACITY_PERCENT", "Value": 25}
        routing = {"Type": "CANARY", "CanarySize": size, "WaitIntervalInSeconds": wait}
        policy = {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": bake}
        config: dict[str, Any] = {"BlueGreenUpdatePolicy": policy}
        if alarm:
            config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": alarm}]}
        self.sagemaker.update_endpoint(EndpointName="ep", EndpointConfigName=name, DeploymentConfig=config)

    def until(self, condition: Callable[[dict[str, Any]], bool], what: str, timeout: float = 40) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        pause = threading.Event()
        while True:
            shown = self.sagemaker.describe_endpoint(EndpointName="ep")
            if condition(shown):
                return shown
            if time.monotonic() > deadline:
                pytest.fail(f"timeout after {timeout:g} s waiting for {what}; the endpoint is {shown}")
            pause.wait(0.05)

    def until_in_service(self) -> dict[str, Any]:
        return self.until(lambda shown: shown["EndpointStatus"] == "InService", "InService")

    def until_canary(self) -> None:
        def there(shown: dict[str, Any]) -> bool:
            pending = shown.get("PendingDeploymentSummary", {"ProductionVariants": [{}]})["ProductionVariants"][0]
            return pending.get("CurrentWeight") == 0.25

        self.until(there, "the canary")

    def ask(self, payload: str = "1,2", **more: Any) -> dict[str, Any]:
        answer = self.runtime.invoke_endpoint(EndpointName="ep", Body=payload, ContentType="text/csv", **more)
        return {**answer, "said": json.loads(answer["Body"].read())}

    def outcome(self) -> str:
        """The model that answered one request, or the error's code."""
        try:
            return self.ask()["said"]["model"]
        except ClientError as error:
            return error.response["Error"]["Code"]  # pyright: ignore[reportTypedDictNotRequiredAccess]

    def refusal(self, payload: str, **more: Any) -> dict[str, Any]:
        with pytest.raises(ClientError) as refused:
            self.runtime.invoke_endpoint(**{"EndpointName": "ep", "Body": payload, **more})
        return dict(refused.value.response)


@pytest.fixture(scope="module")
def root() -> bytes:
    return layer()


@pytest.fixture(scope="module")
def image(sandbox: SandboxProcess, root: bytes) -> str:
    """The server's image in a registry that all tests share."""
    return push_image(sandbox, fresh_account(), "model", "1", build_image([root], compress=False, labels={LABEL: "true"}))


@pytest.fixture
def hosted(sandbox: SandboxProcess, account: str, image: str) -> Iterator[Hosted]:
    yield Hosted(sandbox, account, image)
    sandbox.reset(account)


def test_given_an_endpoint_in_service_when_it_is_invoked_then_the_models_own_container_answers(hosted: Hosted) -> None:
    shown = hosted.serve("one")
    assert shown["EndpointStatus"] == "InService", shown
    answer = hosted.ask(Accept="application/json", CustomAttributes="trace=7")
    assert answer["said"] == {"model": "one", "greeting": "hello", "accept": "application/json", "type": "text/csv"}
    assert (answer["InvokedProductionVariant"], answer["CustomAttributes"]) == ("AllTraffic", "trace=7")
    image = shown["ProductionVariants"][0]["DeployedImages"][0]
    assert image["SpecifiedImage"] == hosted.image
    assert image["ResolvedImage"].startswith(hosted.image.removesuffix(":1") + "@sha256:")


def test_given_an_invocation_when_the_call_log_is_read_then_it_is_there_without_its_payload(hosted: Hosted) -> None:
    hosted.serve("one")
    hosted.ask("secret")
    calls = hosted.sandbox.calls("sagemaker-runtime", "InvokeEndpoint", hosted.account)
    assert [call["request"]["EndpointName"] for call in calls] == ["ep"]
    assert "secret" not in json.dumps(calls)


def test_given_a_canary_of_a_quarter_when_it_is_watched_then_a_quarter_of_the_requests_reaches_it(hosted: Hosted) -> None:
    hosted.serve("one")
    hosted.model("two")
    hosted.update("two", wait=150, bake=30)
    hosted.until_canary()
    assert Counter(hosted.ask()["said"]["model"] for _ in range(20)) == {"one": 15, "two": 5}
    assert hosted.until_in_service()["EndpointConfigName"] == "two"
    assert hosted.ask()["said"]["model"] == "two"


def test_given_requests_without_pause_when_an_endpoint_is_updated_then_none_is_lost(hosted: Hosted) -> None:
    hosted.serve("one")
    hosted.model("two")
    seen: Counter[str] = Counter()
    over = threading.Event()

    def keep_asking() -> None:
        while not over.is_set():
            seen[hosted.outcome()] += 1

    clients = [threading.Thread(target=keep_asking) for _ in range(3)]
    for client in clients:
        client.start()
    hosted.update("two", wait=60)
    hosted.until_in_service()
    over.set()
    for client in clients:
        client.join()
    assert set(seen) == {"one", "two"}


def test_given_a_canary_that_errs_when_its_alarm_trips_then_the_old_model_serves_again(hosted: Hosted) -> None:
    hosted.serve("one")
    hosted.model("errs", status=500)
    dimensions = [{"Name": "EndpointName", "Value": "ep"}, {"Name": "VariantName", "Value": "AllTraffic"}]
    hosted.cloudwatch.put_metric_alarm(
        AlarmName="ep-5xx",
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=dimensions,
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0.1,
        ComparisonOperator="GreaterThanThreshold",
    )
    hosted.update("errs", wait=1800, alarm="ep-5xx")
    hosted.until_canary()
    assert "ModelError" in [hosted.outcome() for _ in range(4)]
    shown = hosted.until_in_service()
    assert shown["EndpointConfigName"] == "one"
    assert "ep-5xx" in shown["FailureReason"]
    assert {hosted.ask()["said"]["model"] for _ in range(4)} == {"one"}


def test_given_a_model_that_refuses_when_it_is_invoked_then_its_own_status_and_words_come_back(hosted: Hosted) -> None:
    hosted.serve("one")
    refused = hosted.refusal("bad")
    assert refused["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert (refused["OriginalStatusCode"], refused["OriginalMessage"]) == (400, "no such features")
    assert refused["LogStreamArn"].endswith("/aws/sagemaker/Endpoints/ep")
    assert "Received client error (400) from primary" in refused["Error"]["Message"]


def test_given_no_such_endpoint_when_it_is_invoked_then_it_is_refused_in_awss_words(hosted: Hosted) -> None:
    error = hosted.refusal("1,2", EndpointName="missing")["Error"]
    assert error == {"Code": "ValidationError", "Message": f"Endpoint missing of account {hosted.account} not found."}


def test_given_a_throttled_runtime_when_it_is_invoked_then_the_fault_strikes(hosted: Hosted) -> None:
    hosted.sandbox.plant_fault("sagemaker-runtime", "InvokeEndpoint", "throttle", account=hosted.account)
    assert hosted.refusal("1,2")["Error"]["Code"] == "ThrottlingException"


def test_given_a_container_that_exits_when_an_endpoint_is_created_then_it_failed_and_its_log_tells_why(hosted: Hosted) -> None:
    shown = hosted.serve("broken", exits=True)
    assert shown["EndpointStatus"] == "Failed"
    assert "AllTraffic did not pass the ping health check" in shown["FailureReason"]
    logs = hosted.sandbox.client("logs", hosted.account)
    deadline = time.monotonic() + 10
    messages: list[str] = []
    while "this model does not load" not in messages and time.monotonic() < deadline:
        events = logs.filter_log_events(logGroupName="/aws/sagemaker/Endpoints/ep")["events"]
        messages = [event["message"] for event in events]
    assert "serving broken as serve" in messages
    assert "this model does not load" in messages


def test_given_an_update_to_a_container_that_exits_when_it_ends_then_the_old_model_serves(hosted: Hosted) -> None:
    hosted.serve("one")
    hosted.model("broken", exits=True)
    hosted.update("broken")
    shown = hosted.until_in_service()
    assert (shown["EndpointConfigName"], "ping health check" in shown["FailureReason"]) == ("one", True)
    assert hosted.ask()["said"]["model"] == "one"


def test_given_an_image_that_does_not_take_a_port_when_an_endpoint_is_created_then_the_reason_names_the_label(
    hosted: Hosted, root: bytes
) -> None:
    unlabelled = push_image(hosted.sandbox, hosted.account, "plain", "1", build_image([root], compress=False))
    shown = hosted.serve("one", image=unlabelled)
    assert (shown["EndpointStatus"], LABEL in shown["FailureReason"]) == ("Failed", True)


def test_given_no_artifact_when_an_endpoint_is_created_then_the_reason_names_it(hosted: Hosted) -> None:
    hosted.model("one")
    hosted.s3.delete_object(Bucket=hosted.bucket, Key="one.tar.gz")
    hosted.sagemaker.create_endpoint(EndpointName="ep", EndpointConfigName="one")
    shown = hosted.until(lambda shown: shown["EndpointStatus"] == "Failed", "Failed")
    assert shown["FailureReason"] == f"Could not find model data at s3://{hosted.bucket}/one.tar.gz."


def test_given_a_container_that_dies_when_it_is_invoked_later_then_it_runs_again(hosted: Hosted) -> None:
    hosted.serve("one")
    assert hosted.refusal("exit")["Error"]["Code"] == "ModelError"
    deadline = time.monotonic() + 20
    while (outcome := hosted.outcome()) != "one" and time.monotonic() < deadline:
        continue
    assert outcome == "one"


def test_given_a_dial_for_a_silent_rollback_when_an_endpoint_is_updated_then_the_old_configuration_stays(hosted: Hosted) -> None:
    hosted.serve("one")
    hosted.model("two")
    hosted.sandbox.control("POST", "sagemaker/dials", {"endpoint": "ep", "kind": "rollback", "account": hosted.account})
    hosted.update("two")
    shown = hosted.until_in_service()
    assert shown["EndpointConfigName"] == "one"
    assert "FailureReason" not in shown


def test_given_invocations_when_cloudwatch_is_asked_then_it_counted_them(hosted: Hosted) -> None:
    hosted.serve("one")
    for _ in range(3):
        hosted.ask()
    deadline = time.monotonic() + 10
    counted = 0.0
    while counted < 3 and time.monotonic() < deadline:
        statistics = hosted.cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName="Invocations",
            Dimensions=[{"Name": "EndpointName", "Value": "ep"}, {"Name": "VariantName", "Value": "AllTraffic"}],
            StartTime=time.time() - 300,
            EndTime=time.time() + 300,
            Period=600,
            Statistics=["Sum"],
        )
        counted = sum(point["Sum"] for point in statistics["Datapoints"])
    assert counted == 3

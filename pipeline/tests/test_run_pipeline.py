"""The ECS task's program, run as a process against the local AWS."""

import http.server
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess

PROGRAM = Path(__file__).parents[1] / "run_pipeline.py"
GOES_WELL = {
    "Name": "Check",
    "Type": "Condition",
    "Arguments": {"Conditions": [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}], "IfSteps": [], "ElseSteps": []},
}
DEFINITION: Mapping[str, Any] = {
    "Version": "2020-12-01",
    "Metadata": {},
    "Parameters": [
        {"Name": name, "Type": "String"} for name in ("DataUri", "ModelPackageGroup", "ModelImage", "RoleArn", "OutputUri")
    ],
    "Steps": [{"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "this definition only tests the start"}}],
}


@dataclass(frozen=True)
class Task:
    """The program in a folder as in its image, and the account it runs in."""

    folder: Path
    sandbox: SandboxProcess
    account: str

    def run(self, **changes: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **self.sandbox.process_environment(self.account),
            "PIPELINE_NAME": "screening-training",
            "PIPELINE_ROLE_ARN": f"arn:aws:iam::{self.account}:role/screening-pipeline",
            "MODEL_PACKAGE_GROUP": "screening",
            "MODEL_IMAGE": f"{self.account}.dkr.ecr.us-east-1.amazonaws.com/screening-model:1.0.0",
            "DATA_URI": f"s3://screening-{self.account}/data",
            "OUTPUT_URI": f"s3://screening-{self.account}/runs",
            **changes,
        }
        command = [sys.executable, str(self.folder / PROGRAM.name)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)

    def wait_for(self, execution: str, status: str) -> None:
        describe = self.sandbox.client("sagemaker", self.account).describe_pipeline_execution
        deadline = time.monotonic() + 20
        while (found := describe(PipelineExecutionArn=execution)["PipelineExecutionStatus"]) != status:
            assert time.monotonic() < deadline, f"timeout after 20 s waiting for {execution} to be {status}; it is {found}"
            time.sleep(0.05)

    def started(self, **changes: str) -> str:
        result = self.run(**changes)
        assert result.returncode == 0, result.stderr
        (line,) = result.stdout.splitlines()
        return json.loads(line)["pipelineExecutionArn"]

    def calls(self, operation: str) -> int:
        return len(self.sandbox.calls("sagemaker", operation, self.account))


@pytest.fixture
def bare_task(tmp_path: Path, sandbox: SandboxProcess, sandbox_account: str) -> Task:
    shutil.copy(PROGRAM, tmp_path)
    (tmp_path / "definition.json").write_text(json.dumps(DEFINITION))
    return Task(tmp_path, sandbox, sandbox_account)


@pytest.fixture
def task(bare_task: Task) -> Task:
    s3 = bare_task.sandbox.client("s3", bare_task.account)
    s3.create_bucket(Bucket=f"screening-{bare_task.account}")
    s3.put_object(Bucket=f"screening-{bare_task.account}", Key="data/cases.csv", Body=b"malignant,mean radius\n1,17.99\n")
    return bare_task


@pytest.fixture
def metadata() -> Generator[Callable[[str], str]]:
    """Serves a task metadata endpoint for a task id, and gives its address."""
    servers: list[http.server.HTTPServer] = []

    def serve(task_id: str) -> str:
        body = json.dumps({"TaskARN": f"arn:aws:ecs:us-east-1:222222222222:task/ml/{task_id}"}).encode()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path == "/v4/abc/task" else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        servers.append(http.server.HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/v4/abc"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_given_an_empty_account_when_the_task_runs_then_pipeline_group_and_execution_are_there(task: Task) -> None:
    arn = task.started(SLIPWAY_PROMOTION_ID="screening-1a2b")
    sagemaker = task.sandbox.client("sagemaker", task.account)
    (summary,) = sagemaker.list_pipeline_executions(PipelineName="screening-training")["PipelineExecutionSummaries"]
    assert (summary["PipelineExecutionArn"], summary["PipelineExecutionDisplayName"]) == (arn, "screening-1a2b")
    assert sagemaker.describe_model_package_group(ModelPackageGroupName="screening")


def test_given_a_task_that_ran_when_it_runs_again_then_it_names_the_same_execution(task: Task) -> None:
    first = task.started(SLIPWAY_PROMOTION_ID="screening-1a2b")
    second = task.started(SLIPWAY_PROMOTION_ID="screening-1a2b")
    assert (second, task.calls("StartPipelineExecution"), task.calls("UpdatePipeline")) == (first, 1, 0)


def test_given_another_promotion_when_its_task_runs_then_it_starts_its_own_execution(task: Task) -> None:
    first = task.started(SLIPWAY_PROMOTION_ID="screening-1a2b")
    assert task.started(SLIPWAY_PROMOTION_ID="screening-3c4d") != first


def test_given_a_changed_definition_when_the_task_runs_then_it_updates_the_pipeline_once(task: Task) -> None:
    task.started(SLIPWAY_PROMOTION_ID="screening-1a2b")
    (task.folder / "definition.json").write_text(json.dumps({**DEFINITION, "Metadata": {"changed": "yes"}}))
    task.started(SLIPWAY_PROMOTION_ID="screening-3c4d")
    task.started(SLIPWAY_PROMOTION_ID="screening-5e6f")
    assert (task.calls("CreatePipeline"), task.calls("UpdatePipeline")) == (1, 1)


def test_given_an_earlier_attempt_that_did_not_fail_when_the_next_runs_then_it_keeps_that_execution(task: Task) -> None:
    (task.folder / "definition.json").write_text(json.dumps({**DEFINITION, "Steps": [GOES_WELL]}))
    first = task.started(SLIPWAY_PROMOTION_ID="screening-1a2b")
    assert task.started(SLIPWAY_PROMOTION_ID="screening-1a2b", SLIPWAY_ATTEMPT="2") == first


def test_given_an_earlier_attempt_that_failed_when_the_next_runs_then_it_starts_another_execution(task: Task) -> None:
    first = task.started(SLIPWAY_PROMOTION_ID="screening-1a2b")
    task.wait_for(first, "Failed")
    assert task.started(SLIPWAY_PROMOTION_ID="screening-1a2b", SLIPWAY_ATTEMPT="2") != first


def test_given_no_data_when_the_task_runs_then_one_line_says_what_to_do(bare_task: Task) -> None:
    result = bare_task.run(SLIPWAY_PROMOTION_ID="screening-1a2b")
    expected = f"run_pipeline: no training data at s3://screening-{bare_task.account}/data: upload it and run the task again\n"
    assert (result.returncode, result.stderr, result.stdout) == (1, expected, "")
    assert bare_task.calls("StartPipelineExecution") == 0


def test_given_no_promotion_when_the_task_runs_then_its_own_id_names_the_execution(
    task: Task, metadata: Callable[[str], str]
) -> None:
    task.started(ECS_CONTAINER_METADATA_URI_V4=metadata("0f1e2d3c4b5a"))
    sagemaker = task.sandbox.client("sagemaker", task.account)
    (summary,) = sagemaker.list_pipeline_executions(PipelineName="screening-training")["PipelineExecutionSummaries"]
    assert summary["PipelineExecutionDisplayName"] == "0f1e2d3c4b5a"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"SLIPWAY_PROMOTION_ID": "has_underscore"}, "'has_underscore' cannot name a pipeline execution"),
        ({"SLIPWAY_PROMOTION_ID": "x" * 83}, "at most 82"),
        ({"SLIPWAY_PROMOTION_ID": "a", "SLIPWAY_ATTEMPT": "0"}, "SLIPWAY_ATTEMPT must be a number from 1 to 999, not '0'"),
        ({"SLIPWAY_PROMOTION_ID": "a", "DATA_URI": "data/cases.csv"}, "DATA_URI must be s3://bucket/prefix"),
        ({"SLIPWAY_PROMOTION_ID": "a", "MODEL_IMAGE": ""}, "not set: MODEL_IMAGE; set them in taskdef.yaml"),
        ({}, "neither SLIPWAY_PROMOTION_ID nor ECS_CONTAINER_METADATA_URI_V4 is set"),
        ({"SLIPWAY_PROMOTION_ID": "a", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Could not connect to the endpoint"),
    ],
)
def test_given_something_missing_when_the_task_runs_then_one_line_says_why(
    bare_task: Task, changes: dict[str, str], reason: str
) -> None:
    result = bare_task.run(**changes)
    assert result.returncode == 1
    assert reason in result.stderr
    assert len(result.stderr.splitlines()) == 1

"""Lambda steps, and the local functions that stand for Lambda's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from slipway_sandbox.testing import wait_until

from sandbox.testkit.pipelines import PipelineDesk

WHO = """
import boto3, os

def handler(event, context):
    print("called with", event)
    me = boto3.client("sts").get_caller_identity()
    return {"account": me["Account"], "secret": os.environ.get("HOME", "none"), "list": str(sorted(event))}
"""
BROKEN = """
def handler(event, context):
    raise KeyError("no such thing")
"""
SLOW = """
import os, time

def handler(event, context):
    while not os.path.exists(event["until"]):
        time.sleep(0.05)
"""


def lambda_step(arn: str, *outputs: str, **arguments: Any) -> dict[str, Any]:
    """A Lambda step with text outputs."""
    parameters = [{"OutputName": name, "OutputType": "String"} for name in outputs]
    return {"Name": "Call", "Type": "Lambda", "FunctionArn": arn, "Arguments": arguments, "OutputParameters": parameters}


def test_given_a_function_when_it_calls_aws_then_it_acts_in_the_pipelines_account_and_sees_nothing_of_the_host(
    desk: PipelineDesk, tmp_path: Path
) -> None:
    arn = desk.register_function(tmp_path / "who.py", WHO, "who")
    execution = desk.run([lambda_step(arn, "account", "secret", "list", a=1, b=2)])
    (metadata,) = [step["Metadata"]["Lambda"] for step in desk.steps(execution).values()]
    values = {item["Name"]: item["Value"] for item in metadata["OutputParameters"]}
    assert values == {"account": desk.account, "secret": "none", "list": "['a', 'b']"}
    logs = desk.sandbox.client("logs", desk.account)
    (stream,) = logs.describe_log_streams(logGroupName="/aws/lambda/who")["logStreams"]
    events = logs.get_log_events(logGroupName="/aws/lambda/who", logStreamName=stream["logStreamName"])["events"]
    assert [event["message"] for event in events] == ["called with {'a': 1, 'b': 2}"]


@pytest.mark.parametrize(
    ("source", "outputs", "said"),
    [
        (BROKEN, (), "KeyError"),
        (WHO, ("missing",), "The output parameter 'missing' is missing."),
        ("handler = 3", (), "TypeError"),
        ("import os; os._exit(4)", (), "ended without an answer"),
    ],
)
def test_given_a_function_that_fails_when_its_step_runs_then_the_step_fails_and_says_why(
    desk: PipelineDesk, tmp_path: Path, source: str, outputs: tuple[str, ...], said: str
) -> None:
    execution = desk.run([lambda_step(desk.register_function(tmp_path / "f.py", source), *outputs)])
    assert said in desk.steps(execution)["Call"]["FailureReason"]
    assert desk.describe(execution)["PipelineExecutionStatus"] == "Failed"


def test_given_no_function_of_that_name_when_its_step_runs_then_it_is_not_found(desk: PipelineDesk) -> None:
    execution = desk.run([lambda_step(f"arn:aws:lambda:us-east-1:{desk.account}:function:nobody")])
    assert "Function not found" in desk.steps(execution)["Call"]["FailureReason"]


def test_given_a_function_that_runs_when_the_execution_is_stopped_then_it_stops_after_it(
    desk: PipelineDesk, tmp_path: Path
) -> None:
    arn = desk.register_function(tmp_path / "slow.py", SLOW)
    desk.create({"Version": "2020-12-01", "Steps": [lambda_step(arn, until=str(tmp_path / "now"))]})
    execution = desk.start()
    wait_until(lambda: bool(desk.steps(execution)["Call"]["Metadata"]), "the function to run")
    desk.client.stop_pipeline_execution(PipelineExecutionArn=execution, ClientRequestToken="p" * 32)
    assert desk.describe(execution)["PipelineExecutionStatus"] == "Stopping"
    (tmp_path / "now").touch()
    assert desk.finish(execution)["PipelineExecutionStatus"] == "Stopped"
    assert desk.steps(execution)["Call"]["StepStatus"] == "Succeeded"


@pytest.mark.parametrize("bad", ["relative.py", "/etc/passwd", "/nowhere/function.py"])
def test_given_a_file_that_is_no_python_file_of_ones_own_when_registered_then_it_is_refused(desk: PipelineDesk, bad: str) -> None:
    body = {"functionArn": f"arn:aws:lambda:us-east-1:{desk.account}:function:f", "file": bad}
    with pytest.raises(httpx.HTTPStatusError, match="422"):
        desk.sandbox.control("POST", "sagemaker/lambda", body)


def test_given_a_file_that_everybody_may_write_when_registered_then_it_is_refused(desk: PipelineDesk, tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text(BROKEN)
    (tmp_path / "f.py").chmod(0o666)
    body = {"functionArn": f"arn:aws:lambda:us-east-1:{desk.account}:function:f", "file": str(tmp_path / "f.py")}
    with pytest.raises(httpx.HTTPStatusError, match="writable by everybody"):
        desk.sandbox.control("POST", "sagemaker/lambda", body)


def test_given_a_cached_lambda_step_when_its_time_is_over_then_it_runs_again(desk: PipelineDesk, tmp_path: Path) -> None:
    arn = desk.register_function(tmp_path / "who.py", WHO)
    # A minute passes in a second.
    short = {**lambda_step(arn, a=1), "CacheConfig": {"Enabled": True, "ExpireAfter": "T1m"}}
    desk.create({"Version": "2020-12-01", "Steps": [short]})
    first = desk.start()
    desk.finish(first)
    ended = desk.steps(first)["Call"]["EndTime"]

    def hit() -> bool:
        execution = desk.start()
        desk.finish(execution)
        step = desk.steps(execution)["Call"]
        assert "CacheHitResult" in step or (step["StartTime"] - ended).total_seconds() > 0.5
        return "CacheHitResult" in step

    wait_until(lambda: not hit(), "the step to run anew")

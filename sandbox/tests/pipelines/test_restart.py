"""Executions after a restart, and after a snapshot is restored."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess, build_image, fresh_account, push_image, shell_layer

from sandbox.testkit.contract import behaviour
from sandbox.testkit.jobs import JobDesk
from sandbox.testkit.pipelines import PipelineDesk, reasons

from .conftest import compiled

REGISTER = {"Name": "Register", "Type": "RegisterModel", "Arguments": {"ModelPackageGroupName": "g"}, "DependsOn": ["Ask"]}


def test_given_an_execution_that_waits_for_an_answer_when_a_snapshot_is_restored_then_the_answer_still_counts(
    desk: PipelineDesk,
) -> None:
    queue = desk.queue()
    ask: dict[str, Any] = {"Name": "Ask", "Type": "Callback", "SqsQueueUrl": queue, "Arguments": {}}
    desk.create({"Version": "2020-12-01", "Steps": [ask, REGISTER]})
    execution = desk.start()
    token = desk.message(queue)["token"]
    desk.sandbox.take_snapshot(f"asks-{desk.account}", desk.account)
    desk.sandbox.reset(desk.account)
    desk.sandbox.restore_snapshot(f"asks-{desk.account}")
    assert desk.describe(execution)["PipelineExecutionStatus"] == "Executing"
    desk.client.send_pipeline_execution_step_success(CallbackToken=token)
    assert desk.finish(execution)["PipelineExecutionStatus"] == "Succeeded", reasons(desk, execution)
    assert list(desk.steps(execution)) == ["Ask", "Register"]


@pytest.mark.timeout(180)
@behaviour(
    "In a pipeline's definition (2020-12-01)",
    "a restart of the sandbox",
    like="a host failure: jobs that ran fail with an internal error, which a retry policy can mend; whatever else runs goes on",
    differs="a Lambda step that ran fails",
)
def test_given_a_job_that_dies_with_the_sandbox_when_a_policy_retries_internal_errors_then_another_job_does_the_step(
    tmp_path: Path, stored: dict[str, Any]
) -> None:
    account = fresh_account()
    train = copy.deepcopy(stored["Steps"][0])
    hang = "echo begun; sleep 600"
    work = "echo weights > /opt/ml/model/weights"
    train["Arguments"]["AlgorithmSpecification"]["ContainerArguments"] = [{"Get": "Parameters.Script"}]
    train["RetryPolicies"] = [{"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "MaxAttempts": 2}]
    # The first job reads a script that hangs; the second one's is mended meanwhile.
    script = {"Name": "Script", "Type": "String", "DefaultValue": "sh /opt/ml/input/data/code/run.sh"}
    channel = {
        "ChannelName": "code",
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://d-{account}/code/"}},
    }
    train["Arguments"]["InputDataConfig"] = [channel]
    with SandboxProcess(data=tmp_path, time_scale=60, kept=True) as before:
        desk = PipelineDesk(before, account)
        s3 = before.client("s3", account)
        s3.create_bucket(Bucket=f"d-{account}")
        s3.put_object(Bucket=f"d-{account}", Key="code/run.sh", Body=hang.encode())
        image = push_image(before, account, "shell", "v1", build_image([shell_layer()]))
        desk.create({"Version": "2020-12-01", "Parameters": [*stored["Parameters"], script], "Steps": [train]})
        values = {"Image": image, "RoleArn": desk.role, "OutputUri": f"s3://d-{account}/runs"}
        execution = desk.start(parameters=values)
        JobDesk(before, account).wait_for_line("/aws/sagemaker/TrainingJobs", "begun")
        first = desk.steps(execution)["Train_model"]["Metadata"]
        s3.put_object(Bucket=f"d-{account}", Key="code/run.sh", Body=work.encode())
    with SandboxProcess(data=tmp_path, time_scale=60, kept=True) as after:
        desk = PipelineDesk(after, account)
        desk.finish(execution)
        step = desk.steps(execution)["Train_model"]
        assert (step["AttemptCount"], step["Metadata"] == first) == (2, False)


def test_given_a_snapshot_of_a_cached_run_when_it_is_restored_then_the_cache_is_there_again(
    desk: PipelineDesk, tmp_path: Path
) -> None:
    desk.create(compiled("function"))
    arn = desk.register_function(tmp_path / "f.py", "def handler(e, c): return dict(text='a', length=1, half=.5, long=True)")
    first = desk.start(parameters={"FunctionArn": arn})
    assert desk.finish(first)["PipelineExecutionStatus"] == "Succeeded", reasons(desk, first)
    before = desk.steps(first)
    desk.sandbox.take_snapshot(f"pipelines-{desk.account}", desk.account)
    desk.sandbox.reset(desk.account)
    desk.sandbox.restore_snapshot(f"pipelines-{desk.account}")
    assert desk.steps(first) == before
    second = desk.start(parameters={"FunctionArn": arn})
    desk.finish(second)
    assert desk.steps(second)["First"]["CacheHitResult"] == {"SourcePipelineExecutionArn": first}

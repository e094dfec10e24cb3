"""Definitions as the SageMaker SDK makes them: read, and run."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from slipway_sandbox.sagemaker.pipelines.definition import parse_definition
from slipway_sandbox.testing import push_image

from sandbox.testkit.cache import cached
from sandbox.testkit.contract import behaviour
from sandbox.testkit.jobs import server
from sandbox.testkit.pipelines import PipelineDesk, reasons

from .conftest import compiled

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in (HERE / "sdk").glob("*.json"))


def compile_into(file: Path) -> None:
    """Write all definitions, by name."""
    command = [sys.executable, str(HERE / "compile_definitions.py"), "--output", str(file.parent)]
    subprocess.run(command, check=True, capture_output=True)
    file.write_text(json.dumps({path.stem: json.loads(path.read_text()) for path in file.parent.glob("*.json")}))


@pytest.mark.timeout(300)
@pytest.mark.skipif(not importlib.util.find_spec("sagemaker"), reason="the SageMaker SDK is not installed")
def test_given_the_sdk_when_it_compiles_the_definitions_again_then_they_are_the_stored_ones() -> None:
    # The SDK takes long to import: what it made of the same source is kept in the cache.
    sources = f"{sys.version} {version('sagemaker')} {(HERE / 'compile_definitions.py').read_text()}"
    made = json.loads(cached("sdk-definitions.json", sources, compile_into).read_text())
    assert made == {name: compiled(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_given_what_the_sdk_compiles_when_a_pipeline_is_made_of_it_then_it_is_taken(name: str) -> None:
    definition = parse_definition(json.dumps(compiled(name)))
    assert len(definition.steps) == len(compiled(name)["Steps"])


@behaviour(
    "In a pipeline's definition (2020-12-01)",
    "step caching",
    like="`CacheConfig` of Training, Processing and Transform steps by the arguments that AWS documents; `CacheHitResult`; the "
    "latest success of the same step of the same pipeline, by its age in simulated time",
    differs="Lambda and Callback steps, for which AWS documents none, are compared by all their arguments and their target; a "
    "hit is taken without a look at whether its artifacts are still there",
)
def test_given_a_pipeline_of_jobs_when_it_runs_twice_then_the_second_run_takes_the_first_ones_jobs(
    desk: PipelineDesk, compiled_parameters: dict[str, str]
) -> None:
    desk.create(compiled("jobs"))
    first = desk.start(parameters=compiled_parameters)
    assert desk.finish(first)["PipelineExecutionStatus"] == "Succeeded", reasons(desk, first)
    second = desk.start(parameters=compiled_parameters)
    assert desk.finish(second)["PipelineExecutionStatus"] == "Succeeded", reasons(desk, second)
    before, after = desk.steps(first), desk.steps(second)
    assert list(after) == ["Train", "Evaluate", "Check", "Register"]
    assert {name: step.get("CacheHitResult") for name, step in after.items()} == {
        "Train": {"SourcePipelineExecutionArn": first},
        "Evaluate": {"SourcePipelineExecutionArn": first},
        "Check": None,
        "Register": None,
    }
    assert [after[name]["Metadata"] == before[name]["Metadata"] for name in ("Train", "Evaluate", "Register")] == [
        True,
        True,
        False,
    ]


def test_given_an_argument_that_counts_when_it_changes_then_only_what_it_changes_runs_again(
    desk: PipelineDesk, compiled_parameters: dict[str, str]
) -> None:
    desk.create(compiled("jobs"))
    desk.finish(desk.start(parameters=compiled_parameters))
    worse = desk.start(parameters={**compiled_parameters, "Accuracy": "0.6"})
    assert desk.finish(worse)["PipelineExecutionStatus"] == "Failed"
    steps = desk.steps(worse)
    assert ("CacheHitResult" in steps["Train"], "CacheHitResult" in steps["Evaluate"]) == (True, False)
    assert steps["TooLow"]["FailureReason"] == "accuracy 0.6 of Training"


@behaviour(
    "In a pipeline's definition (2020-12-01)",
    "Callback steps",
    like="a message in the SQS queue with token, execution, arguments and status; outputs of each type; "
    "StopPipelineExecution sends another message, with status `Stopping`, and waits for the answer",
    differs="no time after which AWS gives up; FIFO queues are not served",
)
def test_given_a_callback_step_when_it_is_answered_then_its_outputs_have_their_types(desk: PipelineDesk) -> None:
    desk.create(compiled("callback"))
    queue = desk.queue()
    execution = desk.start(parameters={"QueueUrl": queue})
    message = desk.message(queue)
    assert message == {
        "token": message["token"],
        "pipelineExecutionArn": execution,
        "arguments": {"execution": execution.rpartition("/")[2], "threshold": 0.5},
        "status": "Executing",
    }
    outputs = {"approved": "false", "count": "3", "share": "0.25", "who": "me"}
    desk.client.send_pipeline_execution_step_success(
        CallbackToken=message["token"], OutputParameters=[{"Name": name, "Value": value} for name, value in outputs.items()]
    )
    assert desk.finish(execution)["PipelineExecutionStatus"] == "Failed"
    assert desk.steps(execution)["Say"]["FailureReason"] == "me 3 0.25"


@behaviour(
    "In a pipeline's definition (2020-12-01)",
    "Lambda steps",
    like="outputs of each type; `lambda:InvokeFunction` by the pipeline's role",
    differs="no function runs: `POST /_sandbox/sagemaker/lambda` sets what one answers, at once; wording of failures is not "
    "verified on AWS",
)
def test_given_lambda_steps_when_they_run_then_the_outputs_have_their_types(desk: PipelineDesk) -> None:
    desk.create(compiled("function"))
    arn = desk.function(text="hello!", length="6", half=3, long=True)
    execution = desk.start(parameters={"FunctionArn": arn})
    assert desk.finish(execution)["PipelineExecutionStatus"] == "Succeeded", reasons(desk, execution)
    shown: list[dict[str, Any]] = [
        {"Name": "text", "Value": "hello!"},
        {"Name": "length", "Value": "6"},
        {"Name": "half", "Value": "3"},
        {"Name": "long", "Value": "true"},
    ]
    assert desk.steps(execution)["Second"]["Metadata"] == {"Lambda": {"Arn": arn, "OutputParameters": shown}}


@behaviour(
    "In a pipeline's definition (2020-12-01)",
    "DependsOn",
    like="plain names, and `{Step, Trigger}` with Completed, Failed, Stopped and Any; failures that other steps ran because of "
    "end in `CompletedWithFailures`",
    differs="a job that is stopped from outside is a step that failed; a failure that no step was there for makes the whole "
    "execution `Failed`, which is not verified on AWS",
)
def test_given_steps_that_wait_for_a_failure_when_it_comes_then_they_run_and_the_execution_completes_with_failures(
    desk: PipelineDesk, compiled_parameters: dict[str, str]
) -> None:
    desk.create(compiled("triggers"))
    queue = desk.queue()
    broken = f"s3://nobody-{desk.account}/runs"
    execution = desk.start(parameters={**compiled_parameters, "OutputUri": broken, "QueueUrl": queue})
    for _ in range(2):
        desk.client.send_pipeline_execution_step_success(CallbackToken=desk.message(queue)["token"])
    ended = desk.finish(execution)
    assert ended["PipelineExecutionStatus"] == "CompletedWithFailures"
    assert {name: step["StepStatus"] for name, step in desk.steps(execution).items()} == {
        "Train": "Failed",
        "OnFailure": "Succeeded",
        "Always": "Succeeded",
    }


def test_given_a_model_and_a_transform_step_when_they_run_then_the_steps_own_model_answers_each_record(
    desk: PipelineDesk, compiled_parameters: dict[str, str]
) -> None:
    definition = compiled("transform")
    train, create, transform = definition["Steps"]
    create["Arguments"]["PrimaryContainer"]["Image"] = {"Get": "Parameters.ServingImage"}
    parameters = [*definition["Parameters"], {"Name": "ServingImage", "Type": "String"}]
    desk.create({**definition, "Parameters": parameters, "Steps": [train, create, transform]})
    serving = push_image(desk.sandbox, desk.account, "serving", "v1", server())
    execution = desk.start(parameters={**compiled_parameters, "ServingImage": serving})
    assert desk.finish(execution)["PipelineExecutionStatus"] == "Succeeded", reasons(desk, execution)
    metadata = desk.steps(execution)["Transform"]["Metadata"]
    job = desk.client.describe_transform_job(TransformJobName=metadata["TransformJob"]["Arn"].rpartition("/")[2])
    assert job["ModelName"].startswith(f"pipelines-{execution.rpartition('/')[2]}-Create-")
    key = f"runs/{execution.rpartition('/')[2]}/transform/rows.csv.out"
    bucket = compiled_parameters["OutputUri"].split("/")[2]
    answers = desk.sandbox.client("s3", desk.account).get_object(Bucket=bucket, Key=key)["Body"].read()
    assert answers == b"3.0\n7.0\n"

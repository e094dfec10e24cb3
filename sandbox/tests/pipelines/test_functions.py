"""Lambda steps, whose functions answer what a dial says."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from slipway_sandbox.testing import wait_until

from sandbox.testkit.pipelines import PipelineDesk


def lambda_step(arn: str, *outputs: str, **arguments: Any) -> dict[str, Any]:
    """A Lambda step with text outputs."""
    parameters = [{"OutputName": name, "OutputType": "String"} for name in outputs]
    return {"Name": "Call", "Type": "Lambda", "FunctionArn": arn, "Arguments": arguments, "OutputParameters": parameters}


def test_given_an_answer_when_the_step_runs_then_later_steps_have_its_outputs(desk: PipelineDesk) -> None:
    arn = desk.function(word="enough", more="not asked for")
    say = {"Name": "Say", "Type": "Fail", "Arguments": {"ErrorMessage": {"Get": "Steps.Call.OutputParameters['word']"}}}
    execution = desk.run([lambda_step(arn, "word", a=1), say])
    steps = desk.steps(execution)
    shown = [{"Name": "word", "Value": "enough"}]
    assert steps["Call"]["Metadata"] == {"Lambda": {"Arn": arn, "OutputParameters": shown}}
    assert steps["Say"]["FailureReason"] == "enough"


def test_given_an_answer_without_an_output_when_the_step_runs_then_it_fails_and_says_which(desk: PipelineDesk) -> None:
    execution = desk.run([lambda_step(desk.function(), "missing")])
    assert "The output parameter 'missing' is missing." in desk.steps(execution)["Call"]["FailureReason"]
    assert desk.describe(execution)["PipelineExecutionStatus"] == "Failed"


def test_given_an_error_when_the_step_runs_then_it_fails_with_it(desk: PipelineDesk) -> None:
    arn = desk.function()
    desk.sandbox.control("POST", "sagemaker/lambda", {"functionArn": arn, "error": "KeyError: no such thing"})
    execution = desk.run([lambda_step(arn)])
    assert desk.steps(execution)["Call"]["FailureReason"].endswith("failed: KeyError: no such thing")


def test_given_no_answer_when_the_step_runs_then_the_function_is_not_found(desk: PipelineDesk) -> None:
    execution = desk.run([lambda_step(f"arn:aws:lambda:us-east-1:{desk.account}:function:nobody")])
    assert "Function not found" in desk.steps(execution)["Call"]["FailureReason"]


def test_given_what_is_no_function_when_its_answer_is_set_then_it_is_refused(desk: PipelineDesk) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="422"):
        desk.sandbox.control("POST", "sagemaker/lambda", {"functionArn": "function", "answer": {}})


def test_given_a_cached_lambda_step_when_its_time_is_over_then_it_runs_again(desk: PipelineDesk) -> None:
    # A minute passes in a second.
    short = {**lambda_step(desk.function(), a=1), "CacheConfig": {"Enabled": True, "ExpireAfter": "T1m"}}
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

    wait_until(lambda: not hit(), "the step to run again")

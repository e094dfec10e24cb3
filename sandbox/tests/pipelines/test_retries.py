"""Retry policies of steps."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.sagemaker.pipelines.definition import parse_definition
from slipway_sandbox.sagemaker.pipelines.durations import parse_duration
from slipway_sandbox.sagemaker.pipelines.job_steps import kind_of
from slipway_sandbox.sagemaker.pipelines.parts import RetryPolicy
from slipway_sandbox.testing import wait_until

from sandbox.testkit.contract import behaviour
from sandbox.testkit.pipelines import PipelineDesk

REGISTER = {"Name": "Register", "Type": "RegisterModel", "Arguments": {"ModelPackageGroupName": "group"}}


def policy(*exceptions: str, **more: Any) -> dict[str, Any]:
    """A retry policy."""
    return {"ExceptionType": list(exceptions), "IntervalSeconds": 1, "BackoffRate": 2.0, **more}


def plant(desk: PipelineDesk, kind: str, **more: Any) -> None:
    """Let the registration of a step fail."""
    desk.sandbox.plant_fault("sagemaker", "pipelines.CreateModelPackage", kind, account=desk.account, **more)


@behaviour(
    "In a pipeline's definition (2020-12-01)",
    "retry policies",
    like="Step.SERVICE_FAULT and Step.THROTTLING, which are retried without a policy too, SageMaker.JOB_INTERNAL_ERROR, "
    "CAPACITY_ERROR and RESOURCE_LIMIT; interval, backoff, MaxAttempts, ExpireAfterMin in simulated time; AttemptCount",
    differs="faults planted for `sagemaker` `pipelines.<Operation>` strike the calls of steps; how AWS retries where there is no "
    "policy is not verified: 5 times here, after 1 s, 2 s and so on",
)
@pytest.mark.parametrize("kind", ["throttle", "server-error", "reset"])
def test_given_a_call_that_is_refused_for_a_moment_when_there_is_no_policy_then_the_step_is_tried_again(
    desk: PipelineDesk, kind: str
) -> None:
    plant(desk, kind, count=2)
    execution = desk.run([REGISTER])
    step = desk.steps(execution)["Register"]
    assert (step["StepStatus"], step["AttemptCount"]) == ("Succeeded", 3)


def test_given_a_policy_when_its_attempts_are_used_up_then_the_step_fails_with_the_last_reason(desk: PipelineDesk) -> None:
    plant(desk, "throttle", count=9)
    execution = desk.run([{**REGISTER, "RetryPolicies": [policy("Step.THROTTLING", MaxAttempts=1)]}])
    step = desk.steps(execution)["Register"]
    assert (step["StepStatus"], step["AttemptCount"]) == ("Failed", 2)
    assert step["FailureReason"] == "ClientError: Failed to invoke sagemaker:CreateModelPackage. Error Details: Rate exceeded"


def test_given_a_resource_limit_when_a_policy_is_there_for_it_then_the_step_is_tried_again(desk: PipelineDesk) -> None:
    plant(desk, "error", code="ResourceLimitExceeded", message="no more", count=1)
    execution = desk.run([{**REGISTER, "RetryPolicies": [policy("SageMaker.RESOURCE_LIMIT", MaxAttempts=3)]}])
    assert desk.steps(execution)["Register"]["AttemptCount"] == 2
    assert desk.describe(execution)["PipelineExecutionStatus"] == "Succeeded"


def test_given_an_error_that_no_policy_is_for_when_it_comes_then_the_step_fails_at_once(desk: PipelineDesk) -> None:
    plant(desk, "error", code="ResourceLimitExceeded", message="no more", count=1)
    execution = desk.run([{**REGISTER, "RetryPolicies": [policy("Step.THROTTLING", MaxAttempts=3)]}])
    step = desk.steps(execution)["Register"]
    assert (step["StepStatus"], step["AttemptCount"]) == ("Failed", 1)


def test_given_a_step_that_waits_for_its_next_attempt_when_the_execution_is_stopped_then_it_ends(desk: PipelineDesk) -> None:
    plant(desk, "throttle", count=9)
    steps = [{**REGISTER, "RetryPolicies": [policy("Step.THROTTLING", MaxAttempts=3, IntervalSeconds=43200)]}]
    desk.create({"Version": "2020-12-01", "Steps": steps})
    execution = desk.start()
    wait_until(lambda: "FailureReason" in desk.steps(execution)["Register"], "the first attempt to fail")
    desk.client.stop_pipeline_execution(PipelineExecutionArn=execution, ClientRequestToken="p" * 32)
    assert desk.finish(execution)["PipelineExecutionStatus"] == "Stopped"


@pytest.mark.parametrize(
    "bad",
    [
        policy("Step.THROTTLING", MaxAttempts=1, ExpireAfterMin=1),
        policy("Step.THROTTLING", MaxAttempts=21),
        policy("Step.THROTTLING", ExpireAfterMin=14401),
        policy("Step.THROTTLING", IntervalSeconds=43201),
        policy("Step.NOTHING"),
    ],
)
def test_given_a_policy_outside_of_its_bounds_when_parsed_then_the_definition_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(AwsError, match="Unable to parse pipeline definition"):
        parse_definition(json.dumps({"Version": "2020-12-01", "Steps": [{**REGISTER, "RetryPolicies": [bad]}]}))


@given(st.integers(1, 30), st.integers(0, 20), st.floats(0, 1e6))
def test_given_a_number_of_attempts_when_so_many_have_failed_then_there_is_no_other(
    attempt: int, most: int, elapsed: float
) -> None:
    found = RetryPolicy.model_validate(policy("Step.THROTTLING", MaxAttempts=most)).wait(attempt, elapsed)
    assert found == (2.0 ** (attempt - 1) if attempt <= most else None)


@given(st.integers(1, 30), st.integers(0, 14400), st.floats(0, 1e6))
def test_given_a_time_when_it_is_over_then_there_is_no_other_attempt(attempt: int, minutes: int, elapsed: float) -> None:
    found = RetryPolicy.model_validate(policy("Step.THROTTLING", ExpireAfterMin=minutes)).wait(attempt, elapsed)
    assert (found is None) is (elapsed >= minutes * 60)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("InternalServerError: We encountered an internal error. Please try again.", "SageMaker.JOB_INTERNAL_ERROR"),
        ("CapacityError: Unable to provision requested ML compute capacity.", "SageMaker.CAPACITY_ERROR"),
        ("ResourceLimitExceeded: too many", "SageMaker.RESOURCE_LIMIT"),
        ("AlgorithmError: CapacityError, exit code: 1", None),
    ],
)
def test_given_a_jobs_reason_when_it_failed_then_policies_know_it_by_its_beginning(reason: str, kind: str | None) -> None:
    assert kind_of(reason) == kind


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30d", 2592000), ("5y", 157680000), ("T16m", 960), ("30dT5h", 2610000), ("P4DT12H", 388800), ("p1w", 604800), ("PT1S", 1)],
)
def test_given_a_duration_when_parsed_then_it_is_as_long_as_aws_documents(text: str, seconds: int) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "P", "T", "5", "1h", "d5", "P1D5H"])
def test_given_what_is_no_duration_when_parsed_then_it_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        parse_duration(text)

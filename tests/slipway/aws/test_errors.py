from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.model import OperationModel

from slipway.aws.errors import RULES, UNFORESEEN, classify, rule_of
from slipway.errors import NeedsPersonError, RefusedError, SlipwayError, TransientError

POLICIES = Path(__file__).parents[3] / "deploy" / "iam"
NO_CALLS = {"iam:PassRole", "sts:TagSession", "sts:SetSourceIdentity"}
"""Actions that AWS checks and that are no operation."""
NAMED_OTHERWISE = {"s3:ListBucket": "s3:ListObjectsV2", "sqs:DeleteMessage": "sqs:DeleteMessageBatch"}
"""Actions whose operation has another name."""


def answered(code: str, message: str = "said AWS", status: int = 400, operation: str = "DescribeEndpoint") -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)


@cache
def operations() -> dict[str, OperationModel]:
    """Every operation of the services that Slipway calls, by its IAM action."""
    session = botocore.session.get_session()
    found: dict[str, OperationModel] = {}
    for service in (
        "application-autoscaling",
        "cloudwatch",
        "ecr",
        "ecs",
        "logs",
        "s3",
        "sagemaker",
        "sagemaker-runtime",
        "sqs",
        "sts",
    ):
        model = session.get_service_model(service)
        for name in model.operation_names:
            found[f"{service.removesuffix('-runtime')}:{name}"] = model.operation_model(name)
    return found


def allowed() -> set[str]:
    """The actions that the worker and its role at the targets may call."""
    statements = [
        each for file in ("worker", "rollout") for each in json.loads((POLICIES / f"{file}.json").read_text())["Statement"]
    ]
    listed = (each["Action"] for each in statements)
    actions = {action for each in listed for action in ([each] if isinstance(each, str) else each)} - NO_CALLS
    return {NAMED_OTHERWISE.get(action, action) for action in actions}


def modelled_errors() -> Iterator[Any]:
    """Each error that botocore's models tell of an allowed operation."""
    for action in sorted(allowed()):
        operation = operations()[action]
        for shape in operation.error_shapes:
            error = shape.metadata.get("error", {})
            code, status = error.get("code") or shape.name, error.get("httpStatusCode", 400)
            yield pytest.param(answered(code, "", status, operation.name), id=f"{action}-{code}")


@pytest.mark.parametrize("error", list(modelled_errors()))
def test_given_an_allowed_operation_when_aws_answers_an_error_of_its_model_then_a_rule_decides_on_it(error: ClientError) -> None:
    assert rule_of(error) is not UNFORESEEN


def test_given_a_rule_when_it_is_about_operations_then_slipway_may_call_them() -> None:
    named = {operation for rule in RULES for operation in rule.operations}

    assert named <= {operations()[action].name for action in allowed()}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectTimeoutError(endpoint_url="x"), TransientError),
        (ReadTimeoutError(endpoint_url="x"), TransientError),
        (EndpointConnectionError(endpoint_url="x"), TransientError),
        (answered("InternalFailure", status=500), TransientError),
        (answered("ServerException"), TransientError),
        (answered("Strange", status=503), TransientError),
        (answered("ThrottlingException"), TransientError),
        (answered("TooManyRequestsException", status=429), TransientError),
        (answered("Strange", status=429), TransientError),
        (answered("ExpiredTokenException"), TransientError),
        (answered("RequestExpired"), TransientError),
        (answered("ValidationException", 'Cannot update in-progress endpoint "arn"'), TransientError),
        (answered("ConflictException"), TransientError),
        (answered("ConflictException", operation="RunTask"), NeedsPersonError),
        (
            answered("ClientException", "Capacity is unavailable at this time. Try again later.", operation="RunTask"),
            TransientError,
        ),
        (answered("ClientException", "Too many tasks in the PROVISIONING state", operation="RunTask"), TransientError),
        (answered("ClientException", "TaskDefinition is inactive", operation="RunTask"), NeedsPersonError),
        (answered("ClientException", "Capacity is unavailable", operation="StopTask"), NeedsPersonError),
        (answered("ResourceLimitExceeded"), NeedsPersonError),
        (answered("AccessDeniedException"), NeedsPersonError),
        (answered("UnrecognizedClientException"), NeedsPersonError),
        (answered("RepositoryNotFoundException"), NeedsPersonError),
        (answered("ValidationException", "Could not access model data"), NeedsPersonError),
        (answered("Strange"), NeedsPersonError),
        (NoCredentialsError(), NeedsPersonError),
        (NoRegionError(), NeedsPersonError),
        (BotoCoreError(), NeedsPersonError),
        (ParamValidationError(report="bad"), RefusedError),
    ],
)
def test_given_an_error_of_aws_when_it_is_classified_then_it_has_one_of_three_ends(
    error: BotoCoreError | ClientError, kind: type[SlipwayError]
) -> None:
    assert isinstance(classify(error, "trying"), kind)


@pytest.mark.parametrize(
    "error", [answered("ThrottlingException"), answered("ClientException", "Capacity is unavailable", operation="RunTask")]
)
def test_given_a_wait_that_aws_asks_for_when_it_is_classified_then_it_says_how_long(error: ClientError) -> None:
    found = classify(error)
    assert isinstance(found, TransientError)
    assert found.retry_after


def test_given_a_denial_when_it_is_classified_then_the_action_is_named() -> None:
    message = "User: arn:aws:sts::1:assumed-role/x/y is not authorized to perform: ecs:RunTask on resource: z"
    error = classify(answered("AccessDeniedException", message, operation="RunTask"), "running a task")
    assert "allow ecs:RunTask" in error.report.remedy
    assert "assumed-role/x/y" in error.report.answered

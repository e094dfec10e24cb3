"""Secrets and environment files."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from slipway_sandbox.ecs.secrets import parameter_name, variables_in

from sandbox.testkit.contract import behaviour
from sandbox.testkit.ecs import TaskDesk

UNABLE = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "


def make_secret(desk: TaskDesk, value: Any) -> str:
    """A secret's ARN."""
    text = value if isinstance(value, str) else json.dumps(value)
    return desk.sandbox.client("secretsmanager", desk.account).create_secret(Name="app", SecretString=text)["ARN"]


def run_with(desk: TaskDesk, script: str, *secrets: tuple[str, str], **more: Any) -> dict[str, Any]:
    """A task whose container has secrets, once it has stopped."""
    container = desk.container(script, secrets=[{"name": name, "valueFrom": value} for name, value in secrets], **more)
    return desk.until(desk.start(desk.register(container)), "STOPPED")


@behaviour(
    "In a task",
    "secrets",
    like="from Secrets Manager (whole, by JSON key, version stage, version id) and from Parameter Store (name or ARN), fetched "
    "as the execution role; AWS's words where that fails",
    differs="the request ids in errors are moto's; JSON that cannot be read is complained of in other words; a role that cannot "
    "be assumed fails the task, not RunTask",
)
def test_given_secrets_when_it_runs_then_they_are_variables(desk: TaskDesk) -> None:
    desk.sandbox.client("ssm", desk.account).put_parameter(Name="/app/token", Value="from-ssm", Type="SecureString")
    arn = make_secret(desk, {"user": "ana", "port": 5432})
    parameter = f"arn:aws:ssm:us-east-1:{desk.account}:parameter/app/token"
    task = run_with(
        desk,
        "echo $WHOLE; echo $USER $PORT $STAGED $NAMED $BY_ARN",
        ("WHOLE", arn),
        ("USER", f"{arn}:user::"),
        ("PORT", f"{arn}:port::"),
        ("STAGED", f"{arn}:user:AWSCURRENT:"),
        ("NAMED", "/app/token"),
        ("BY_ARN", parameter),
    )
    assert desk.lines(task) == ['{"user": "ana", "port": 5432}', "ana 5432 ana from-ssm from-ssm"]


def test_given_an_older_version_when_named_then_it_is_that_one(desk: TaskDesk) -> None:
    arn = make_secret(desk, "old")
    desk.sandbox.client("secretsmanager", desk.account).put_secret_value(SecretId=arn, SecretString="new")
    task = run_with(desk, "echo $NOW $BEFORE", ("NOW", arn), ("BEFORE", f"{arn}::AWSPREVIOUS:"))
    assert desk.lines(task) == ["new old"]


def test_given_secrets_when_fetched_then_the_calls_are_the_execution_roles(desk: TaskDesk) -> None:
    arn = make_secret(desk, "hidden")
    run_with(desk, "true", ("A", arn))
    call = desk.sandbox.calls("secretsmanager", "GetSecretValue", desk.account)[0]
    assert call["request"] == {"SecretId": arn}
    assert call["error"] is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (
            "/none",
            r"unable to retrieve secrets from ssm: service call has been retried 1 time\(s\): invalid ssm parameters: /none",
        ),
        (
            "{account}:secret:none-abcdef",
            (
                r"unable to retrieve secret from asm: service call has been retried 1 time\(s\): failed to fetch secret \S+ from "
                r"secrets manager: operation error Secrets Manager: GetSecretValue, https response error StatusCode: \d+, "
                r"RequestID: \S+, api error ResourceNotFoundException: Secrets Manager can't find the specified secret\."
            ),
        ),
        (
            "{account}:secret:none-abcdef:key",
            (
                r"unable to retrieve secret from asm: trying to retrieve secret with value \S+ resulted in error: an invalid ARN "
                r"format for the AWS Secrets Manager secret was specified\. Specify a valid ARN and try again\."
            ),
        ),
    ],
    ids=["parameter", "secret", "arn"],
)
def test_given_a_secret_that_is_not_there_when_run_then_the_reason_says_so(desk: TaskDesk, value: str, reason: str) -> None:
    arn = value.replace("{account}", f"arn:aws:secretsmanager:us-east-1:{desk.account}")
    task = run_with(desk, "true", ("A", arn))
    assert task["stopCode"] == "TaskFailedToStart"
    assert re.fullmatch(re.escape(UNABLE) + reason, task["stoppedReason"]), task["stoppedReason"]
    assert task["containers"][0]["reason"] == task["stoppedReason"]
    assert "exitCode" not in task["containers"][0]
    assert "pullStartedAt" not in task


def test_given_a_json_key_that_is_not_there_when_run_then_the_reason_names_it(desk: TaskDesk) -> None:
    arn = make_secret(desk, {"user": "ana"})
    task = run_with(desk, "true", ("A", f"{arn}:password::"))
    assert task["stoppedReason"].endswith("retrieved secret from Secrets Manager did not contain json key password")


@behaviour(
    "In a task",
    "environment files",
    like="from S3, as the execution role; comments; the definition's own variables come before them, and of two files the first",
)
def test_given_environment_files_when_it_runs_then_its_own_variables_come_first(desk: TaskDesk) -> None:
    s3, bucket = desk.sandbox.client("s3", desk.account), f"files-{desk.account}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="one.env", Body=b"# comment\nA=one=1\nB=one\nC=one\n")
    s3.put_object(Bucket=bucket, Key="two.env", Body=b"B=two\nD=two words\n")
    files = [{"type": "s3", "value": f"arn:aws:s3:::{bucket}/{name}.env"} for name in ("one", "two")]
    container = desk.container("echo $A $B $C $D", environmentFiles=files, environment=[{"name": "C", "value": "own"}])
    task = desk.until(desk.start(desk.register(container)), "STOPPED")
    assert desk.lines(task) == ["one=1 one own two words"]


def test_given_an_environment_file_that_is_not_there_when_run_then_the_reason_says_so(desk: TaskDesk) -> None:
    files = [{"type": "s3", "value": f"arn:aws:s3:::none-{desk.account}/a.env"}]
    task = desk.until(desk.start(desk.register(desk.container(environmentFiles=files))), "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith(
        "ResourceInitializationError: failed to download env files: service call has been retried 1 time(s): operation error S3"
    )


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("/a/b", "/a/b"),
        ("plain", "plain"),
        ("arn:aws:ssm:us-east-1:111111111111:parameter/plain", "plain"),
        ("arn:aws:ssm:us-east-1:111111111111:parameter/a/b", "/a/b"),
    ],
)
def test_given_what_a_definition_calls_a_parameter_when_asked_then_its_name_is_known(value: str, name: str) -> None:
    assert parameter_name(value) == name


def test_given_lines_that_are_no_variables_when_read_then_they_are_left_out() -> None:
    assert variables_in("A=1\n\nno variable\n#B=2\n1X=3\nC=\n") == {"A": "1", "C": ""}

"""What a task's execution role has to be allowed, and what becomes of the task where it is not."""

from __future__ import annotations

from typing import Any

import pytest
from slipway_sandbox.testing.iam import RoleMaker, Statement, allow, trusting

from sandbox.testkit.contract import behaviour
from sandbox.testkit.ecs import TaskDesk

TOKEN = allow("ecr:GetAuthorizationToken")
LOGS = allow(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"])
UNABLE = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "


def run_as(desk: TaskDesk, *statements: Statement, logs: Statement = LOGS, **more: Any) -> dict[str, Any]:
    """A task whose execution role may do that, write its log and no more, once it has stopped."""
    role = RoleMaker(desk.sandbox, desk.account).create([*statements, logs], trusting(service="ecs-tasks.amazonaws.com"))
    container = desk.container("echo $A", **more)
    return desk.until(desk.start(desk.register(container, executionRoleArn=role)), "STOPPED")


def make_secret(desk: TaskDesk) -> str:
    """A secret's ARN."""
    return desk.sandbox.client("secretsmanager", desk.account).create_secret(Name="app", SecretString="hidden")["ARN"]


def pulling(desk: TaskDesk, *actions: str) -> Statement:
    """The right to do that with the desk's image."""
    return allow([f"ecr:{action}" for action in actions], f"arn:aws:ecr:us-east-1:{desk.account}:repository/shell")


@behaviour(
    "In a task",
    "execution role",
    like="its policies decide on secrets, parameters, environment files, logs, and on pulling: GetAuthorizationToken, "
    "BatchGetImage, GetDownloadUrlForLayer; its trust, when the task is run",
    differs="a role that IAM does not know may do all",
)
def test_given_a_role_with_no_more_than_it_needs_when_run_then_the_task_has_its_secret(desk: TaskDesk) -> None:
    arn = make_secret(desk)
    rights = [TOKEN, pulling(desk, "BatchGetImage", "GetDownloadUrlForLayer"), allow("secretsmanager:GetSecretValue", arn)]
    task = run_as(desk, *rights, secrets=[{"name": "A", "valueFrom": arn}])
    assert desk.lines(task) == ["hidden"]
    assert task["containers"][0]["exitCode"] == 0
    call = desk.sandbox.calls("secretsmanager", "GetSecretValue", desk.account)[0]
    assert (call["request"], call["error"]) == ({"SecretId": arn}, None)


def test_given_a_role_that_may_not_have_a_secret_when_run_then_the_task_says_so(desk: TaskDesk) -> None:
    arn = make_secret(desk)
    other = allow("secretsmanager:GetSecretValue", f"{arn}-another")
    task = run_as(desk, TOKEN, other, secrets=[{"name": "A", "valueFrom": arn}])
    assert task["stopCode"] == "TaskFailedToStart"
    assert "api error AccessDeniedException: User: arn:aws:sts::" in task["stoppedReason"]
    assert f"is not authorized to perform: secretsmanager:GetSecretValue on resource: {arn}" in task["stoppedReason"]


@pytest.mark.parametrize(
    ("actions", "reason"),
    [
        ([], "failed with status code [manifests v1]: 403 Forbidden"),
        (["BatchGetImage"], "failed to copy: httpReadSeeker: failed open: unexpected status code"),
    ],
    ids=["manifest", "layers"],
)
def test_given_a_role_that_may_not_pull_when_run_then_the_task_says_so(desk: TaskDesk, actions: list[str], reason: str) -> None:
    task = run_as(desk, TOKEN, pulling(desk, "DescribeImages", *actions))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotPullContainerError: ")
    assert reason in task["stoppedReason"]


def test_given_a_role_that_gets_no_registry_password_when_run_then_the_task_says_so(desk: TaskDesk) -> None:
    task = run_as(desk, pulling(desk, "BatchGetImage", "GetDownloadUrlForLayer"))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith(f"{UNABLE}unable to retrieve ecr registry auth: service call has been retried")
    assert "is not authorized to perform: ecr:GetAuthorizationToken" in task["stoppedReason"]


@pytest.mark.parametrize("allowed", [True, False])
def test_given_the_roles_policy_when_a_task_has_a_log_then_it_is_the_role_that_writes_it(desk: TaskDesk, allowed: bool) -> None:
    logs = LOGS if allowed else allow(["logs:CreateLogGroup", "logs:PutLogEvents"])
    rights = [TOKEN, pulling(desk, "BatchGetImage", "GetDownloadUrlForLayer")]
    task = run_as(desk, *rights, logs=logs, environment=[{"name": "A", "value": "said"}])
    (call,) = desk.sandbox.calls("logs", "CreateLogStream", desk.account)
    assert ":assumed-role/" in call["principal"]
    if allowed:
        assert desk.lines(task) == ["said"]
        return
    assert task["stopCode"] == "TaskFailedToStart"
    assert "failed to create Cloudwatch log stream: operation error CloudWatch Logs: CreateLogStream" in task["stoppedReason"]
    assert "is not authorized to perform: logs:CreateLogStream on resource: arn:aws:logs:us-east-1:" in task["stoppedReason"]

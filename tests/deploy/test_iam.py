"""The IAM policies allow what the code calls, and nothing else."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from slipway.aws.clients import APP_TAG

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "deploy" / "iam"
AT_TARGETS = "endpoints"
"""The activities that call by the role of a rollout's target; the others call by the worker's own."""
SERVICES = ("ecr", "ecs", "logs", "s3", "sagemaker", "sagemaker-runtime", "cloudwatch", "application-autoscaling", "sqs")
NAMED_OTHERWISE = {
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
}
"""Actions whose name is not that of their operation."""
BY_HTTP = {
    "get_manifest": {"ecr:BatchGetImage"},
    "manifest_digest": {"ecr:BatchGetImage"},
    "list_referrers": {"ecr:BatchGetImage"},
    "put_manifest": {"ecr:PutImage"},
    "read_blob": {"ecr:GetDownloadUrlForLayer"},
    "upload_blob": {
        "ecr:BatchCheckLayerAvailability",
        "ecr:CompleteLayerUpload",
        "ecr:InitiateLayerUpload",
        "ecr:UploadLayerPart",
    },
}
"""What ECR asks of those who use it as an OCI registry, by the methods of slipway/oci/client.py."""
IMPLIED = {
    # AWS checks these while it serves the call before them.
    "ecs:RunTask": {"iam:PassRole", "ecs:TagResource"},
    "ecs:RegisterTaskDefinition": {"iam:PassRole", "ecs:TagResource"},
    "sagemaker:CreateModel": {"iam:PassRole", "sagemaker:AddTags"},
    "sagemaker:CreateEndpointConfig": {"sagemaker:AddTags"},
    "sagemaker:CreateEndpoint": {"sagemaker:AddTags"},
    # Application Auto Scaling asks for these on behalf of the caller, and SageMaker, which deregisters what it deletes.
    "application-autoscaling:RegisterScalableTarget": {
        "application-autoscaling:TagResource",
        "sagemaker:UpdateEndpointWeightsAndCapacities",
    },
    "application-autoscaling:PutScalingPolicy": {"cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm"},
    "sagemaker:DeleteEndpoint": {"application-autoscaling:DeregisterScalableTarget"},
    "sagemaker:CreatePipeline": {"iam:PassRole"},
    "sagemaker:UpdatePipeline": {"iam:PassRole"},
}
AS_TARGETS = {"sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"}
"""What sessions of target roles need: botocore assumes the roles."""
SHARED = {"describe_package": {"sagemaker:DescribeModelPackage"}}
"""What functions call that the activities of the endpoints share with others, by the name that a module imports."""
OTHERS_TOO = {"search"}
"""Methods of a client that others have too: a regular expression's is the only one in use."""
WITHOUT_RESOURCE = {
    "application-autoscaling:DescribeScalableTargets",
    "application-autoscaling:DescribeScalingPolicies",
    "application-autoscaling:DescribeScheduledActions",
    "cloudwatch:DescribeAlarms",  # composite alarms are only told to those who may see all
    "cloudwatch:GetMetricData",
    "cloudwatch:PutMetricData",
    "ecr:GetAuthorizationToken",
    "ecs:DescribeTaskDefinition",
    "ecs:ListTaskDefinitions",
    "sagemaker:ListEndpointConfigs",
    "sagemaker:ListEndpoints",
    "sagemaker:ListInferenceComponents",
    "sagemaker:ListModels",
}
"""Actions that AWS lets nobody bind to a resource."""


@cache
def actions_by_method() -> dict[str, str]:
    """IAM's action by the name of a boto3 client's method."""
    session = botocore.session.get_session()
    found: dict[str, str] = {}
    for service in SERVICES:
        prefix = service.removesuffix("-runtime")
        for operation in session.get_service_model(service).operation_names:
            action = f"{prefix}:{operation}"
            found[xform_name(operation)] = NAMED_OTHERWISE.get(action, action)
    return {method: action for method, action in found.items() if method not in OTHERS_TOO}


def names_in(file: Path) -> Iterator[str]:
    """Every attribute and every paginator that a module names."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Attribute):
            yield node.attr
            continue
        match node:
            case ast.Call(func=ast.Attribute(attr="get_paginator"), args=[ast.Constant(value=str(operation))]):
                yield operation
            case _:
                pass


def imported_in(file: Path) -> Iterator[str]:
    """Every name that a module imports from another."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (imported.name for imported in node.names)


def called_in(modules: Iterable[Path]) -> set[str]:
    """The actions of all calls in some modules, and those that they imply."""
    files = list(modules)
    names = {name for file in files for name in names_in(file)}
    actions = {action for method, action in actions_by_method().items() if method in names}
    imported = {name for file in files for name in imported_in(file)}
    actions = actions.union(*(called for name, called in SHARED.items() if name in imported))
    return actions.union(*(IMPLIED.get(action, set[str]()) for action in actions))


def calls_of_activities(*, at_targets: bool) -> set[str]:
    files = (ROOT / "activities").rglob("[!_]*.py")
    return called_in(file for file in files if (file.parent.name == AT_TARGETS) is at_targets)


def calls_of_copies() -> set[str]:
    names = set(names_in(ROOT / "slipway" / "oci" / "copy.py"))
    return set[str]().union(*(actions for method, actions in BY_HTTP.items() if method in names))


def statements(policy: str) -> list[dict[str, Any]]:
    return json.loads((POLICIES / policy).read_text())["Statement"]


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def allowing(policy: str) -> list[dict[str, Any]]:
    return [statement for statement in statements(policy) if statement["Effect"] == "Allow"]


def allowed_by(policy: str) -> set[str]:
    return {action for statement in allowing(policy) for action in listed(statement["Action"])}


def test_given_the_activities_when_the_worker_calls_then_its_policy_allows_that_and_no_more() -> None:
    calls = calls_of_activities(at_targets=False) | calls_of_copies() | called_in([ROOT / "slipway" / "aws" / "events.py"])
    assert allowed_by("worker.json") == calls | AS_TARGETS


def test_given_a_targets_role_then_it_can_only_be_assumed_for_its_app_and_in_the_name_of_a_promotion() -> None:
    [statement] = statements("rollout-trust.json")

    assert set(statement["Action"]) == AS_TARGETS
    assert {key for test in statement["Condition"].values() for key in test} == {
        f"aws:RequestTag/{APP_TAG}",
        "sts:RoleSessionName",
        "sts:SourceIdentity",
    }


def test_given_the_activities_when_a_target_is_acted_at_then_its_policy_allows_that_and_no_more() -> None:
    assert allowed_by("rollout.json") == calls_of_activities(at_targets=True)


def test_given_the_pipeline_image_when_its_task_runs_then_its_policy_allows_that_and_no_more() -> None:
    assert allowed_by("task.json") == called_in([ROOT / "pipeline" / "run_pipeline.py"])


def test_given_another_account_when_its_images_are_read_then_its_repository_allows_what_the_worker_may() -> None:
    worker = next(statement for statement in statements("worker.json") if statement["Sid"] == "ReadSourceImages")

    assert allowed_by("source-repository.json") == set(listed(worker["Action"]))


@pytest.mark.parametrize("file", sorted(POLICIES.glob("*.json")), ids=lambda path: path.name)
def test_given_a_policy_when_it_allows_all_resources_then_aws_knows_no_others(file: Path) -> None:
    wide = [found for found in allowing(file.name) if "*" in listed(found.get("Resource", []))]

    assert {action for found in wide for action in listed(found["Action"])} <= WITHOUT_RESOURCE


@pytest.mark.parametrize("file", sorted(POLICIES.glob("*.json")), ids=lambda path: path.name)
def test_given_the_sample_app_when_a_policy_names_a_role_then_the_app_or_a_policy_names_it_too(file: Path) -> None:
    app = "".join(path.read_text() for path in (ROOT / "pipecd").glob("*.yaml"))
    known = set(re.findall(r":role/[a-z-]+", app)) | {":role/slipway-worker", ":role/slipway-rollout-screening"}

    assert set(re.findall(r":role/[a-z-]+", file.read_text())) <= known


@pytest.mark.parametrize("file", sorted(POLICIES.glob("*.json")), ids=lambda path: path.name)
def test_given_a_policy_when_it_lets_a_role_be_passed_then_the_role_and_the_service_are_named(file: Path) -> None:
    for found in allowing(file.name):
        if "iam:PassRole" in listed(found["Action"]):
            assert listed(found["Action"]) == ["iam:PassRole"]
            assert not any("*" in resource for resource in listed(found["Resource"]))
            assert set(found["Condition"]) == {"StringEquals"}
            assert set(found["Condition"]["StringEquals"]) == {"iam:PassedToService"}

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess, fresh_account

from slipway.aws.clients import Aws
from slipway.aws.errors import answer_of
from slipway.errors import SlipwayError, TransientError


async def test_given_a_lost_answer_when_a_call_is_made_once_then_botocore_does_not_repeat_it(
    aws: Aws, sandbox: SandboxProcess, account: str
) -> None:
    sandbox.plant_fault("ecs", "RegisterTaskDefinition", "lost-answer", account=account)
    register = aws.ecs("us-east-1", retries=False).register_task_definition
    containers: Any = [{"name": "one", "image": "x", "memory": 128}]
    with pytest.raises(TransientError, match="registering"):
        await aws.call("registering", register, family="one", containerDefinitions=containers)
    assert len(sandbox.calls("ecs", "RegisterTaskDefinition", account)) == 1


async def test_given_a_lost_answer_when_a_call_reads_then_botocore_repeats_it(
    aws: Aws, sandbox: SandboxProcess, account: str
) -> None:
    sandbox.plant_fault("ecs", "ListClusters", "lost-answer", account=account)
    assert (await aws.call("listing", aws.ecs("us-east-1").list_clusters))["clusterArns"] == []


async def test_given_a_call_in_flight_when_its_activity_is_cancelled_then_the_call_ends_first(
    aws: Aws, sandbox: SandboxProcess, account: str
) -> None:
    fault = sandbox.plant_fault("ecs", "CreateCluster", "hold-answer", account=account)
    call = asyncio.create_task(aws.call("creating", aws.ecs("us-east-1", retries=False).create_cluster, clusterName="one"))
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(sandbox.struck, fault):  # noqa: ASYNC110 -- another process's state has no event
            await asyncio.sleep(0.02)
    call.cancel()
    done, _ = await asyncio.wait({call}, timeout=0.2)
    assert not done
    await asyncio.to_thread(sandbox.remove_fault, fault)
    with pytest.raises(asyncio.CancelledError):
        await call
    assert len(sandbox.calls("ecs", "CreateCluster", account)) == 1


async def test_given_a_role_when_a_client_is_asked_for_then_it_acts_in_the_roles_account(
    aws: Aws, sandbox: SandboxProcess
) -> None:
    other = fresh_account()
    role = f"arn:aws:iam::{other}:role/slipway-rollout"
    await aws.call("looking", aws.cloudwatch("eu-west-1", role).describe_alarms)
    await aws.call("looking", aws.sagemaker("eu-west-1", role).list_endpoints)
    calls = sandbox.calls("sagemaker", "ListEndpoints", other)
    assert [(call["account"], call["region"]) for call in calls] == [(other, "eu-west-1")]
    assert sandbox.counts().get("sts.AssumeRole") == 1


async def test_given_an_answer_when_it_is_an_error_then_its_code_can_be_read(aws: Aws) -> None:
    with pytest.raises(SlipwayError) as caught:
        await aws.call("looking", aws.ecr("us-east-1").describe_images, repositoryName="none")
    assert answer_of(caught.value)[0] == "RepositoryNotFoundException"


def test_given_a_client_when_it_is_asked_for_again_then_it_is_the_same(aws: Aws) -> None:
    assert aws.ecs("us-east-1") is aws.ecs("us-east-1")
    assert aws.ecs("us-east-1") is not aws.ecs("us-east-1", retries=False)

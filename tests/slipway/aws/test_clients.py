from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess, fresh_account

from slipway.aws.clients import KEPT_CLIENTS, Actor, Aws, acting_for, object_in_s3, place_in_s3
from slipway.aws.errors import answer_of
from slipway.errors import NeedsPersonError, SlipwayError, TransientError


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
    assumed = [call for call in sandbox.calls("sts", "AssumeRole") if call["request"].get("RoleArn") == role]
    assert len(assumed) == 1


async def test_given_an_answer_when_it_is_an_error_then_its_code_can_be_read(aws: Aws) -> None:
    with pytest.raises(SlipwayError) as caught:
        await aws.call("looking", aws.ecr("us-east-1").describe_images, repositoryName="none")
    assert answer_of(caught.value)[0] == "RepositoryNotFoundException"


def test_given_a_client_when_it_is_asked_for_again_then_it_is_the_same(aws: Aws) -> None:
    assert aws.ecs("us-east-1") is aws.ecs("us-east-1")
    assert aws.ecs("us-east-1") is not aws.ecs("us-east-1", retries=False)


ACTOR = Actor(promotion="screening-0123456789ab", app="https://github.com/acme/deploy#main#apps/screening")


def role_that_trusts(sandbox: SandboxProcess, account: str, *actions: str, **condition: dict[str, str]) -> str:
    """A role with a trust policy, in an account where everybody may look at alarms."""
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": list(actions), "Condition": condition}
    iam = sandbox.client("iam", account)
    document = {"Version": "2012-10-17", "Statement": [trust]}
    arn = iam.create_role(RoleName="rollout", AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
    look = {"Effect": "Allow", "Action": "cloudwatch:DescribeAlarms", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [look]})
    iam.put_role_policy(RoleName="rollout", PolicyName="look", PolicyDocument=policy)
    return arn


async def test_given_a_trust_policy_that_demands_the_app_then_only_its_promotions_may_act(
    aws: Aws, sandbox: SandboxProcess
) -> None:
    other = fresh_account()
    demanded = {"aws:RequestTag/slipway:app": ACTOR.tag, "sts:RoleSessionName": ACTOR.session}
    actions = ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")
    role = role_that_trusts(sandbox, other, *actions, StringEquals=demanded)
    with acting_for(ACTOR):
        await aws.call("looking", aws.cloudwatch("us-east-1", role).describe_alarms)
    neighbour = Actor(promotion=ACTOR.promotion, app="https://github.com/acme/deploy#main#apps/spam")
    for actor in (neighbour, None):
        with acting_for(actor), pytest.raises(NeedsPersonError, match="AccessDenied"):
            await aws.call("looking", aws.cloudwatch("us-east-1", role).describe_alarms)


async def test_given_a_trust_policy_that_allows_no_tags_then_the_session_has_its_name_alone(
    aws: Aws, sandbox: SandboxProcess
) -> None:
    role = role_that_trusts(sandbox, fresh_account(), "sts:AssumeRole", StringEquals={"sts:RoleSessionName": ACTOR.session})
    with acting_for(ACTOR):
        await aws.call("looking", aws.cloudwatch("us-east-1", role).describe_alarms)


@pytest.mark.parametrize(
    ("promotion", "app", "session", "tag"),
    [
        ("a", "b", "a-", "b"),
        ("é" * 70, "file:///x y/d#main#a,b", "-" * 64, "file:///x y/d@main@a_b"),
        ("screening-1", "x" * 300, "screening-1", "x" * 256),
    ],
)
def test_given_any_promotion_then_its_session_is_legal(promotion: str, app: str, session: str, tag: str) -> None:
    actor = Actor(promotion=promotion, app=app)
    assert (actor.session, actor.tag) == (session, tag)


def test_given_more_roles_than_are_kept_then_the_clients_used_most_recently_stay(aws: Aws) -> None:
    first, own = (aws.sagemaker("us-east-1", f"arn:aws:iam::{number:012}:role/x") for number in (0, 1))
    for number in range(2, KEPT_CLIENTS + 1):
        aws.sagemaker("us-east-1", f"arn:aws:iam::{number:012}:role/x")
        assert aws.sagemaker("us-east-1", f"arn:aws:iam::{1:012}:role/x") is own
    assert aws.sagemaker("us-east-1", f"arn:aws:iam::{0:012}:role/x") is not first


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("s3://bucket/runs/1/evaluation.json", ("bucket", "runs/1/evaluation.json")),
        ("s3://bucket/run#1/a?b%20c.json", ("bucket", "run#1/a?b%20c.json")),
        ("s3://bucket//doubled//x", ("bucket", "/doubled//x")),
        ("s3://bucket", ("bucket", "")),
        ("https://bucket.s3.eu-west-1.amazonaws.com/runs/1.json", ("bucket", "runs/1.json")),
        ("https://s3-us-west-2.amazonaws.com/bucket/runs/1.json", ("bucket", "runs/1.json")),
        ("https://s3.cn-north-1.amazonaws.com.cn/bucket/runs/1.json", ("bucket", "runs/1.json")),
        ("https://bucket.s3.dualstack.eu-west-1.amazonaws.com/runs/1.json", ("bucket", "runs/1.json")),
    ],
)
def test_given_an_s3_uri_then_its_key_is_as_it_is_written(uri: str, place: tuple[str, str]) -> None:
    assert place_in_s3(uri) == place


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "s3://",
        "s3:///key",
        "https://example.com/bucket/key",
        "file:///etc/passwd",
        "s3://arn:aws:s3:::bucket/key",
        f"https://bucket.s3{'-a' * 500}!/key",
        f"https://{'.s3' * 300}/key",
    ],
)
def test_given_a_text_that_is_no_place_in_s3_then_a_person_is_asked(uri: str) -> None:
    with pytest.raises(NeedsPersonError, match="it is no place in S3"):
        place_in_s3(uri)


@pytest.mark.parametrize("uri", ["s3://bucket", "s3://bucket/"])
def test_given_a_bucket_alone_when_a_file_is_wanted_then_a_person_is_asked(uri: str) -> None:
    with pytest.raises(NeedsPersonError, match="names a bucket, and no file"):
        object_in_s3(uri)

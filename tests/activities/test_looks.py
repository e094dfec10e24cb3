"""One look asks nothing twice."""

from __future__ import annotations

import asyncio

from activities.endpoints.served import Looks
from slipway.aws.clients import Aws
from tests.activities.serving import Serving

ENDPOINT = "screening-prod"


async def test_given_two_that_ask_the_same_at_the_same_time_when_it_is_one_look_then_aws_is_asked_once(
    serving: Serving, aws: Aws
) -> None:
    await serving.serve("first")
    looks, before = Looks(aws), serving.calls("DescribeEndpoint")
    found = await asyncio.gather(*(looks.at("us-east-1", None).endpoint(ENDPOINT) for _ in range(2)))
    assert found[0] == found[1]
    assert serving.calls("DescribeEndpoint") == before + 1


async def test_given_an_endpoint_that_was_not_there_when_it_has_come_meanwhile_then_the_same_look_finds_it(
    serving: Serving, aws: Aws
) -> None:
    account = Looks(aws).at("us-east-1", None)
    assert await account.endpoint(ENDPOINT) is None
    await serving.serve("first")
    assert await account.endpoint(ENDPOINT)


async def test_given_an_endpoint_that_changes_after_it_was_looked_at_then_another_look_sees_it_and_the_same_one_does_not(
    serving: Serving, aws: Aws
) -> None:
    await serving.serve("first")
    arn = serving.sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointArn"]
    account = Looks(aws).at("us-east-1", None)
    before = await account.tags_of(arn)
    serving.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "risk"}])
    assert await account.tags_of(arn) == before
    assert (await Looks(aws).at("us-east-1", None).tags_of(arn)) == {**before, "team": "risk"}

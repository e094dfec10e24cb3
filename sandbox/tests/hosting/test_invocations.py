"""Invocations of endpoints whose containers really run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from slipway_sandbox.sagemaker.hosting.requests import LARGEST_BODY
from slipway_sandbox.testing import SandboxProcess

from sandbox.testkit.contract import behaviour
from sandbox.testkit.hosting import ROLE, Hosted


@pytest.fixture(scope="module")
def serving(sandbox: SandboxProcess, image: str) -> Iterator[Hosted]:
    """An endpoint in service, for all tests that change nothing of it."""
    with sandbox.own_account() as account:
        made = Hosted(sandbox, account, image)
        made.serve("one")
        yield made


def test_given_an_endpoint_in_service_when_it_is_invoked_then_the_models_own_container_answers(serving: Hosted) -> None:
    shown = serving.sagemaker.describe_endpoint(EndpointName="ep")
    assert shown["EndpointStatus"] == "InService", shown
    answer = serving.ask(Accept="application/json", CustomAttributes="trace=7")
    expected = {"model": "one", "greeting": "hello", "accept": "application/json", "type": "text/csv"}
    assert expected.items() <= answer["said"].items()
    assert (answer["InvokedProductionVariant"], answer["CustomAttributes"]) == ("AllTraffic", "trace=7")
    image = shown["ProductionVariants"][0]["DeployedImages"][0]
    assert image["SpecifiedImage"] == serving.image
    assert image["ResolvedImage"].startswith(serving.image.removesuffix(":1") + "@sha256:")


def test_given_an_invocation_when_the_call_log_is_read_then_it_is_there_without_its_payload(serving: Hosted) -> None:
    serving.ask("secret")
    calls = serving.sandbox.calls("sagemaker-runtime", "InvokeEndpoint", serving.account)
    assert calls[-1]["request"]["EndpointName"] == "ep"
    assert "secret" not in json.dumps(calls)


def test_given_a_model_that_refuses_when_it_is_invoked_then_its_own_status_and_words_come_back(serving: Hosted) -> None:
    refused = serving.refusal("bad")
    assert refused["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert (refused["OriginalStatusCode"], refused["OriginalMessage"]) == (400, "no such features")
    assert refused["LogStreamArn"].endswith("/aws/sagemaker/Endpoints/ep")
    assert "Received client error (400) from primary" in refused["Error"]["Message"]


def test_given_no_such_endpoint_when_it_is_invoked_then_it_is_refused_in_awss_words(serving: Hosted) -> None:
    error = serving.refusal("1,2", EndpointName="missing")["Error"]
    assert error == {"Code": "ValidationError", "Message": f"Endpoint missing of account {serving.account} not found."}


def test_given_a_body_that_is_too_long_when_the_endpoint_is_invoked_then_it_is_refused_in_awss_words(serving: Hosted) -> None:
    refused = serving.refusal("x" * (LARGEST_BODY + 1))
    assert refused["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert f"Member must have length less than or equal to {LARGEST_BODY}" in refused["Error"]["Message"]


def test_given_a_throttled_runtime_when_it_is_invoked_then_the_fault_strikes(serving: Hosted) -> None:
    serving.sandbox.plant_fault("sagemaker-runtime", "InvokeEndpoint", "throttle", account=serving.account)
    assert serving.refusal("1,2")["Error"]["Code"] == "ThrottlingException"


def test_given_a_serverless_endpoint_when_more_requests_come_than_it_may_answer_then_they_are_throttled(hosted: Hosted) -> None:
    hosted.sagemaker.create_model(ModelName="one", PrimaryContainer=hosted.container("one"), ExecutionRoleArn=ROLE)
    hosted.config("serverless", "one", {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 1}})
    shown = hosted.create("serverless")["ProductionVariants"][0]
    assert shown["CurrentServerlessConfig"]["MaxConcurrency"] == 1
    assert "CurrentInstanceCount" not in shown
    with ThreadPoolExecutor(3) as clients:
        outcomes = set(clients.map(hosted.outcome, ["wait 2"] * 3))
    assert outcomes == {"one", "ThrottlingException"}
    assert hosted.outcome() == "one"


@behaviour(
    "Around an endpoint",
    "InvokeEndpointWithResponseStream",
    like="the model's parts as events of AWS's event stream, as they come",
    differs="inference pipelines do not stream",
)
def test_given_a_model_that_answers_in_parts_when_the_stream_is_asked_for_then_each_part_is_an_event(serving: Hosted) -> None:
    answer = serving.runtime.invoke_endpoint_with_response_stream(EndpointName="ep", Body=b"parts", ContentType="text/csv")
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("text/plain", "AllTraffic")
    assert [event["PayloadPart"]["Bytes"] for event in answer["Body"]] == [b"one ", b"two ", b"three"]


def test_given_a_model_that_refuses_when_the_stream_is_asked_for_then_its_words_come_back(serving: Hosted) -> None:
    with pytest.raises(ClientError) as refused:
        serving.runtime.invoke_endpoint_with_response_stream(EndpointName="ep", Body=b"bad")
    assert refused.value.response["Error"]["Code"] == "ModelError"  # pyright: ignore[reportTypedDictNotRequiredAccess]

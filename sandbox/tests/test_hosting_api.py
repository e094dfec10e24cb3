"""Models, endpoint configurations and their tags, as a client sees them. Nothing runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from slipway_sandbox.testing import SandboxProcess

ROLE = "arn:aws:iam::111111111111:role/serving"
IMAGE = "111111111111.dkr.ecr.us-east-1.amazonaws.com/model:1"


@pytest.fixture
def sagemaker(sandbox: SandboxProcess, account: str) -> Any:
    return sandbox.client("sagemaker", account)


def refusal(call: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    error = refused.value.response.get("Error", {})
    assert error.get("Code") == "ValidationException"
    return error.get("Message", "")


def make_model(sagemaker: Any, name: str = "model", **more: Any) -> str:
    container = {"Image": IMAGE, "ModelDataUrl": "s3://bucket/model.tar.gz"}
    return sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE, **more)["ModelArn"]


def variant(name: str = "AllTraffic", model: str = "model", **more: Any) -> dict[str, Any]:
    return {"VariantName": name, "ModelName": model, "InitialInstanceCount": 2, "InstanceType": "ml.m5.large", **more}


def test_given_a_model_when_it_is_described_then_it_shows_what_was_asked_for(sagemaker: Any) -> None:
    arn = make_model(sagemaker)
    shown = sagemaker.describe_model(ModelName="model")
    assert (shown["ModelArn"], shown["PrimaryContainer"]["Image"], shown["ExecutionRoleArn"]) == (arn, IMAGE, ROLE)
    assert shown["EnableNetworkIsolation"] is False


def test_given_a_model_when_it_is_created_again_then_it_is_refused_in_awss_words(sagemaker: Any) -> None:
    arn = make_model(sagemaker)
    assert refusal(make_model, sagemaker=sagemaker) == f'Cannot create already existing model "{arn}".'


def test_given_a_deleted_model_when_it_is_described_then_it_cannot_be_found(sagemaker: Any) -> None:
    arn = make_model(sagemaker)
    sagemaker.delete_model(ModelName="model")
    assert refusal(sagemaker.describe_model, ModelName="model") == f'Could not find model "{arn}".'


def test_given_no_such_package_when_a_model_is_created_from_it_then_it_is_refused(sagemaker: Any, account: str) -> None:
    package = f"arn:aws:sagemaker:us-east-1:{account}:model-package/none/1"
    refused = refusal(
        sagemaker.create_model, ModelName="model", PrimaryContainer={"ModelPackageName": package}, ExecutionRoleArn=ROLE
    )
    assert package in refused


@pytest.mark.parametrize("containers", [{}, {"PrimaryContainer": {"ContainerHostname": "x"}}])
def test_given_no_image_when_a_model_is_created_then_it_is_refused(sagemaker: Any, containers: dict[str, Any]) -> None:
    assert "must" in refusal(sagemaker.create_model, ModelName="model", ExecutionRoleArn=ROLE, **containers)


def test_given_a_name_with_an_underscore_when_a_model_is_created_then_the_pattern_is_told(sagemaker: Any) -> None:
    assert "failed to satisfy constraint" in refusal(make_model, sagemaker=sagemaker, name="my_model")


def test_given_a_configuration_when_it_is_described_then_the_weight_that_was_not_given_is_one(sagemaker: Any) -> None:
    make_model(sagemaker)
    sagemaker.create_endpoint_config(EndpointConfigName="config", ProductionVariants=[variant()])
    shown = sagemaker.describe_endpoint_config(EndpointConfigName="config")["ProductionVariants"][0]
    assert (shown["InitialVariantWeight"], shown["InitialInstanceCount"]) == (1.0, 2)


def test_given_a_configuration_when_it_is_created_again_then_it_is_refused_in_awss_words(sagemaker: Any) -> None:
    make_model(sagemaker)
    asked = {"EndpointConfigName": "config", "ProductionVariants": [variant()]}
    arn = sagemaker.create_endpoint_config(**asked)["EndpointConfigArn"]
    assert refusal(sagemaker.create_endpoint_config, **asked) == (
        f'Cannot create already existing endpoint configuration "{arn}".'
    )


@pytest.mark.parametrize(
    ("variants", "complaint"),
    [
        ([variant(model="missing")], "Could not find model"),
        ([variant(), variant()], "must be unique"),
        ([{"VariantName": "A", "ModelName": "model"}], "InstanceType and InitialInstanceCount"),
        ([variant(f"v{number}") for number in range(11)], "length less than or equal to 10"),
    ],
)
def test_given_variants_that_cannot_be_when_a_configuration_is_created_then_it_is_refused(
    sagemaker: Any, variants: list[dict[str, Any]], complaint: str
) -> None:
    make_model(sagemaker)
    assert complaint in refusal(sagemaker.create_endpoint_config, EndpointConfigName="config", ProductionVariants=variants)


def test_given_no_such_configuration_when_an_endpoint_is_created_then_it_is_refused_in_awss_words(
    sagemaker: Any, account: str
) -> None:
    refused = refusal(sagemaker.create_endpoint, EndpointName="ep", EndpointConfigName="none")
    arn = f"arn:aws:sagemaker:us-east-1:{account}:endpoint-config/none"
    assert refused == f'Could not find endpoint configuration "{arn}".'


def test_given_no_such_endpoint_when_it_is_described_then_it_is_refused_in_awss_words(sagemaker: Any, account: str) -> None:
    arn = f"arn:aws:sagemaker:us-east-1:{account}:endpoint/none"
    assert refusal(sagemaker.describe_endpoint, EndpointName="none") == f'Could not find endpoint "{arn}".'


def test_given_many_models_when_they_are_listed_then_pages_hold_each_once_the_newest_first(sagemaker: Any) -> None:
    for number in range(12):
        make_model(sagemaker, f"model-{number}")
    pages = list(sagemaker.get_paginator("list_models").paginate(MaxResults=5))
    names = [model["ModelName"] for page in pages for model in page["Models"]]
    assert [len(page["Models"]) for page in pages] == [5, 5, 2]
    assert names == [f"model-{number}" for number in reversed(range(12))]


def test_given_models_when_they_are_listed_by_part_of_the_name_then_the_others_stay_out(sagemaker: Any) -> None:
    for name in ("screening-1", "screening-2", "other"):
        make_model(sagemaker, name)
    found = sagemaker.list_models(NameContains="screening", SortBy="Name")["Models"]
    assert [model["ModelName"] for model in found] == ["screening-1", "screening-2"]


def test_given_tags_when_they_are_added_and_taken_away_then_the_rest_is_listed(sagemaker: Any) -> None:
    arn = make_model(sagemaker, Tags=[{"Key": "team", "Value": "screening"}])
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "promotion", "Value": "p-1"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["team"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "promotion", "Value": "p-1"}]


def test_given_another_account_when_it_describes_a_model_then_it_cannot_be_found(sandbox: SandboxProcess, sagemaker: Any) -> None:
    make_model(sagemaker)
    stranger = sandbox.client("sagemaker", "999999999999")
    assert "Could not find model" in refusal(stranger.describe_model, ModelName="model")

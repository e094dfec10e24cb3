"""SageMaker pipelines and their versions, call by call."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from sandbox.testkit.contract import Aws, contract

FAIL = {"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "enough"}}
FIRST = json.dumps({"Version": "2020-12-01", "Steps": [FAIL]})
SECOND = json.dumps({"Version": "2020-12-01", "Steps": []})


@pytest.fixture
def pipeline(aws: Aws) -> Iterator[str]:
    """The name of a pipeline that is there."""
    sagemaker, name = aws.client("sagemaker"), aws.name("pipeline")
    sagemaker.create_pipeline(
        PipelineName=name, PipelineDefinition=FIRST, RoleArn=role_of(aws), ClientRequestToken=aws.name("token" + "0" * 20)
    )
    yield name
    sagemaker.delete_pipeline(PipelineName=name, ClientRequestToken="d" * 32)


def role_of(aws: Aws) -> str:
    """A role that AWS makes for SageMaker when it is first used there."""
    return f"arn:aws:iam::{aws.account}:role/service-role/AmazonSageMaker-ExecutionRole"


@contract("sagemaker", "CreatePipeline", errors=("ValidationException", "ConflictException", "ResourceLimitExceeded"))
@contract("sagemaker", "DeletePipeline", errors=("ResourceNotFound",))
def test_create_pipeline(aws: Aws) -> None:
    sagemaker, name = aws.client("sagemaker"), aws.name("Pipeline")
    request = {"PipelineName": name, "PipelineDefinition": FIRST, "RoleArn": role_of(aws), "ClientRequestToken": "t" * 32}
    arn = sagemaker.create_pipeline(**request)["PipelineArn"]
    assert arn == f"arn:aws:sagemaker:{aws.region}:{aws.account}:pipeline/{name.lower()}"
    assert sagemaker.create_pipeline(**request)["PipelineArn"] == arn
    with aws.refused("ConflictException"):
        sagemaker.create_pipeline(**{**request, "PipelineDescription": "another"})
    with aws.refused("ValidationException", match="Pipeline names must be unique within an AWS account and region"):
        sagemaker.create_pipeline(**{**request, "ClientRequestToken": "u" * 32})
    with aws.refused("ValidationException", match="Unable to parse pipeline definition"):
        sagemaker.create_pipeline(**{**request, "PipelineName": aws.name("other"), "PipelineDefinition": "{}"})
    with (
        aws.quota("sagemaker", "Maximum number of pipelines allowed per account", 1),
        aws.refused("ResourceLimitExceeded", match="is 1 pipelines"),
    ):
        sagemaker.create_pipeline(**{**request, "PipelineName": aws.name("other"), "ClientRequestToken": "v" * 32})
    assert sagemaker.delete_pipeline(PipelineName=name, ClientRequestToken="d" * 32)["PipelineArn"] == arn
    with aws.refused("ResourceNotFound"):
        sagemaker.delete_pipeline(PipelineName=name, ClientRequestToken="e" * 32)


@contract("sagemaker", "DescribePipeline", errors=("ResourceNotFound", "ValidationException"))
def test_describe_pipeline(aws: Aws, pipeline: str) -> None:
    sagemaker = aws.client("sagemaker")
    shown = sagemaker.describe_pipeline(PipelineName=pipeline)
    assert (shown["PipelineStatus"], json.loads(shown["PipelineDefinition"])) == ("Active", json.loads(FIRST))
    assert (shown["PipelineDisplayName"], shown["RoleArn"]) == (pipeline, role_of(aws))
    assert sagemaker.describe_pipeline(PipelineName=shown["PipelineArn"])["PipelineName"] == pipeline
    with aws.refused("ResourceNotFound"):
        sagemaker.describe_pipeline(PipelineName=aws.name("nobody"))
    with aws.refused("ResourceNotFound"):
        sagemaker.describe_pipeline(PipelineName=pipeline, PipelineVersionId=9)
    with aws.refused("ValidationException"):
        sagemaker.describe_pipeline(PipelineName=pipeline, PipelineVersionId=1, PipelineVersionAlias="live")


@contract("sagemaker", "UpdatePipeline", errors=("ResourceNotFound", "ValidationException", "ConflictException"))
@contract("sagemaker", "ListPipelineVersions", errors=("ResourceNotFound",))
def test_update_pipeline(aws: Aws, pipeline: str) -> None:
    sagemaker = aws.client("sagemaker")
    changed = sagemaker.update_pipeline(PipelineName=pipeline, PipelineDefinition=SECOND, PipelineVersionAliases=["live"])
    assert changed["PipelineVersionId"] == 2
    versions = sagemaker.list_pipeline_versions(PipelineName=pipeline)["PipelineVersionSummaries"]
    assert [(version["PipelineVersionId"], version.get("PipelineVersionAliases", [])) for version in versions] == [
        (2, ["live"]),
        (1, []),
    ]
    with aws.refused("ConflictException", match="live"):
        sagemaker.update_pipeline(PipelineName=pipeline, PipelineDefinition=FIRST, PipelineVersionAliases=["live"])
    with aws.refused("ValidationException", match="only when"):
        sagemaker.update_pipeline(PipelineName=pipeline, PipelineDescription="x", PipelineVersionAliases=["next"])
    with aws.refused("ValidationException", match="Unable to parse pipeline definition"):
        sagemaker.update_pipeline(PipelineName=pipeline, PipelineDefinition="[]")
    for call in (sagemaker.update_pipeline, sagemaker.list_pipeline_versions):
        with aws.refused("ResourceNotFound"):
            call(PipelineName=aws.name("nobody"))


@contract("sagemaker", "UpdatePipelineVersion", errors=("ResourceNotFound", "ValidationException", "ConflictException"))
def test_update_pipeline_version(aws: Aws, pipeline: str) -> None:
    sagemaker = aws.client("sagemaker")
    arn = sagemaker.describe_pipeline(PipelineName=pipeline)["PipelineArn"]
    sagemaker.update_pipeline(PipelineName=pipeline, PipelineDefinition=SECOND)

    def update(version: int, **more: object) -> None:
        sagemaker.update_pipeline_version(PipelineArn=arn, PipelineVersionId=version, **more)

    update(
        1,
        PipelineVersionDisplayName="first",
        PipelineVersionDescription="the first one",
        PipelineVersionAliasOperations={"Add": ["live", "old"]},
    )
    update(1, PipelineVersionAliasOperations={"Remove": ["old"]})
    shown = sagemaker.describe_pipeline(PipelineName=pipeline, PipelineVersionAlias="live")
    assert (shown["PipelineVersionDisplayName"], shown["PipelineVersionDescription"]) == ("first", "the first one")
    assert (shown["PipelineVersionAliases"], json.loads(shown["PipelineDefinition"])) == (["live"], json.loads(FIRST))
    with aws.refused("ConflictException", match="live"):
        update(2, PipelineVersionAliasOperations={"Add": ["live"]})
    with aws.refused("ValidationException", match="numbers only"):
        update(2, PipelineVersionAliasOperations={"Add": ["7"]})
    with aws.refused("ResourceNotFound"):
        update(3, PipelineVersionDisplayName="third")


@contract("sagemaker", "ListPipelines", errors=("ValidationException",))
def test_list_pipelines(aws: Aws, pipeline: str) -> None:
    sagemaker = aws.client("sagemaker")
    (shown,) = sagemaker.list_pipelines(PipelineNamePrefix=pipeline, SortBy="Name", SortOrder="Ascending")["PipelineSummaries"]
    assert (shown["PipelineName"], shown["PipelineDisplayName"], shown["RoleArn"]) == (pipeline, pipeline, role_of(aws))
    assert sagemaker.list_pipelines(PipelineNamePrefix=pipeline, ManagedBy="AWS")["PipelineSummaries"] == []
    with aws.refused("ValidationException"):
        sagemaker.list_pipelines(MaxResults=101)

"""Which model packages may become a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.core.world import World
from slipway_sandbox.sagemaker.hosting.model_containers import Artifact
from slipway_sandbox.sagemaker.hosting.models import ModelRoom
from slipway_sandbox.sagemaker.quotas import SageMakerQuotas
from slipway_sandbox.sagemaker.tags import TagRoom

CALLER = Caller("111111111111", "us-east-1", "111111111111")
PACKAGE = "arn:aws:sagemaker:us-east-1:111111111111:model-package/screening/1"


class OnePackage:
    """A registry with one package."""

    def __init__(self, status: str, approval: str) -> None:
        container = {
            "Image": "111111111111.dkr.ecr.us-east-1.amazonaws.com/model@sha256:" + "0" * 64,
            "ModelDataUrl": "s3://models/model.tar.gz",
            "Environment": {"THRESHOLD": "0.5", "WORKERS": "1"},
        }
        self._package = {
            "ModelPackageStatus": status,
            "ModelApprovalStatus": approval,
            "InferenceSpecification": {"Containers": [container]},
        }

    def find_package(self, caller: Caller, arn: str) -> dict[str, Any]:
        """The one."""
        assert (caller, arn) == (CALLER, PACKAGE)
        return self._package


def room(folder: Path, status: str = "Completed", approval: str = "Approved") -> ModelRoom:
    world = World(data=folder)
    return ModelRoom(world, OnePackage(status, approval), TagRoom(world), SageMakerQuotas(world))


def create(models: ModelRoom) -> None:
    container = {"ModelPackageName": PACKAGE, "Environment": {"WORKERS": "2"}}
    models.create_model(CALLER, {"ModelName": "model", "PrimaryContainer": container})


def test_given_an_approved_package_when_a_model_is_made_then_it_serves_its_container_with_both_environments(
    tmp_path: Path,
) -> None:
    models = room(tmp_path)
    create(models)
    (served,) = models.models.get(CALLER, "model").containers
    assert served.artifact == Artifact("s3://models/model.tar.gz")
    assert served.environment == {"THRESHOLD": "0.5", "WORKERS": "2"}


@pytest.mark.parametrize(
    ("status", "approval", "complaint"),
    [
        ("Completed", "PendingManualApproval", "PendingManualApproval, not Approved"),
        ("Completed", "Rejected", "Rejected, not Approved"),
        ("InProgress", "Approved", "InProgress, not Completed"),
    ],
)
def test_given_a_package_that_is_not_to_be_deployed_when_a_model_is_made_then_it_is_refused(
    tmp_path: Path, status: str, approval: str, complaint: str
) -> None:
    models = room(tmp_path, status, approval)
    with pytest.raises(AwsError, match=complaint) as refused:
        create(models)
    assert refused.value.code == "ValidationException"
    assert models.models.find(CALLER, "model") is None


def test_given_an_uncompressed_source_when_a_model_is_made_then_its_objects_are_served_as_they_are(tmp_path: Path) -> None:
    models = room(tmp_path)
    source = {"S3DataSource": {"S3Uri": "s3://models/folder/", "S3DataType": "S3Prefix", "CompressionType": "None"}}
    models.create_model(CALLER, {"ModelName": "model", "PrimaryContainer": {"Image": "image", "ModelDataSource": source}})
    (served,) = models.models.get(CALLER, "model").containers
    assert served.artifact == Artifact("s3://models/folder/", packed=False)


def test_given_containers_without_names_when_a_model_is_made_then_they_are_named_by_their_places(tmp_path: Path) -> None:
    models = room(tmp_path)
    models.create_model(CALLER, {"ModelName": "model", "Containers": [{"Image": "a"}, {"Image": "b"}]})
    assert [container.hostname for container in models.models.get(CALLER, "model").containers] == ["container-1", "container-2"]


@pytest.mark.parametrize(
    ("containers", "mode", "complaint"),
    [
        ([{"Image": "a", "ContainerHostname": "x"}, {"Image": "b"}], "Serial", "all or none"),
        ([{"Image": "a", "ContainerHostname": "x"}, {"Image": "b", "ContainerHostname": "x"}], "Serial", "unique"),
        ([{"Image": "a"}, {"Image": "b"}], "Direct", "must be specified for every container"),
    ],
)
def test_given_names_that_do_not_fit_when_a_pipeline_is_made_then_it_is_refused(
    tmp_path: Path, containers: list[dict[str, Any]], mode: str, complaint: str
) -> None:
    with pytest.raises(AwsError, match=complaint):
        room(tmp_path).create_model(
            CALLER, {"ModelName": "model", "Containers": containers, "InferenceExecutionConfig": {"Mode": mode}}
        )

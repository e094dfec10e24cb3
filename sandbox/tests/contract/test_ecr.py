"""ECR, call by call."""

from __future__ import annotations

from slipway_sandbox.testing_contract import Aws, contract


@contract("ecr", "CreateRepository", errors=("RepositoryAlreadyExistsException", "InvalidParameterException"))
def test_create_repository(aws: Aws) -> None:
    ecr, name = aws.client("ecr"), aws.name("repository")
    created = ecr.create_repository(repositoryName=name)["repository"]
    assert created["repositoryUri"] == f"{aws.account}.dkr.ecr.{aws.region}.amazonaws.com/{name}"
    with aws.refused("RepositoryAlreadyExistsException", match="already exists in the registry"):
        ecr.create_repository(repositoryName=name)
    with aws.refused("InvalidParameterException", match="repositoryName"):
        ecr.create_repository(repositoryName="No/Capitals")
    ecr.delete_repository(repositoryName=name)

"""What an endpoint serves, read back from AWS: endpoint → config → model → package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway.aws.clients import Aws
from slipway.aws.errors import answer_of
from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import (
        DescribeEndpointConfigOutputTypeDef,
        DescribeEndpointOutputTypeDef,
        DescribeModelOutputTypeDef,
    )


class SageMakerAccount:
    """SageMaker in one account and region.

    Args:
        aws: Where to find AWS.
        region: The region.
        role_arn: The role to call as; none for the worker's own.
    """

    def __init__(self, aws: Aws, region: str, role_arn: str | None) -> None:
        self.aws = aws
        self.region = region
        self.role_arn = role_arn
        self.sagemaker = aws.sagemaker(region, role_arn)
        self.no_retries = aws.sagemaker(region, role_arn, retries=False)

    async def endpoint(self, name: str) -> DescribeEndpointOutputTypeDef | None:
        """The endpoint, or none."""
        tried = f"looking at the endpoint {name} in {self.region}"
        try:
            return await self.aws.call(tried, self.sagemaker.describe_endpoint, EndpointName=name)
        except SlipwayError as error:
            return none_if_missing(error)

    async def config(self, name: str) -> DescribeEndpointConfigOutputTypeDef | None:
        """The endpoint config, or none."""
        tried = f"looking at the endpoint config {name} in {self.region}"
        try:
            return await self.aws.call(tried, self.sagemaker.describe_endpoint_config, EndpointConfigName=name)
        except SlipwayError as error:
            return none_if_missing(error)

    async def tags_of_config(self, name: str) -> dict[str, str]:
        """The tags of an endpoint config; none where there is no config."""
        config = await self.config(name)
        if config is None:
            return {}
        tried = f"looking at the tags of the endpoint config {name}"
        answer = await self.aws.call(tried, self.sagemaker.list_tags, ResourceArn=config["EndpointConfigArn"])
        return {tag["Key"]: tag["Value"] for tag in answer["Tags"]}

    async def model(self, name: str) -> DescribeModelOutputTypeDef | None:
        """The model, or none."""
        tried = f"looking at the model {name} in {self.region}"
        try:
            return await self.aws.call(tried, self.sagemaker.describe_model, ModelName=name)
        except SlipwayError as error:
            return none_if_missing(error)

    async def model_of(self, config_name: str) -> DescribeModelOutputTypeDef | None:
        """The model that a config serves; none where config or model is gone, or the config has components instead of a model."""
        config = await self.config(config_name)
        variants = config["ProductionVariants"] if config else []
        name = variants[0].get("ModelName") if variants else None
        return await self.model(name) if name else None

    async def package_of(self, config_name: str) -> str | None:
        """The package that a config serves; none where it serves a model that came from no package."""
        model = await self.model_of(config_name)
        if model is None:
            return None
        containers = [model.get("PrimaryContainer", {}), *model.get("Containers", [])]
        return next((package for container in containers if (package := container.get("ModelPackageName"))), None)


def is_missing(error: SlipwayError) -> bool:
    """Whether SageMaker says that it does not exist. It says so in the message of a ValidationException."""
    code, message = answer_of(error)
    return code == "ResourceNotFound" or "could not find" in message.lower()


def is_existing(error: SlipwayError) -> bool:
    """Whether SageMaker says that the name already exists."""
    return "already exist" in answer_of(error)[1].lower()


def none_if_missing(error: SlipwayError) -> None:
    """Returns None if the error says that it does not exist; raises any other error.

    Raises:
        SlipwayError: Any other error.
    """
    if not is_missing(error):
        raise error

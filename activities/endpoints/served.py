"""What an endpoint serves, read back from AWS: endpoint → config → model → package."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from slipway.aws.clients import Aws, region_of
from slipway.aws.errors import answer_of
from slipway.aws.polling import Scope
from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import (
        DescribeEndpointConfigOutputTypeDef,
        DescribeEndpointOutputTypeDef,
        DescribeModelOutputTypeDef,
        DescribeModelPackageOutputTypeDef,
    )

P = ParamSpec("P")
T = TypeVar("T")


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

    async def call(self, tried: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """One call that reads."""
        return await self.aws.call(tried, function, *args, **kwargs)

    async def endpoint(self, name: str) -> DescribeEndpointOutputTypeDef | None:
        """The endpoint, or none."""
        tried = f"looking at the endpoint {name} in {self.region}"
        try:
            return await self.call(tried, self.sagemaker.describe_endpoint, EndpointName=name)
        except SlipwayError as error:
            return none_if_missing(error)

    async def config(self, name: str) -> DescribeEndpointConfigOutputTypeDef | None:
        """The endpoint config, or none."""
        tried = f"looking at the endpoint config {name} in {self.region}"
        try:
            return await self.call(tried, self.sagemaker.describe_endpoint_config, EndpointConfigName=name)
        except SlipwayError as error:
            return none_if_missing(error)

    async def tags_of_config(self, name: str) -> dict[str, str]:
        """The tags of an endpoint config; none where there is no config."""
        config = await self.config(name)
        return await self.tags_of(config["EndpointConfigArn"]) if config else {}

    async def tags_of(self, arn: str) -> dict[str, str]:
        """The tags of a resource. There are 50 at most, which is one page."""
        answer = await self.call(f"looking at the tags of {arn}", self.sagemaker.list_tags, ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for tag in answer["Tags"]}

    async def model(self, name: str) -> DescribeModelOutputTypeDef | None:
        """The model, or none."""
        tried = f"looking at the model {name} in {self.region}"
        try:
            return await self.call(tried, self.sagemaker.describe_model, ModelName=name)
        except SlipwayError as error:
            return none_if_missing(error)

    async def package(self, arn: str) -> DescribeModelPackageOutputTypeDef:
        """A model package as the registry shows it."""
        describe = self.aws.sagemaker(region_of(arn), self.role_arn).describe_model_package
        return await self.call(f"looking at the model package {arn}", describe, ModelPackageName=arn)

    async def package_of(self, config_name: str, variant: str | None, like: str) -> str | None:
        """The package that a variant of a config serves; none where it serves a model that came from no package.

        Args:
            config_name: The endpoint config.
            variant: The variant's name; none for the only one.
            like: A package. Of a model with several containers the one that comes from its group counts, or else the first one.
        """
        config = await self.config(config_name)
        variants = config["ProductionVariants"] if config else []
        chosen = [each for each in variants if each.get("VariantName") == variant] or variants
        name = chosen[0].get("ModelName") if len(chosen) == 1 else None
        model = await self.model(name) if name else None
        packages = [package for each in containers_of(model or {}) if (package := each.get("ModelPackageName"))]
        return next((package for package in packages if group_of(package) == group_of(like)), next(iter(packages), None))

    def arguments_of(self, operation: str, described: Mapping[str, Any]) -> dict[str, Any]:
        """What a call that creates something would take to make again what was described, but for its name and tags.

        botocore's model says which members that are, so that no list of them has to be kept. What is empty or off is the default.

        Args:
            operation: `CreateModel` or `CreateEndpointConfig`.
            described: The answer of the matching Describe call.
        """
        found = taken_by(self.sagemaker, operation, described)
        named = {"ModelName", "EndpointConfigName", "Tags"}
        return {member: value for member, value in found.items() if member not in named and value not in ([], {}, False)}


class OneLook(SageMakerAccount):
    """The same for one look: what is asked a second time is answered as it was the first time. It lasts as long as the look."""

    def __init__(self, aws: Aws, region: str, role_arn: str | None) -> None:
        super().__init__(aws, region, role_arn)
        self._answers: dict[Hashable, Any] = {}
        self._asking: defaultdict[Hashable, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def call(self, tried: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        question = (function, json.dumps([args, kwargs], sort_keys=True, default=str))
        async with self._asking[question]:  # two that ask at the same time ask once
            if question not in self._answers:
                self._answers[question] = await super().call(tried, function, *args, **kwargs)
            return self._answers[question]


class Looks:
    """One look at many targets, by their accounts and regions.

    Args:
        aws: Where to find AWS.
    """

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self._at: dict[tuple[str, str | None], OneLook] = {}

    def at(self, region: str, role_arn: str | None) -> OneLook:
        """What is asked in a region as a role; as the worker itself where there is none."""
        place = (region, role_arn)
        if place not in self._at:
            self._at[place] = OneLook(self.aws, *place)
        return self._at[place]

    async def package(self, arn: str, role_arn: str | None = None) -> DescribeModelPackageOutputTypeDef:
        """A model package as the registry shows it."""
        return await self.at(region_of(arn), role_arn).package(arn)


def taken_by(client: Any, operation: str, described: Mapping[str, Any]) -> dict[str, Any]:
    """The members of what was described that a call takes, by botocore's model of it.

    Args:
        client: A client of the service.
        operation: The call, as `CreateModel`.
        described: The answer of the matching Describe call.
    """
    shape = client.meta.service_model.operation_model(operation).input_shape
    return {member: value for member, value in described.items() if member in shape.members}


def account_of(region: str | None, role_arn: str | None) -> Scope:
    """What AWS slows down together: the region and the role's account."""
    return region, role_arn and role_arn.split(":")[4]


def containers_of(model: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A model's containers, in their order."""
    primary = model.get("PrimaryContainer")
    return [primary] if primary else [*model.get("Containers", [])]


def container_to_ask(model: Mapping[str, Any], package: str) -> str | None:
    """The host name of a package's container, where requests have to name one: `InferenceExecutionConfig.Mode` is `Direct`."""
    if model.get("InferenceExecutionConfig", {}).get("Mode") != "Direct":
        return None
    return next((each.get("ContainerHostname") for each in containers_of(model) if each.get("ModelPackageName") == package), None)


def group_of(package: str) -> str:
    """The ARN of a package without its version. Groups are the same in any case of their letters."""
    return package.rpartition("/")[0].lower()


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

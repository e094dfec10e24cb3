"""ECR's registries: what they show of an image, and how to open them as OCI registries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway.aws.clients import Aws
from slipway.errors import NeedsPersonError
from slipway.oci.client import RegistryClient
from slipway.oci.reference import ImageReference

if TYPE_CHECKING:
    from types_boto3_ecr.type_defs import AuthorizationDataTypeDef, ImageDetailTypeDef


async def open_registry(aws: Aws, image: ImageReference) -> RegistryClient:
    """A client of the registry that an image is in. The caller closes it.

    The address is the one that comes with the token, on AWS and on a local stand-in alike.
    """
    first = await _authorize(aws, image)
    tokens = [first.get("authorizationToken", "")]

    async def token(fresh: bool) -> str:
        if fresh:
            tokens[0] = (await _authorize(aws, image)).get("authorizationToken", "")
        return tokens[0]

    return RegistryClient(first.get("proxyEndpoint", f"https://{image.registry}"), token)


async def describe_image(aws: Aws, image: ImageReference, tried: str) -> ImageDetailTypeDef:
    """The image as ECR shows it, by digest or tag.

    Raises:
        SlipwayError: There is none, or ECR does not tell.
    """
    answer = await aws.call(
        tried,
        aws.ecr(image.region).describe_images,
        registryId=image.registry_account,
        repositoryName=image.repository,
        imageIds=[{"imageDigest": image.digest} if image.digest else {"imageTag": image.reference}],
    )
    return answer["imageDetails"][0]


async def _authorize(aws: Aws, image: ImageReference) -> AuthorizationDataTypeDef:
    tried = f"asking for a token of the registry {image.registry}"
    ecr = aws.ecr(image.region)
    answer = await aws.call(tried, ecr.get_authorization_token, registryIds=[image.registry_account])
    if not answer["authorizationData"]:
        raise NeedsPersonError(tried, "ECR gave none", "allow the worker's role to get a token of this registry, then retry")
    return answer["authorizationData"][0]

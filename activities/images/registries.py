"""ECR's registries as OCI registries: their address, and the token to enter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway.aws.clients import Aws
from slipway.errors import NeedsPersonError
from slipway.oci.copy import RegistryClient
from slipway.oci.reference import ImageReference

if TYPE_CHECKING:
    from types_boto3_ecr.type_defs import AuthorizationDataTypeDef


async def open_registry(aws: Aws, image: ImageReference) -> RegistryClient:
    """A client of the registry that an image is in. The caller closes it.

    The address is the one that comes with the token, on AWS as on any stand-in for it.
    """
    first = await _authorize(aws, image)
    tokens = [first.get("authorizationToken", "")]

    async def token(fresh: bool) -> str:
        if fresh:
            tokens[0] = (await _authorize(aws, image)).get("authorizationToken", "")
        return tokens[0]

    return RegistryClient(first.get("proxyEndpoint", f"https://{image.registry}"), token)


async def _authorize(aws: Aws, image: ImageReference) -> AuthorizationDataTypeDef:
    tried = f"asking for a token of the registry {image.registry}"
    ecr = aws.ecr(image.region)
    answer = await aws.call(tried, ecr.get_authorization_token, registryIds=[image.registry_account])
    if not answer["authorizationData"]:
        raise NeedsPersonError(tried, "ECR gave none", "allow the worker's role to enter this registry, then retry")
    return answer["authorizationData"][0]

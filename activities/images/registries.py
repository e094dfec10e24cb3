"""Registries: how to open them, with ECR's tokens or a login of the worker's Docker config, and what ECR shows of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway.aws.clients import Aws
from slipway.aws.errors import answer_of
from slipway.errors import NeedsPersonError, RefusedError, SlipwayError
from slipway.oci.auth import ChallengeAuth, TokenAuth
from slipway.oci.client import RegistryClient
from slipway.oci.credentials import find_credentials
from slipway.oci.manifests import ImageRepository, ImageTree, read_tree
from slipway.oci.reference import EcrRegistry, ImageReference

if TYPE_CHECKING:
    from types_boto3_ecr.type_defs import AuthorizationDataTypeDef, ImageDetailTypeDef


async def open_registry(aws: Aws, image: ImageReference) -> RegistryClient:
    """A client of the registry that an image is in. The caller closes it.

    ECR's address is the one that comes with the token, on AWS and on a local stand-in alike.
    """
    ecr = image.ecr
    if ecr is None:
        return RegistryClient(image.address, ChallengeAuth(image.registry, await find_credentials(image.registry)))
    first = await _authorize(aws, ecr)
    tokens = [first.get("authorizationToken", "")]

    async def token(fresh: bool) -> str:
        if fresh:
            tokens[0] = (await _authorize(aws, ecr)).get("authorizationToken", "")
        return tokens[0]

    return RegistryClient(first.get("proxyEndpoint", image.address), TokenAuth(token))


def require_ecr(image: ImageReference, tried: str) -> EcrRegistry:
    """The account and region of an image that only ECR can tell about.

    Raises:
        RefusedError: It is elsewhere.
    """
    if image.ecr is None:
        raise RefusedError(tried, f"{image.registry} is not a private registry of ECR", "push the image to ECR")
    return image.ecr


async def find_digest(aws: Aws, image: ImageReference) -> str:
    """The digest of an image as its registry has it now, by digest or tag.

    Raises:
        RefusedError: There is no such image.
    """
    tried = f"looking for the image {image}"
    remedy = "push the image, then start the promotion with the digest that the push printed"
    if image.ecr is None:
        async with await open_registry(aws, image) as registry:
            digest = await registry.manifest_digest(image.repository, image.reference)
        if digest is None:
            raise RefusedError(tried, f"{image.registry} has none", remedy)
        return digest
    try:
        return (await describe_image(aws, image, tried)).get("imageDigest", "")
    except SlipwayError as error:
        code, message = answer_of(error)
        if code in {"ImageNotFoundException", "RepositoryNotFoundException"}:
            raise RefusedError(tried, f"{code}: {message}", remedy) from error
        raise


async def describe_image(aws: Aws, image: ImageReference, tried: str) -> ImageDetailTypeDef:
    """The image as ECR shows it, by digest or tag.

    Raises:
        SlipwayError: There is none, or ECR does not tell.
    """
    ecr = require_ecr(image, tried)
    answer = await aws.call(
        tried,
        aws.ecr(ecr.region).describe_images,
        registryId=ecr.account,
        repositoryName=image.repository,
        imageIds=[{"imageDigest": image.digest} if image.digest else {"imageTag": image.reference}],
    )
    return answer["imageDetails"][0]


async def read_image(aws: Aws, image: ImageReference) -> ImageTree:
    """An image's manifests.

    Raises:
        RefusedError: It is an index without an image.
    """
    async with await open_registry(aws, image) as registry:
        return await read_tree(ImageRepository(registry, image.repository), image.reference)


async def require_repository(aws: Aws, image: ImageReference) -> None:
    """Fail early with ECR's error; the registry API's is obscure. Other registries make repositories when pushed to.

    Raises:
        NeedsPersonError: There is no repository for the image.
    """
    if image.ecr is None:
        return
    await aws.call(
        f"looking for the repository {image.without_reference}",
        aws.ecr(image.ecr.region).describe_repositories,
        registryId=image.ecr.account,
        repositoryNames=[image.repository],
    )


async def _authorize(aws: Aws, registry: EcrRegistry) -> AuthorizationDataTypeDef:
    tried = f"asking for a token of ECR's registry {registry.account} in {registry.region}"
    ecr = aws.ecr(registry.region)
    answer = await aws.call(tried, ecr.get_authorization_token, registryIds=[registry.account])
    if not answer["authorizationData"]:
        raise NeedsPersonError(tried, "ECR gave none", "allow the worker's role to get a token of this registry, then retry")
    return answer["authorizationData"][0]

"""Looks up the digest of a tag in ECR."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from slipway.aws.clients import Aws
from slipway.aws.errors import classify
from slipway.errors import RefusedError
from slipway.oci.reference import ImageReference

_ABSENT = {"ImageNotFoundException", "RepositoryNotFoundException"}


def digest_of(image: ImageReference) -> str:
    """The digest that the tag names now.

    Raises:
        RefusedError: There is no such image.
        SlipwayError: AWS said no, or did not answer.
    """
    tried = f"looking for the digest of {image}"
    if image.ecr is None:
        remedy = f"give it by digest, which `docker buildx imagetools inspect {image}` shows"
        raise RefusedError(tried, f"tags are looked up in ECR alone, and it is in {image.registry}", remedy)
    ecr = Aws().ecr(image.ecr.region)
    try:
        answer = ecr.describe_images(
            registryId=image.ecr.account,
            repositoryName=image.repository,
            imageIds=[{"imageTag": image.reference}],
        )
    except ClientError as error:
        known = error.response.get("Error", {})
        if known.get("Code") in _ABSENT:
            answered = f"{known.get('Code')}: {known.get('Message')}"
            raise RefusedError(tried, answered, "push the image first, or correct its name") from error
        raise classify(error, tried) from error
    except BotoCoreError as error:
        raise classify(error, tried) from error
    digests = [digest for detail in answer["imageDetails"] if (digest := detail.get("imageDigest"))]
    if not digests:
        raise RefusedError(tried, "ECR names no digest", "give the image by digest")
    return digests[0]

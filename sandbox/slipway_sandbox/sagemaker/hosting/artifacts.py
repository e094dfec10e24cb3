"""Model artifacts: downloaded from S3 into the folder that a container sees as `/opt/ml/model`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.core.errors import boto3_error
from slipway_sandbox.sagemaker.access import SageMakerRole
from slipway_sandbox.sagemaker.artifacts import ArtifactError, unpack
from slipway_sandbox.sagemaker.hosting.model_containers import Artifact


def fetch(access: SageMakerRole, artifact: Artifact, container: str, folder: Path) -> None:
    """Bring an artifact into an empty folder.

    Args:
        access: S3 as the model's role sees it.
        artifact: Where it is.
        container: What the container is called in the error's text.
        folder: Where it goes.

    Raises:
        ArtifactError: It is not there, the role may not have it, or it is no archive where it should be one. The text is AWS's
            FailureReason.
    """
    bucket, key = split(artifact.uri)
    try:
        client = access.client("s3")
        if artifact.packed:
            _fetch_archive(client, artifact, (bucket, key), folder)
        else:
            _fetch_objects(client, artifact, (bucket, key), container, folder)
    except (ClientError, BotoCoreError, boto3_error()) as error:
        raise _not_there(artifact, container) from error


def _not_there(artifact: Artifact, container: str) -> ArtifactError:
    return ArtifactError(
        f'Failed to download model data for container "{container}" from URL: "{artifact.uri}". Please ensure that there is an '
        "object located at the URL and that the role passed to CreateModel has permissions to download the object."
    )


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of an `s3://` URI, or of an `https://` one in the style of paths."""
    place = uri.partition("://")[2]
    if uri.startswith("https://"):
        place = place.partition("/")[2]
    bucket, _, key = place.partition("/")
    return bucket, key


def _fetch_archive(client: Any, artifact: Artifact, place: tuple[str, str], folder: Path) -> None:
    archive = folder.with_name(f"{folder.name}.tar.gz")
    client.download_file(*place, str(archive))
    try:
        unpack(archive, folder)
    except ArtifactError as error:
        raise ArtifactError(f"Failed to extract model data archive from URL {artifact.uri}: {error}") from error


def _fetch_objects(client: Any, artifact: Artifact, place: tuple[str, str], container: str, folder: Path) -> None:
    bucket, prefix = place
    keys = [key for key in _keys(client, bucket, prefix) if not key.endswith("/")]
    if not keys:
        raise _not_there(artifact, container)
    for key in keys:
        name = key.removeprefix(prefix).lstrip("/") or PurePosixPath(key).name
        if ".." in PurePosixPath(name).parts:
            raise ArtifactError(f"The key {key!r} of the model data at {artifact.uri} leads out of its folder.")
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, key, str(target))


def _keys(client: Any, bucket: str, prefix: str) -> Iterator[str]:
    for found in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from (item["Key"] for item in found.get("Contents", ()))

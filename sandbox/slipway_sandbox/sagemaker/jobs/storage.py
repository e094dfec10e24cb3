"""What a job reads from S3 and writes there."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.sagemaker.jobs.job import JobFailedError

COMPRESSION = 1
"""gzip's fastest: an artifact here is read once or twice, and the machine is small."""


class Storage:
    """S3, as a job's account sees it.

    Args:
        client: A boto3 client of S3.
        region: For the errors' text.
        role: The job's role, for the errors' text.
    """

    def __init__(self, client: Any, region: str, role: str) -> None:
        self._client = client
        self._region = region
        self._role = role

    def download(self, uri: str, folder: Path) -> None:
        """Bring all objects whose key begins with the URI's into a folder.

        Raises:
            JobFailedError: There are none, or the bucket cannot be read.
        """
        bucket, prefix = split_uri(uri)
        found = False
        try:
            for key in self._keys(bucket, prefix):
                found = True
                self._download_one(bucket, key, folder, relative_name(key, prefix))
        except (ClientError, BotoCoreError, Boto3Error) as error:
            raise JobFailedError(
                f"ClientError: Data download failed: {self._nothing_at(uri, bucket)} S3 said: {error}"
            ) from error
        if not found:
            raise JobFailedError(f"ClientError: Data download failed: {self._nothing_at(uri, bucket)}")

    def upload_folder(self, folder: Path, uri: str) -> None:
        """Write each file of a folder below a URI.

        Raises:
            JobFailedError: The bucket cannot be written.
        """
        for path in files_below(folder):
            self._upload(path, f"{uri.rstrip('/')}/{path.relative_to(folder).as_posix()}")

    def upload_archive(self, folder: Path, archive: Path, uri: str) -> None:
        """Write a folder to a URI as one `tar.gz`.

        Args:
            folder: What to pack.
            archive: A place for the packed file, which is outside of the folder and removed afterwards.
            uri: Where it goes.

        Raises:
            JobFailedError: The bucket cannot be written.
        """
        with tarfile.open(archive, "w:gz", compresslevel=COMPRESSION) as members:
            for child in sorted(folder.iterdir()):
                members.add(child, arcname=child.name)
        try:
            self._upload(archive, uri)
        finally:
            archive.unlink()

    def _keys(self, bucket: str, prefix: str) -> Iterator[str]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from (item["Key"] for item in page.get("Contents", ()))

    def _download_one(self, bucket: str, key: str, folder: Path, name: str) -> None:
        if ".." in PurePosixPath(name).parts:
            raise JobFailedError(f"ClientError: Data download failed: the key {key!r} leads out of its folder")
        target = folder / name
        if key.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        self._client.download_file(bucket, key, str(target))

    def _upload(self, path: Path, uri: str) -> None:
        bucket, key = split_uri(uri)
        try:
            self._client.upload_file(str(path), bucket, key)
        except (ClientError, BotoCoreError, Boto3Error) as error:
            raise JobFailedError(f"ClientError: Data upload failed: artifact upload to {uri} failed: {error}") from error

    def _nothing_at(self, uri: str, bucket: str) -> str:
        return (
            f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket exists in the '
            f"selected region ({self._region}), that objects exist under that S3 prefix, and that the role "
            f'"{self._role}" has "s3:ListBucket" permissions on bucket "{bucket}".'
        )


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of an `s3://` URI."""
    parts = urlsplit(uri, allow_fragments=False)
    return parts.netloc, parts.path.lstrip("/")


def relative_name(key: str, prefix: str) -> str:
    """Where an object goes below the folder that its prefix is brought to.

    A prefix that is the whole key is one file, and one that ends within a name keeps that name.
    """
    folder = prefix if prefix.endswith("/") or key.startswith(f"{prefix}/") else prefix.rpartition("/")[0]
    return key.removeprefix(folder).lstrip("/")


def files_below(folder: Path) -> Iterator[Path]:
    """The plain files of a folder. Links are left out: a container's could lead to the host's files."""
    for place, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                yield path

"""What a job reads from S3 and writes there."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.core.errors import boto3_error
from slipway_sandbox.sagemaker.jobs.job import JobFailedError

COMPRESSION = 1
"""gzip's fastest: an artifact here is read once or twice, and the machine is small."""
LARGEST_MANIFEST = 10 << 20
"""Bytes that are read; a longer one is cut, and cannot be read then."""


def s3_errors() -> tuple[type[Exception], ...]:
    """What S3 and the transfers raise."""
    return (ClientError, BotoCoreError, boto3_error())


@dataclass(frozen=True)
class Source:
    """One object of an input.

    Args:
        bucket: Its bucket.
        key: Its key.
        name: Its path below the folder that the input is brought to.
    """

    bucket: str
    key: str
    name: str


class Storage:
    """S3, as a job's role sees it.

    Args:
        client: A boto3 client of S3.
        region: For the errors' text.
        role: The job's role, for the errors' text.
    """

    def __init__(self, client: Any, region: str, role: str) -> None:
        self._client = client
        self._region = region
        self._role = role

    def sources(self, kind: str, uri: str) -> list[Source]:
        """The objects of an input.

        Args:
            kind: The S3DataType: `S3Prefix` or `ManifestFile`.
            uri: The prefix, or the manifest.

        Raises:
            JobFailedError: There are none, the bucket cannot be read, or the manifest is none.
        """
        bucket, prefix = split_uri(uri)
        try:
            found = list(self._listed(bucket, prefix)) if kind == "S3Prefix" else self._named(bucket, prefix)
        except s3_errors() as error:
            raise JobFailedError(
                f"ClientError: Data download failed: {self._nothing_at(uri, bucket)} S3 said: {error}"
            ) from error
        if not found:
            raise JobFailedError(f"ClientError: Data download failed: {self._nothing_at(uri, bucket)}")
        for source in found:
            if ".." in PurePosixPath(source.name).parts:
                raise JobFailedError(f"ClientError: Data download failed: the key {source.key!r} leads out of its folder")
        return found

    def download(self, kind: str, uri: str, folder: Path) -> None:
        """Bring all objects of an input into a folder.

        Raises:
            JobFailedError: There are none, or the bucket cannot be read.
        """
        for source in self.sources(kind, uri):
            target = folder / source.name
            if source.key.endswith("/"):
                target.mkdir(parents=True, exist_ok=True)
            else:
                self.fetch(source, target)

    def download_what_is_there(self, uri: str, folder: Path) -> None:
        """Bring all objects below a prefix into a folder, where there are any.

        Raises:
            JobFailedError: The bucket cannot be read.
        """
        bucket, prefix = split_uri(f"{uri.rstrip('/')}/")
        try:
            for source in self._listed(bucket, prefix):
                if not source.key.endswith("/") and ".." not in PurePosixPath(source.name).parts:
                    self.fetch(source, folder / source.name)
        except s3_errors() as error:
            raise JobFailedError(f"ClientError: Data download failed: {uri} cannot be read: {error}") from error

    def fetch(self, source: Source, target: Path) -> None:
        """Bring one object.

        Raises:
            JobFailedError: It cannot be read.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._client.download_file(source.bucket, source.key, str(target))
        except s3_errors() as error:
            raise JobFailedError(
                f"ClientError: Data download failed: s3://{source.bucket}/{source.key} cannot be read: {error}"
            ) from error

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

    def _listed(self, bucket: str, prefix: str) -> Iterator[Source]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", ()):
                yield Source(bucket, item["Key"], relative_name(item["Key"], prefix))

    def _named(self, bucket: str, key: str) -> list[Source]:
        """The objects that a manifest names."""
        body = self._client.get_object(Bucket=bucket, Key=key)["Body"].read(LARGEST_MANIFEST)
        try:
            return list(manifest_sources(json.loads(body)))
        except (ValueError, TypeError, LookupError) as error:
            raise JobFailedError(
                f"ClientError: Data download failed: the manifest s3://{bucket}/{key} cannot be read: {error}"
            ) from error

    def _upload(self, path: Path, uri: str) -> None:
        bucket, key = split_uri(uri)
        try:
            self._client.upload_file(str(path), bucket, key)
        except s3_errors() as error:
            raise JobFailedError(f"ClientError: Data upload failed: artifact upload to {uri} failed: {error}") from error

    def _nothing_at(self, uri: str, bucket: str) -> str:
        return (
            f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket exists in the '
            f"selected region ({self._region}), that objects exist under that S3 prefix, and that the role "
            f'"{self._role}" has "s3:ListBucket" permissions on bucket "{bucket}".'
        )


def manifest_sources(manifest: list[Any]) -> Iterator[Source]:
    """The objects of a manifest: `[{"prefix": "s3://bucket/path/"}, "name", …]`.

    Raises:
        LookupError: The first element has no prefix.
        ValueError: A name is no text.
    """
    bucket, folder = split_uri(manifest[0]["prefix"])
    for name in manifest[1:]:
        if not isinstance(name, str):
            raise ValueError(f"{name!r} is no name")  # noqa: TRY004  (one kind of error for a manifest that is none)
        yield Source(bucket, f"{folder}{name}", name.lstrip("/"))


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of an `s3://` URI, or of an `https://` one that has the bucket in its path."""
    parts = urlsplit(uri, allow_fragments=False)
    path = parts.path.lstrip("/")
    if parts.scheme != "s3":
        bucket, _, key = path.partition("/")
        return bucket, key
    return parts.netloc, path


def relative_name(key: str, prefix: str) -> str:
    """Where an object goes below the folder that its prefix is downloaded to.

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

"""What ECR's control plane and registry share: repositories, manifests by exact bytes, and blobs as files.

A blob's file is shared by all repositories; a repository can use it only once it was pushed or mounted there, as on ECR.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from slipway_sandbox.containers.image_uri import ImageUri
from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.core.models import Frozen
from slipway_sandbox.core.world import World
from slipway_sandbox.ecr import errors
from slipway_sandbox.ecr.errors import ImageNotFoundError
from slipway_sandbox.ecr.problems import first_problem
from slipway_sandbox.ecr.quotas import IMAGES, REPOSITORIES, TAGS, EcrQuotas

DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")


def digest_of(content: bytes) -> str:
    """The content's name in every registry."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Descriptor(Frozen):
    """What a manifest says of another piece of content, as far as the registry has to know it."""

    model_config = ConfigDict(extra="ignore")

    digest: str = Field(pattern=DIGEST.pattern)
    size: int = Field(ge=0)
    media_type: str | None = Field(default=None, alias="mediaType")
    urls: list[str] = Field(default_factory=list[str])


class Manifest(Frozen):
    """A manifest or an index, as far as the registry has to understand it."""

    model_config = ConfigDict(extra="ignore")

    schema_version: Literal[2] = Field(alias="schemaVersion")
    media_type: str | None = Field(default=None, alias="mediaType")
    artifact_type: str | None = Field(default=None, alias="artifactType")
    config: Descriptor | None = None
    layers: list[Descriptor] = Field(default_factory=list[Descriptor])
    manifests: list[Descriptor] = Field(default_factory=list[Descriptor])
    subject: Descriptor | None = None
    annotations: dict[str, str] = Field(default_factory=dict[str, str])

    @property
    def children(self) -> list[str]:
        """Digests of an index's manifests."""
        return [child.digest for child in self.manifests]

    @property
    def blobs(self) -> list[Descriptor]:
        """Config and layers that the registry holds; layers that live elsewhere (`urls`) are not among them."""
        layers = [layer for layer in self.layers if not layer.urls]
        return [self.config, *layers] if self.config else layers

    @classmethod
    def read(cls, body: bytes) -> Manifest:
        """Read a manifest's bytes.

        Raises:
            AwsError: `InvalidParameterException`, where it is none.
        """
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            place, problem = first_problem(error, ".")
            raise errors.invalid_manifest(f"{place}: {problem}" if place else "Invalid JSON syntax") from error


@dataclass(frozen=True)
class StoredManifest:
    """A manifest or index: the bytes as they were pushed, and their name."""

    digest: str
    media_type: str
    body: bytes


@dataclass
class Scan:
    """An image's last scan. Its findings are members of ECR's `ImageScanFinding`."""

    started_at: datetime
    status: str = "IN_PROGRESS"
    completed_at: datetime | None = None
    findings: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    enhanced: bool = False
    """Whether Amazon Inspector does it; its findings are members of ECR's `EnhancedImageScanFinding`."""

    @property
    def has_findings(self) -> bool:
        """Whether its findings can be seen."""
        return self.status in ("COMPLETE", "ACTIVE")

    def counts(self) -> dict[str, int]:
        """Findings by severity."""
        return dict(Counter(finding["severity"] for finding in self.findings))

    def described(self) -> dict[str, str]:
        """The status as the API shows it."""
        words = {
            "IN_PROGRESS": "The scan is running.",
            "COMPLETE": "The scan was completed successfully.",
            "ACTIVE": "Continuous scan is selected for image.",
            "PENDING": "The scan is pending.",
        }
        return {"status": self.status, "description": words.get(self.status, f"The scan ended: {self.status}.")}


@dataclass
class Image:
    """A manifest in one repository, with what it refers to."""

    manifest: StoredManifest
    pushed_at: datetime
    content: Manifest
    pulled_at: datetime | None = None
    scan: Scan | None = None


@dataclass
class Repository:
    """One repository's settings and images."""

    account: str
    region: str
    name: str
    created_at: datetime
    mutability: str = "MUTABLE"
    exclusions: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    scan_on_push: bool = False
    encryption: dict[str, str] = field(default_factory=lambda: {"encryptionType": "AES256"})
    policy: str | None = None
    lifecycle_policy: str | None = None
    resource_tags: dict[str, str] = field(default_factory=dict[str, str])
    images: dict[str, Image] = field(default_factory=dict[str, Image])
    tags: dict[str, str] = field(default_factory=dict[str, str])
    blobs: set[str] = field(default_factory=set[str])

    @property
    def arn(self) -> str:
        """The repository's ARN."""
        return f"arn:aws:ecr:{self.region}:{self.account}:repository/{self.name}"

    @property
    def uri(self) -> str:
        """The name that image references begin with."""
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com/{self.name}"

    def tags_of(self, digest: str) -> list[str]:
        """The tags that point at a digest now."""
        return [tag for tag, target in self.tags.items() if target == digest]

    def referrers_of(self, digest: str) -> list[Image]:
        """The images that name a digest as their subject, in the order of their pushes."""
        return [image for image in self.images.values() if image.content.subject and image.content.subject.digest == digest]

    def find(self, reference: str) -> Image | None:
        """The image of a digest or a tag."""
        return self.images.get(reference if ":" in reference else self.tags.get(reference, ""))

    def freezes(self, tag: str) -> bool:
        """Whether a tag, once set, may not move."""
        excluded = any(fnmatchcase(tag, rule["filter"]) for rule in self.exclusions)
        return self.mutability.startswith("IMMUTABLE") != (excluded and self.mutability.endswith("_WITH_EXCLUSION"))

    def size_of(self, image: Image) -> int:
        """Bytes of an image's blobs; of an index, those of its largest child (as DescribeImages counts)."""
        if image.content.children:
            return max((self.size_of(child) for child in map(self.images.get, image.content.children) if child), default=0)
        return sum(blob.size for blob in image.content.blobs)


def tell(world: World, repository: Repository, action: str, digest: str, tag: str | None) -> None:
    """Tell EventBridge of a push or a deletion."""
    detail = {
        "result": "SUCCESS",
        "repository-name": repository.name,
        "image-digest": digest,
        "action-type": action,
        "image-tag": tag or "",
    }
    caller = Caller(repository.account, repository.region, "")
    world.events.emit(caller, "aws.ecr", "ECR Image Action", detail, [])


PushHook = Callable[[Repository, Image], None]


class Store:
    """All registries: one per account and region. Metadata is guarded by the service's lock, which callers hold."""

    def __init__(self, world: World, quotas: EcrQuotas) -> None:
        self._world = world
        self._quotas = quotas
        self._blobs = world.data / "blobs" / "sha256"
        self._uploads = world.data / "uploads"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._uploads.mkdir(parents=True, exist_ok=True)
        self._upload_numbers = itertools.count(1)
        self._repositories: dict[tuple[str, str, str], Repository] = {}
        self.on_push: list[PushHook] = []
        """Called after each push of a manifest that changed something."""

    def blob_path(self, digest: str) -> Path:
        """Where a blob's bytes are, or would be."""
        if not DIGEST.fullmatch(digest):
            raise ValueError(f"{digest!r} is no sha256 digest")
        return self._blobs / digest.removeprefix("sha256:")

    def upload_path(self) -> Path:
        """A new file to receive bytes in, on the same file system as the blobs."""
        return self._uploads / f"upload-{next(self._upload_numbers)}"

    def keep_blob(self, repository: Repository, received: Path, digest: str) -> None:
        """Make a received file, whose digest was checked, a blob of the repository."""
        received.replace(self.blob_path(digest))
        repository.blobs.add(digest)

    def add(self, repository: Repository) -> None:
        """Create a repository.

        Raises:
            AwsError: `RepositoryAlreadyExistsException`; `LimitExceededException` where the registry has no room for it.
        """
        key = (repository.account, repository.region, repository.name)
        if key in self._repositories:
            raise errors.repository_exists(repository.name, repository.account)
        there = len(self.of_registry(repository.account, repository.region))
        limit = self._quotas.exceeded(repository.account, REPOSITORIES, there + 1)
        if limit is not None:
            raise errors.too_many_repositories(repository.account, limit)
        self._repositories[key] = repository

    def get(self, account: str, region: str, name: str) -> Repository:
        """A repository.

        Raises:
            AwsError: `RepositoryNotFoundException`.
        """
        repository = self._repositories.get((account, region, name))
        if repository is None:
            raise errors.repository_not_found(name, account)
        return repository

    @property
    def repositories(self) -> dict[tuple[str, str, str], Repository]:
        """All registries' repositories, by account, region and name."""
        return self._repositories

    def all(self) -> list[Repository]:
        """Every registry's repositories."""
        return list(self._repositories.values())

    def of_registry(self, account: str, region: str) -> list[Repository]:
        """A registry's repositories by name."""
        own = [repository for (a, r, _), repository in self._repositories.items() if (a, r) == (account, region)]
        return sorted(own, key=lambda repository: repository.name)

    def remove(self, repository: Repository) -> None:
        """Delete a repository with its images."""
        del self._repositories[repository.account, repository.region, repository.name]

    def forget(self, account: str | None) -> None:
        """Drop the repositories of one account, or all."""
        kept = {key: value for key, value in self._repositories.items() if account not in (None, key[0])}
        self._repositories = kept

    def find(self, uri: ImageUri) -> StoredManifest:
        """The manifest that an image's name stands for now.

        Raises:
            ImageNotFoundError: There is no such repository, tag or digest.
        """
        repository = self._repositories.get((uri.account, uri.region, uri.repository))
        image = repository.find(uri.reference) if repository else None
        if image is None:
            raise ImageNotFoundError(uri)
        image.pulled_at = self._world.clock.now()
        return image.manifest

    def put(self, repository: Repository, manifest: StoredManifest, tag: str | None) -> bool:
        """Store a manifest and point the tag at it. False: all of that was so already, and nothing changed.

        Raises:
            AwsError: What it needs is missing, or the tag may not move.
        """
        content = Manifest.read(manifest.body)
        image = Image(manifest, self._world.clock.now(), content)
        self._refuse_incomplete(repository, image)
        current = repository.tags.get(tag) if tag else None
        if tag and current not in (None, manifest.digest) and repository.freezes(tag):
            raise errors.tag_is_immutable(tag, repository.name)
        known = manifest.digest in repository.images
        if known and (tag is None or current == manifest.digest):
            return False
        self._refuse_too_many(repository, manifest.digest, tag)
        if not known:
            repository.images[manifest.digest] = image
        if tag:
            repository.tags[tag] = manifest.digest
        tell(self._world, repository, "PUSH", manifest.digest, tag)
        for hook in self.on_push:
            hook(repository, repository.images[manifest.digest])
        return True

    def delete_image(self, repository: Repository, digest: str) -> None:
        """Delete a manifest and its tags.

        Raises:
            AwsError: An index in the repository refers to it (`ImageReferencedByManifestList`).
        """
        parents = [image.manifest.digest for image in repository.images.values() if digest in image.content.children]
        if parents:
            raise AwsError(
                "ImageReferencedByManifestList",
                f"Requested image referenced by manifest list: [{', '.join(parents)}]",
            )
        tags = repository.tags_of(digest)
        for tag in tags:
            del repository.tags[tag]
        del repository.images[digest]
        for tag in tags or [None]:
            tell(self._world, repository, "DELETE", digest, tag)

    def remove_tag(self, repository: Repository, tag: str) -> None:
        """Take a tag off its image."""
        tell(self._world, repository, "DELETE", repository.tags.pop(tag), tag)

    def _refuse_too_many(self, repository: Repository, digest: str, tag: str | None) -> None:
        account, name = repository.account, repository.name
        limit = self._quotas.exceeded(account, IMAGES, len(repository.images) + (digest not in repository.images))
        if limit is not None:
            raise errors.too_many_images(name, account, limit)
        if tag is None:
            return
        limit = self._quotas.exceeded(account, TAGS, len({*repository.tags_of(digest), tag}))
        if limit is not None:
            raise errors.too_many_tags_of_image(tag, name, account, limit)

    @staticmethod
    def _refuse_incomplete(repository: Repository, image: Image) -> None:
        children = [digest for digest in image.content.children if digest not in repository.images]
        if children:
            raise errors.referenced_images_not_found(children, repository.name, repository.account)
        layers = [blob.digest for blob in image.content.blobs if blob.digest not in repository.blobs]
        if layers:
            raise errors.layers_not_found(layers, repository.name, repository.account)

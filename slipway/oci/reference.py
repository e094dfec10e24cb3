"""Names of images: the registry, the repository, and a tag, a digest, or both. ECR's also say an account and a region."""

from __future__ import annotations

import re
from typing import Self

from pydantic import BaseModel, ConfigDict

_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
REPOSITORY_NAME = rf"{_PART}(?:/{_PART})*"
"""A repository's name, as the distribution spec has it."""
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
REGISTRY = rf"(?:{_LABEL}(?:\.{_LABEL})+|localhost|{_LABEL}(?=:))(?::[0-9]{{1,5}})?"
"""A registry's host and port. A first part without a dot and a port is a part of the repository's name, as Docker reads it."""
REPOSITORY_URI = f"{REGISTRY}/{REPOSITORY_NAME}"
_REFERENCE = re.compile(
    rf"(?P<registry>{REGISTRY})/(?P<repository>{REPOSITORY_NAME})"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_SHAPE = "<registry>/<repository>[:<tag>][@sha256:<64 hex digits>]"
_ECR = re.compile(
    r"(?P<account>[0-9]{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z]{2,4}(?:-[a-z]+)+-[0-9])\."
    r"(?:amazonaws\.(?:com(?:\.cn)?|eu)|on\.(?:aws|amazonwebservices\.com\.cn)"
    r"|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
)
"""The private registries of all of AWS's partitions, by both names that they have; AWS's credential helper has the same rule."""
_LIKE_ECR = re.compile(r"\.dkr[.-]ecr\b")
DOCKER_HUB = "docker.io"
_HUB_TOO = frozenset({"index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_LOOPBACK = re.compile(r"(?:localhost|127(?:\.[0-9]+){3})(?::[0-9]+)?")


class EcrRegistry(BaseModel):
    """A private registry of ECR."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: str
    """The twelve digits of the account that owns it."""
    region: str
    """As `us-east-1`."""


class ImageReference(BaseModel):
    """An image, or a repository where neither tag nor digest is given, with the registry that it is in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a reference. Each repository has one name: Docker's short forms are not taken.

        Raises:
            ValueError: The text is not an image with its registry.
        """
        match = _REFERENCE.fullmatch(text)
        if match is None:
            long = with_registry(text)
            hint = f"; write {long}" if _REFERENCE.fullmatch(long) else ""
            raise ValueError(f"{text!r} is not an image with its registry; it has the shape {_SHAPE}{hint}")
        found = cls.model_validate(match.groupdict())
        if found.registry in _HUB_TOO:
            raise ValueError(f"{text!r} names Docker Hub as {found.registry}; write {DOCKER_HUB}")
        if found.registry == DOCKER_HUB and "/" not in found.repository:
            raise ValueError(f"{text!r} is a short form; write {DOCKER_HUB}/library/{found.repository}")
        if _LIKE_ECR.search(found.registry) and found.ecr is None:
            raise ValueError(f"{text!r} looks like ECR and is not <12 digits>.dkr.ecr.<region>.amazonaws.com/<repository>")
        return found

    @property
    def ecr(self) -> EcrRegistry | None:
        """The account and region, where the image is in a private registry of ECR."""
        match = _ECR.fullmatch(self.registry)
        return EcrRegistry.model_validate(match.groupdict()) if match else None

    @property
    def address(self) -> str:
        """Where the registry answers. On this machine that is plain HTTP, as Docker has it."""
        if _LOOPBACK.fullmatch(self.registry):
            return f"http://{self.registry}"
        return f"https://{'registry-1.docker.io' if self.registry == DOCKER_HUB else self.registry}"

    @property
    def reference(self) -> str:
        """What the distribution API calls the reference: the digest where there is one, else the tag, else `latest`."""
        return self.digest or self.tag or "latest"

    @property
    def without_reference(self) -> Self:
        """The repository alone."""
        return self.model_copy(update={"tag": None, "digest": None})

    def at(self, digest: str) -> Self:
        """The image of this repository by digest alone."""
        return self.model_copy(update={"tag": None, "digest": digest})

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"


def with_registry(image: str) -> str:
    """An image's whole name, as Docker and ECS read it: one without a registry is on Docker Hub.

    Source: `ParseNormalizedNamed` of the distribution project's reference package.
    """
    first, slash, rest = image.partition("/")
    if not slash or not (re.search(r"[.:]", first) or first == "localhost" or first != first.lower()):
        first, rest = DOCKER_HUB, image
    elif first in _HUB_TOO:
        first = DOCKER_HUB
    if first == DOCKER_HUB and "/" not in rest:
        rest = f"library/{rest}"
    return f"{first}/{rest}"


def check_repository(text: str) -> str:
    """A repository's name, as it was given.

    Raises:
        ValueError: It is none, or there is another name for it.
    """
    ImageReference.parse(text)
    return text

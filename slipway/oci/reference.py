"""Names of images in ECR: the registry's account and region, the repository, and a tag, a digest, or both."""

from __future__ import annotations

import re
from typing import Self

from pydantic import BaseModel, ConfigDict

REPOSITORY_NAME = r"[a-z0-9]+(?:[._-][a-z0-9]+|__[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-][a-z0-9]+|__[a-z0-9]+)*)*"
"""A repository's name; botocore's ECR model has the same rule."""
REGISTRY = r"[0-9]{12}\.dkr\.ecr(?:-fips)?\.[a-z]{2}(?:-[a-z]+)+-[0-9]\.amazonaws\.com(?:\.cn)?"
REPOSITORY_URI = f"{REGISTRY}/{REPOSITORY_NAME}"
_REFERENCE = re.compile(
    rf"(?P<registry>{REGISTRY})/(?P<repository>{REPOSITORY_NAME})"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_SHAPE = "<account>.dkr.ecr.<region>.amazonaws.com/<repository>[:<tag>][@sha256:<64 hex digits>]"


class ImageReference(BaseModel):
    """An image, or a repository where neither tag nor digest is given, in one account's registry in one region."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a reference.

        Raises:
            ValueError: The text is not an image in ECR.
        """
        match = _REFERENCE.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not an image in ECR; it has the shape {_SHAPE}")
        return cls.model_validate(match.groupdict())

    @property
    def registry_account(self) -> str:
        """The twelve digits of the account that owns the registry."""
        return self.registry[:12]

    @property
    def region(self) -> str:
        """The registry's region, as `us-east-1`."""
        return self.registry.split(".")[3]

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

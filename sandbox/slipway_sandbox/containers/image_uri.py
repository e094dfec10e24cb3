"""Names of images, in the shape that ECR gives them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_URI = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?"
    r"/(?P<repository>[a-z0-9]+(?:[._/-][a-z0-9]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True)
class ImageUri:
    """`<account>.dkr.ecr.<region>.amazonaws.com/<repository>[:tag][@digest]`."""

    account: str
    region: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, uri: str) -> ImageUri:
        """Read an image's name.

        Raises:
            ValueError: It is not in ECR's shape.
        """
        found = _URI.fullmatch(uri)
        if not found:
            raise ValueError(
                f"{uri!r} is no image in ECR; such a name looks like "
                "<account>.dkr.ecr.<region>.amazonaws.com/<repository>[:tag][@sha256:…]"
            )
        return cls(**found.groupdict())

    @property
    def reference(self) -> str:
        """The manifest's reference: the digest if there is one, else the tag, else `latest`."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com/{self.repository}{tag}{digest}"

"""Inputs and outputs of the image activities."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from activities.origin import Origin
from slipway.api import ImageOrigin, Message
from slipway.app.spec import Scan


class ResolveImage(Message):
    """Input of `resolve_image`: an image in its registry, by digest."""

    image: str
    origin: Origin | None = None
    """Absent where an older release recorded the input: nobody looks who signed it."""


class ResolvedImage(Message):
    """An image that exists."""

    image: str
    found: ImageOrigin | None = None
    """Who signed it, and what it was built from. None where nobody looked."""
    warnings: tuple[str, ...] = ()


class CheckScan(Message):
    """Input of `check_scan`."""

    image: str
    policy: Scan
    origin: Origin | None = None
    """Absent where an older release recorded the input."""


class ScanVerdict(Message):
    """A scan that the policy accepts."""

    status: str
    counts: dict[str, int]
    """Findings by severity."""


class CopyImage(Message):
    """Input of `copy_image`."""

    source: str
    target_repository: str = Field(description="<registry>/<repository>")
    tag: str
    referrers: Literal["copy", "ignore"] | None = None
    """What becomes of signatures, SBOMs and attestations. Absent where an older release recorded the input: they are copied."""
    origin: Origin | None = None
    """Absent where an older release recorded the input."""


class CopiedImage(Message):
    """The image in the target repository, by digest."""

    image: str
    copied_blobs: int
    skipped_blobs: int
    copied_bytes: int
    referrers: int = 0
    """Signatures, SBOMs and attestations that the target has as the source has them."""
    other_referrers: int = 0
    """Those whose tag names something else at the target, which is left as it is."""

"""ECR's scans of images: what is found, and what the spec's policy says to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from activities.images.messages import ScanVerdict
from activities.images.registries import require_ecr
from slipway.app.spec import Scan
from slipway.aws.clients import Aws
from slipway.aws.errors import answer_of
from slipway.errors import NeedsPersonError, RefusedError, SlipwayError
from slipway.oci.reference import ImageReference

SEVERITIES: tuple[Literal["LOW", "MEDIUM", "HIGH", "CRITICAL"], ...] = ("LOW", "MEDIUM", "HIGH", "CRITICAL")
SCAN_DONE = frozenset({"COMPLETE", "ACTIVE"})
"""Basic scanning ends at COMPLETE; enhanced scanning goes on for ever, and its findings are there from ACTIVE on."""
SCAN_RUNS = frozenset({"PENDING", "IN_PROGRESS", "NOT_FOUND"})


class ScanState:
    """How far a scan is. `NOT_FOUND`: ECR has not begun, as right after a push."""

    def __init__(self, status: str, counts: Mapping[str, int], description: str = "") -> None:
        self.status = status
        self.counts = dict(counts)
        self.description = description


async def read_scan(aws: Aws, name: str) -> ScanState:
    """The scan of an image as it is now.

    Args:
        aws: Where to find AWS.
        name: The image, by digest.
    """
    image = ImageReference.parse(name)
    tried = f"reading the scan of {image}"
    ecr = require_ecr(image, tried)
    try:
        answer = await aws.call(
            tried,
            aws.ecr(ecr.region).describe_image_scan_findings,
            registryId=ecr.account,
            repositoryName=image.repository,
            imageId={"imageDigest": image.digest or ""},
            maxResults=1,
        )
    except SlipwayError as error:
        if answer_of(error)[0] == "ScanNotFoundException":
            return ScanState("NOT_FOUND", {})
        raise
    status = answer.get("imageScanStatus", {})
    counts = answer.get("imageScanFindings", {}).get("findingSeverityCounts", {})
    return ScanState(
        status.get("status", "PENDING"), {str(key): value for key, value in counts.items()}, status.get("description", "")
    )


def require_finished(tried: str, scan: ScanState) -> ScanState:
    """The scan, if it has ended well.

    Raises:
        NeedsPersonError: It has not.
    """
    if scan.status in SCAN_DONE:
        return scan
    if scan.status in SCAN_RUNS:
        remedy = "turn on scanning for the repository, start the scan (`aws ecr start-image-scan`), then retry"
        raise NeedsPersonError(tried, f"it is {scan.status} and the time for it (spec.image.scan.timeout) is over", remedy)
    remedy = "start the scan again (`aws ecr start-image-scan`) and retry, or remove spec.image.scan from the spec"
    raise NeedsPersonError(tried, f"{scan.status} {scan.description}".strip(), remedy)


def judge_scans(image: ImageReference, scans: Sequence[ScanState], policy: Scan) -> ScanVerdict:
    """What the scans of an image's platforms found, if the policy accepts it.

    Raises:
        RefusedError: There are findings at or above the policy's severity.
    """
    counts = sum((Counter(scan.counts) for scan in scans), Counter[str]())
    refused = {severity: counts[severity] for severity in refused_severities(policy.fail_on) if counts[severity]}
    if refused:
        found = ", ".join(f"{count} {severity}" for severity, count in refused.items())
        raise RefusedError(
            f"checking the scan of {image}",
            f"{found} at or above {policy.fail_on}",
            f"see `aws ecr describe-image-scan-findings` for {image.repository}, fix the image, and push it again",
        )
    return ScanVerdict(status=scans[0].status, counts=dict(counts))


def refused_severities(least: Literal["LOW", "MEDIUM", "HIGH", "CRITICAL"]) -> Sequence[str]:
    """The severities at or above one, the worst first."""
    return SEVERITIES[SEVERITIES.index(least) :][::-1]

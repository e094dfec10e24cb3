"""Stage 1 activities: find the image in its registry, wait for its scan, copy it to where the task pulls from."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Literal

from temporalio import activity

from activities.images.messages import CheckScan, CopiedImage, CopyImage, ResolvedImage, ResolveImage, ScanVerdict
from activities.images.origins import ImageOrigins
from activities.images.registries import find_digest, open_registry, require_ecr
from activities.waiting import deadline_after, follower
from slipway.aws.clients import Aws
from slipway.aws.errors import answer_of
from slipway.aws.polling import Describe, Pollers, one_by_one
from slipway.errors import NeedsPersonError, RefusedError, SlipwayError
from slipway.oci.copy import copy_image
from slipway.oci.manifests import ImageRepository, ImageTree, read_tree
from slipway.oci.reference import ImageReference
from slipway.progress import CopyProgress, ScanProgress

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


class ImageActivities:
    """Stage 1.

    Args:
        aws: Where to find AWS.
        origins: Looks who signed an image.
        interval: Seconds between two looks at a scan.
    """

    def __init__(self, aws: Aws, origins: ImageOrigins, interval: float) -> None:
        self._aws = aws
        self._origins = origins
        self._scans = Pollers(self._scans_at, interval)

    @activity.defn
    async def resolve_image(self, request: ResolveImage) -> ResolvedImage:
        """The image as its registry has it, and who signed it. Reads only.

        Raises:
            RefusedError: It is not there, is not named by digest, or is an index without an image; or those whom the spec or the
                policy asks for have not signed it.
        """
        image = require_digest(request.image)
        await find_digest(self._aws, image)
        await self._read_tree(image)
        if request.origin is None:
            return ResolvedImage(image=str(image))
        found = await self._origins.find(request.origin, await self._origins.spec(request.origin))
        return ResolvedImage(image=str(image), found=found.origin, warnings=found.warnings)

    @activity.defn
    async def copy_image(self, request: CopyImage) -> CopiedImage:
        """Copy the image by digest and tag it, so that lifecycle rules keep it; signatures, SBOMs and attestations come along.

        If it is killed while it copies, the retry sends what is missing. Where the tag already names the digest, only signatures,
        SBOMs and attestations that came since are sent.

        Raises:
            RefusedError: The tag already names another image.
        """
        source, repository = require_digest(request.source), repository_of(request.target_repository)
        target = repository.at(source.digest or "")
        if source == target:
            return CopiedImage(image=str(target), copied_blobs=0, skipped_blobs=0, copied_bytes=0)
        await self._require_repository(target)
        async with await open_registry(self._aws, source) as one, await open_registry(self._aws, target) as other:
            counts = await copy_image(
                ImageRepository(one, source.repository),
                ImageRepository(other, target.repository),
                source.digest or "",
                request.tag,
                lambda so_far: activity.heartbeat(CopyProgress.model_validate(asdict(so_far))),
                referrers=request.referrers != "ignore",
            )
        return CopiedImage(
            image=str(target),
            copied_blobs=counts.copied_blobs,
            skipped_blobs=counts.skipped_blobs + counts.mounted_blobs,
            copied_bytes=counts.copied_bytes,
            referrers=counts.referrers,
            other_referrers=counts.other_referrers,
        )

    async def _require_repository(self, target: ImageReference) -> None:
        """Fail early with ECR's error; the registry API's is obscure. Other registries make repositories when pushed to."""
        if target.ecr is None:
            return
        await self._aws.call(
            f"looking for the repository {target.without_reference}",
            self._aws.ecr(target.ecr.region).describe_repositories,
            registryId=target.ecr.account,
            repositoryNames=[target.repository],
        )

    @activity.defn
    @follower
    async def check_scan(self, request: CheckScan) -> ScanVerdict:
        """Waits for the scan of the image, or of each platform's image, and checks it against the policy. Reads only.

        Raises:
            RefusedError: There are findings at or above the policy's severity.
            NeedsPersonError: No scan ended in time.
        """
        image = require_digest(request.image)
        require_ecr(image, f"checking the scan of {image}")
        deadline = deadline_after(request.policy.timeout)
        # ECR scans images, and no index as such.
        parts = [image.at(digest) for digest in (await self._read_tree(image)).images]
        scans = await asyncio.gather(*(self._finished_scan(part, deadline) for part in parts))
        counts = sum((Counter(scan.counts) for scan in scans), Counter[str]())
        refused = {severity: counts[severity] for severity in refused_severities(request.policy.fail_on) if counts[severity]}
        if refused:
            found = ", ".join(f"{count} {severity}" for severity, count in refused.items())
            raise RefusedError(
                f"checking the scan of {image}",
                f"{found} at or above {request.policy.fail_on}",
                f"see `aws ecr describe-image-scan-findings` for {image.repository}, fix the image, and push it again",
            )
        return ScanVerdict(status=scans[0].status, counts=dict(counts))

    async def _read_tree(self, image: ImageReference) -> ImageTree:
        async with await open_registry(self._aws, image) as registry:
            return await read_tree(ImageRepository(registry, image.repository), image.reference)

    async def _finished_scan(self, image: ImageReference, deadline: datetime) -> ScanState:
        tried = f"waiting for the scan of {image}"
        scan = await self._scans.at(image.registry, image.repository).until(
            str(image),
            done=lambda scan: scan.status not in SCAN_RUNS,
            deadline=deadline,
            tell=lambda scan: activity.heartbeat(ScanProgress(status=scan.status)),
        )
        if scan.status in SCAN_DONE:
            return scan
        if scan.status in SCAN_RUNS:
            remedy = "turn on scanning for the repository, start the scan (`aws ecr start-image-scan`), then retry"
            raise NeedsPersonError(tried, f"it is {scan.status} and the time for it (spec.image.scan.timeout) is over", remedy)
        remedy = "start the scan again (`aws ecr start-image-scan`) and retry, or remove spec.image.scan from the spec"
        raise NeedsPersonError(tried, f"{scan.status} {scan.description}".strip(), remedy)

    def _scans_at(self, registry: str | None, repository: str | None) -> Describe[ScanState]:
        del registry, repository  # each repository has a poller; an image's name says both
        return one_by_one(self._scan)

    async def _scan(self, name: str) -> ScanState:
        image = ImageReference.parse(name)
        tried = f"reading the scan of {image}"
        ecr = require_ecr(image, tried)
        try:
            answer = await self._aws.call(
                tried,
                self._aws.ecr(ecr.region).describe_image_scan_findings,
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


def require_digest(image: str) -> ImageReference:
    """The image's name, which must carry a digest.

    Raises:
        RefusedError: It does not, or names no registry.
    """
    remedy = "name the image as <registry>/<repository>@sha256:<digest>"
    try:
        reference = ImageReference.parse(image)
    except ValueError as error:
        raise RefusedError("reading the image's name", str(error), remedy) from error
    if reference.digest is None:
        raise RefusedError("reading the image's name", f"{image} has no digest, and a tag may move", remedy)
    return reference.at(reference.digest)


def repository_of(name: str) -> ImageReference:
    """A repository's name.

    Raises:
        RefusedError: It is none, or names no registry.
    """
    try:
        return ImageReference.parse(name).without_reference
    except ValueError as error:
        raise RefusedError("reading the repository's name", str(error), "correct spec.image.target") from error


def refused_severities(least: Literal["LOW", "MEDIUM", "HIGH", "CRITICAL"]) -> Sequence[str]:
    """The severities at or above one, the worst first."""
    return SEVERITIES[SEVERITIES.index(least) :][::-1]

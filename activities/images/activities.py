"""Stage 1 activities: find the image in its registry, wait for its scan, copy it to where the task pulls from."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from functools import partial

from temporalio import activity

from activities.images.messages import CheckScan, CopiedImage, CopyImage, ResolvedImage, ResolveImage, ScanVerdict
from activities.images.origins import ImageOrigins
from activities.images.registries import find_digest, open_registry, read_image, require_ecr, require_repository
from activities.images.scans import SCAN_RUNS, ScanState, judge_scans, read_scan, require_finished
from activities.waiting import deadline_after, follower
from slipway.aws.clients import Aws
from slipway.aws.looking import Described, Source, one_by_one
from slipway.aws.polling import Polling
from slipway.errors import RefusedError
from slipway.gathering import gather_all
from slipway.oci.copy import copy_image
from slipway.oci.manifests import ImageRepository
from slipway.oci.reference import ImageReference
from slipway.progress import CopyProgress, ScanProgress


class ImageActivities:
    """Stage 1.

    Args:
        aws: Where to find AWS.
        origins: Looks who signed an image.
        polling: How scans are looked at.
    """

    def __init__(self, aws: Aws, origins: ImageOrigins, polling: Polling) -> None:
        self._aws = aws
        self._origins = origins
        self._scans = polling.pollers(self._scans_at)

    @activity.defn
    async def resolve_image(self, request: ResolveImage) -> ResolvedImage:
        """The image as its registry has it, and who signed it. Reads only.

        Raises:
            RefusedError: It is not there, is not named by digest, or is an index without an image; or those whom the spec or the
                policy asks for have not signed it.
        """
        image = require_digest(request.image)
        await find_digest(self._aws, image)
        await read_image(self._aws, image)
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
        await require_repository(self._aws, target)
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
        parts = [image.at(digest) for digest in (await read_image(self._aws, image)).images]
        scans = await gather_all(*(self._finished_scan(part, deadline) for part in parts))
        return judge_scans(image, scans, request.policy)

    async def _finished_scan(self, image: ImageReference, deadline: datetime) -> ScanState:
        tried = f"waiting for the scan of {image}"
        scan = await self._scans.at(image.registry).until(
            str(image),
            done=lambda scan: scan.status not in SCAN_RUNS,
            deadline=deadline,
            tell=lambda scan: activity.heartbeat(ScanProgress(status=scan.status)),
        )
        return require_finished(tried, scan)

    def _scans_at(self, registry: str | None) -> Source[ScanState]:
        del registry  # each has a poller: it is in one account and region; an image's name says which
        return Described(one_by_one(partial(read_scan, self._aws)))


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

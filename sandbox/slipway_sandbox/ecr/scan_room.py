"""ECR's basic scans. What a scan finds is seeded, because there is no scanner here; that it takes time is real."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from slipway_sandbox.calls import Caller
from slipway_sandbox.ecr import errors
from slipway_sandbox.ecr.image_room import ImageId, require, shown_id
from slipway_sandbox.ecr.service import registry_of
from slipway_sandbox.ecr.store import INDEX_TYPES, Image, Repository, Scan, Store
from slipway_sandbox.errors import AwsError
from slipway_sandbox.pages import page
from slipway_sandbox.world import Room, World, dial, operation

DURATION = 30.0
"""Simulated seconds that a scan takes."""
QUOTA = timedelta(hours=24)
"""An image is scanned at most once in this time (AWS: basic scanning)."""


class Finding(BaseModel):
    """One thing that a scan is to find."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    severity: Literal["INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL", "UNDEFINED"]
    description: str | None = None
    uri: str | None = None


class Seed(BaseModel):
    """What scans of a repository's images find; of one image, where a digest is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: str
    repository: str
    region: str = "us-east-1"
    digest: str | None = None
    status: Literal["COMPLETE", "FAILED", "UNSUPPORTED_IMAGE"] = "COMPLETE"
    findings: list[Finding] = Field(default_factory=list[Finding])


class ScanRoom(Room):
    """Scans on push and on demand."""

    service = "ecr"

    def __init__(self, world: World, store: Store) -> None:
        super().__init__(world)
        self._store = store
        self._seeds: dict[tuple[str, str, str, str | None], Seed] = {}
        store.on_push.append(self._on_push)

    def reset(self, account: str | None) -> None:
        """Forget the seeds; scans go with their images."""
        self._seeds = {key: seed for key, seed in self._seeds.items() if account not in (None, seed.account)}

    @dial("scan-findings")
    def seed(self, body: dict[str, Any]) -> dict[str, Any]:
        """Say what later scans find (`Seed`)."""
        seed = Seed.model_validate(body)
        self._seeds[seed.account, seed.region, seed.repository, seed.digest] = seed
        return {}

    @operation("PutImageScanningConfiguration")
    def put_image_scanning_configuration(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Scan on push, or not."""
        repository = self._repository(caller, request)
        repository.scan_on_push = request["imageScanningConfiguration"].get("scanOnPush", False)
        return {
            "registryId": repository.account,
            "repositoryName": repository.name,
            "imageScanningConfiguration": {"scanOnPush": repository.scan_on_push},
        }

    @operation("StartImageScan")
    def start_image_scan(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Scan an image now."""
        repository = self._repository(caller, request)
        image = require(repository, request["imageId"])
        if image.manifest.media_type in INDEX_TYPES:
            raise AwsError("UnsupportedImageTypeException", "The image is of a type that cannot be scanned. Scan its children.")
        if image.scan and self.world.clock.now() - image.scan.started_at < QUOTA:
            raise AwsError("LimitExceededException", "The scan quota per image has been exceeded. Wait and try again.")
        self._scan(repository, image)
        return self._described(repository, image, request["imageId"])

    @operation("DescribeImageScanFindings")
    def describe_image_scan_findings(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """A scan's state, and what it found once it is complete."""
        repository = self._repository(caller, request)
        image = require(repository, request["imageId"])
        scan = image.scan
        if scan is None:
            raise errors.scan_not_found(shown_id(request["imageId"]), repository.name, repository.account)
        answer = self._described(repository, image, request["imageId"])
        if scan.status != "COMPLETE":
            return answer
        findings, more = page(scan.findings, request)
        answer["imageScanFindings"] = {
            "imageScanCompletedAt": scan.completed_at,
            "vulnerabilitySourceUpdatedAt": scan.started_at,
            "findingSeverityCounts": scan.counts(),
            "findings": list(findings),
        }
        return answer | {"nextToken": more}

    def _repository(self, caller: Caller, request: dict[str, Any]) -> Repository:
        return self._store.get(registry_of(caller, request), caller.region, request["repositoryName"])

    def _described(self, repository: Repository, image: Image, image_id: ImageId) -> dict[str, Any]:
        return {
            "registryId": repository.account,
            "repositoryName": repository.name,
            "imageId": {"imageDigest": image.manifest.digest, "imageTag": image_id.get("imageTag")},
            "imageScanStatus": image.scan.described() if image.scan else None,
        }

    def _on_push(self, repository: Repository, image: Image) -> None:
        if repository.scan_on_push and image.scan is None and image.manifest.media_type not in INDEX_TYPES:
            self._scan(repository, image)

    def _scan(self, repository: Repository, image: Image) -> None:
        scan = image.scan = Scan(self.world.clock.now())

        def complete() -> None:
            with self.lock:
                self._complete(repository, image.manifest.digest, scan)

        self.world.clock.call_later(DURATION, complete)

    def _complete(self, repository: Repository, digest: str, scan: Scan) -> None:
        place = (repository.account, repository.region, repository.name)
        seed = self._seeds.get((*place, digest)) or self._seeds.get((*place, None))
        scan.completed_at = self.world.clock.now()
        scan.status = seed.status if seed else "COMPLETE"
        scan.findings = [finding.model_dump(exclude_none=True) for finding in seed.findings] if seed else []

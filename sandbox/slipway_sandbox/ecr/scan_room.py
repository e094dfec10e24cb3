"""ECR's scans, basic and enhanced. There is no scanner: findings are set by dials, and a scan takes simulated time."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Literal

from pydantic import Field

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.core.models import Frozen
from slipway_sandbox.core.world import Room, World, dial, operation
from slipway_sandbox.ecr import errors
from slipway_sandbox.ecr.image_room import ImageId, require, shown_id
from slipway_sandbox.ecr.service import registry_of
from slipway_sandbox.ecr.store import Image, Repository, Scan, Store
from slipway_sandbox.protocol.media_types import INDEX_TYPES
from slipway_sandbox.protocol.pages import page

DURATION = 30.0
"""Simulated seconds that a scan takes."""
QUOTA = timedelta(hours=24)
"""An image is scanned at most once in this time (AWS: basic scanning)."""


class Finding(Frozen):
    """One thing that a scan is to find."""

    name: str
    severity: Literal["INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL", "UNDEFINED"]
    description: str | None = None
    uri: str | None = None


Status = Literal[
    "IN_PROGRESS",
    "COMPLETE",
    "FAILED",
    "UNSUPPORTED_IMAGE",
    "ACTIVE",
    "PENDING",
    "SCAN_ELIGIBILITY_EXPIRED",
    "FINDINGS_UNAVAILABLE",
    "LIMIT_EXCEEDED",
    "IMAGE_SIZE_EXCEEDED",
]


class Seed(Frozen):
    """What scans of a repository's images find; of one image, where a digest is given."""

    account: str
    repository: str
    region: str = "us-east-1"
    digest: str | None = None
    status: Status | None = Field(default=None, description="Unless given: COMPLETE, or ACTIVE where scanning is enhanced.")
    findings: list[Finding] = Field(default_factory=list[Finding])


class ScanRoom(Room):
    """Scans on push and on demand."""

    service = "ecr"

    def __init__(self, world: World, store: Store) -> None:
        super().__init__(world)
        self._store = store
        self._seeds: dict[tuple[str, str, str, str | None], Seed] = {}
        self._configurations: dict[tuple[str, str], dict[str, Any]] = {}
        store.on_push.append(self._on_push)

    def reset(self, account: str | None) -> None:
        """Forget seeds and configurations; scans go with their images."""
        self._seeds = {key: seed for key, seed in self._seeds.items() if account not in (None, key[0])}
        self._configurations = {key: value for key, value in self._configurations.items() if account not in (None, key[0])}

    @dial("scan-findings")
    def seed(self, body: dict[str, Any]) -> dict[str, Any]:
        """Say what later scans find (`Seed`)."""
        seed = Seed.model_validate(body)
        self._seeds[seed.account, seed.region, seed.repository, seed.digest] = seed
        return {}

    @dial("rescan")
    def rescan(self, body: dict[str, Any]) -> dict[str, Any]:
        """As `scan-findings`, and each scanned image that it is about has the new status and findings at once."""
        seed = Seed.model_validate(body)
        self._seeds[seed.account, seed.region, seed.repository, seed.digest] = seed
        repository = self._store.repositories.get((seed.account, seed.region, seed.repository))
        if repository is None:
            return {}
        for digest, image in repository.images.items():
            if image.scan and seed.digest in (None, digest):
                self._complete(repository, digest, image.scan)
        return {}

    @operation(
        "PutRegistryScanningConfiguration",
        differs="wording for a frequency that the scan type lacks is not verified on AWS; no `ECR Scan Resource Change` events",
    )
    def put_registry_scanning_configuration(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Choose between basic and enhanced scanning, and which repositories are scanned when."""
        scan_type, rules = request.get("scanType", "BASIC"), request.get("rules", [])
        allowed = ("SCAN_ON_PUSH", "MANUAL") if scan_type == "BASIC" else ("SCAN_ON_PUSH", "CONTINUOUS_SCAN")
        wrong = [rule["scanFrequency"] for rule in rules if rule["scanFrequency"] not in allowed]
        if wrong:
            raise errors.invalid_parameter("rules", f"{wrong[0]} is no scan frequency of {scan_type} scanning")
        configuration = {"scanType": scan_type, "rules": rules}
        self._configurations[caller.account, caller.region] = configuration
        return {"registryScanningConfiguration": configuration}

    @operation("GetRegistryScanningConfiguration")
    def get_registry_scanning_configuration(self, caller: Caller, _request: dict[str, Any]) -> dict[str, Any]:
        """How the caller's registry is scanned."""
        return {
            "registryId": caller.account,
            "scanningConfiguration": self._configuration(caller.account, caller.region),
        }

    @operation("BatchGetRepositoryScanningConfiguration")
    def batch_get_repository_scanning_configuration(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """How repositories are scanned."""
        found: list[dict[str, Any]] = []
        failures: list[dict[str, Any]] = []
        for name in request["repositoryNames"]:
            repository = self._store.repositories.get((caller.account, caller.region, name))
            if repository is None:
                reason = errors.repository_not_found(name, caller.account).message
                failures.append({"repositoryName": name, "failureCode": "REPOSITORY_NOT_FOUND", "failureReason": reason})
                continue
            frequency, filters = self._frequency(repository)
            found.append(
                {
                    "repositoryArn": repository.arn,
                    "repositoryName": name,
                    "scanOnPush": frequency == "SCAN_ON_PUSH",
                    "scanFrequency": frequency,
                    "appliedScanFilters": filters,
                }
            )
        return {"scanningConfigurations": found, "failures": failures}

    def _configuration(self, account: str, region: str) -> dict[str, Any]:
        return self._configurations.get((account, region), {"scanType": "BASIC", "rules": []})

    def _enhanced(self, repository: Repository) -> bool:
        return self._configuration(repository.account, repository.region)["scanType"] == "ENHANCED"

    def _frequency(self, repository: Repository) -> tuple[str, list[dict[str, str]]]:
        """How often a repository is scanned, and the filters that say so. Of two rules, continuous scanning comes first."""
        rules = self._configuration(repository.account, repository.region)["rules"]
        for frequency in ("CONTINUOUS_SCAN", "SCAN_ON_PUSH"):
            filters = [
                each
                for rule in rules
                if rule["scanFrequency"] == frequency
                for each in rule["repositoryFilters"]
                # A filter without a wildcard fits every name that contains it.
                if fnmatchcase(repository.name, each["filter"] if "*" in each["filter"] else f"*{each['filter']}*")
            ]
            if filters:
                return frequency, filters
        if repository.scan_on_push and not self._enhanced(repository):
            return "SCAN_ON_PUSH", []
        return "MANUAL", []

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

    @operation(
        "StartImageScan",
        differs="there is no scanner: findings are those of the dial `ecr/scan-findings`, none otherwise; a scan "
        "takes 30 simulated seconds",
    )
    def start_image_scan(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Scan an image now."""
        repository = self._repository(caller, request)
        if self._enhanced(repository):
            raise errors.scan_type_refuses()
        image = require(repository, request["imageId"])
        if image.manifest.media_type in INDEX_TYPES:
            raise AwsError("UnsupportedImageTypeException", "The image is of a type that cannot be scanned. Scan its children.")
        if image.scan and self.world.clock.now() - image.scan.started_at < QUOTA:
            raise AwsError("LimitExceededException", "The scan quota per image has been exceeded. Wait and try again.")
        self._scan(repository, image)
        return self._described(repository, image, request["imageId"])

    @operation(
        "DescribeImageScanFindings",
        differs="findings are those of the dials `ecr/scan-findings` and `ecr/rescan`; basic ones have no package "
        "and no score; enhanced ones name the vulnerability and no package",
    )
    def describe_image_scan_findings(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """A scan's state, and what it found once it is complete."""
        repository = self._repository(caller, request)
        image = require(repository, request["imageId"])
        scan = image.scan
        if scan is None:
            raise errors.scan_not_found(shown_id(request["imageId"]), repository.name, repository.account)
        answer = self._described(repository, image, request["imageId"])
        if not scan.has_findings:
            return answer
        findings, more = page(scan.findings, request)
        answer["imageScanFindings"] = {
            "imageScanCompletedAt": scan.completed_at,
            "vulnerabilitySourceUpdatedAt": scan.started_at,
            "findingSeverityCounts": scan.counts(),
            "enhancedFindings" if scan.enhanced else "findings": list(findings),
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
        if image.scan is None and image.manifest.media_type not in INDEX_TYPES and self._frequency(repository)[0] != "MANUAL":
            self._scan(repository, image)

    def _scan(self, repository: Repository, image: Image) -> None:
        enhanced = self._enhanced(repository)
        scan = image.scan = Scan(self.world.clock.now(), "PENDING" if enhanced else "IN_PROGRESS", enhanced=enhanced)

        def complete() -> None:
            with self.lock:
                self._complete(repository, image.manifest.digest, scan)

        self.world.clock.call_later(DURATION, complete)

    def _complete(self, repository: Repository, digest: str, scan: Scan) -> None:
        place = (repository.account, repository.region, repository.name)
        seed = self._seeds.get((*place, digest)) or self._seeds.get((*place, None))
        scan.completed_at = self.world.clock.now()
        scan.status = (seed.status if seed else None) or ("ACTIVE" if scan.enhanced else "COMPLETE")
        seeded = seed.findings if seed else []
        if scan.enhanced:
            scan.findings = [enhanced_finding(finding, repository, digest, scan.completed_at) for finding in seeded]
        else:
            scan.findings = [finding.model_dump(exclude_none=True) for finding in seeded]
        self._tell(repository, digest, scan)

    def _tell(self, repository: Repository, digest: str, scan: Scan) -> None:
        """Tell EventBridge of a scan's end; of an enhanced one it is Amazon Inspector who does."""
        counts = scan.counts()
        detail: dict[str, Any] = {
            "scan-status": scan.status,
            "repository-name": repository.name,
            "finding-severity-counts": counts,
            "image-digest": digest,
            "image-tags": repository.tags_of(digest),
        }
        source, kind = "aws.ecr", "ECR Image Scan"
        if scan.enhanced:
            source, kind = "aws.inspector2", "Inspector2 Scan"
            total = {**counts, "TOTAL": sum(counts.values())}
            detail |= {
                "scan-status": "INITIAL_SCAN_COMPLETE",
                "repository-name": repository.arn,
                "finding-severity-counts": total,
            }
        self.world.events.emit(Caller(repository.account, repository.region, ""), source, kind, detail, [repository.arn])


def enhanced_finding(finding: Finding, repository: Repository, digest: str, at: datetime) -> dict[str, Any]:
    """A finding as Amazon Inspector has it."""
    return {
        "awsAccountId": repository.account,
        "description": finding.description,
        "findingArn": f"arn:aws:inspector2:{repository.region}:{repository.account}:finding/{uuid.uuid4().hex}",
        "firstObservedAt": at,
        "lastObservedAt": at,
        "updatedAt": at,
        "packageVulnerabilityDetails": {"vulnerabilityId": finding.name, "sourceUrl": finding.uri},
        "resources": [{"id": f"{repository.arn}/{digest}", "type": "AWS_ECR_CONTAINER_IMAGE"}],
        "severity": finding.severity,
        "status": "ACTIVE",
        "title": finding.name,
        "type": "PACKAGE_VULNERABILITY",
    }

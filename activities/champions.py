"""What targets serve, and the metrics of packages: of the challenger, and of the champions that it is held against."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Iterable, Mapping, Set
from functools import partial
from typing import TYPE_CHECKING, Any

from activities.endpoints.drift import drift_of
from activities.endpoints.served import SageMakerAccount
from activities.packages import describe_package
from slipway.api import Champion, ModelPackage, ReportFile
from slipway.app.gates import Rival
from slipway.app.reports import REPORT_LIMIT, Measurements, measure, parse_report, together
from slipway.app.spec import Target
from slipway.aws.clients import Aws, object_in_s3, region_of
from slipway.errors import NeedsPersonError, cap
from slipway.gathering import both, gather_bounded

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import DescribeEndpointOutputTypeDef, DescribeModelPackageOutputTypeDef

METRICS_LIMIT = 500
"""Numbers that are kept beside those that gates name: a report may hold whole curves, too large for a workflow's history."""
UNREAD_LIMIT = 300
"""Characters of why a report could not be read."""
PARALLEL_REPORTS = 2
"""Reports that one gathering reads at a time. One may take a hundred megabytes while it is read."""
_REPORTS = (
    ("ModelQuality", "Statistics"),
    ("ModelDataQuality", "Statistics"),
    ("Bias", "Report"),
    ("Bias", "PreTrainingReport"),
    ("Bias", "PostTrainingReport"),
    ("Explainability", "Report"),
)


async def served_at(account: SageMakerAccount, target: Target, package: ModelPackage, variant: str | None) -> Champion:
    """What a target serves, before it is measured.

    Args:
        account: The target's.
        target: The target.
        package: The challenger.
        variant: The variant that is replaced; none for the only one.
    """
    endpoint = await account.endpoint(target.endpoint)
    config = endpoint.get("EndpointConfigName") if endpoint else None
    if endpoint is None or config is None:
        return Champion(target=target, package=None, metrics={})
    served, drift = await both(account.package_of(config, variant, package.arn), _drift(account, endpoint))
    return Champion(target=target, package=served, metrics={}, drift=drift, drifted_to=config if drift else "")


async def _drift(account: SageMakerAccount, endpoint: DescribeEndpointOutputTypeDef) -> str:
    with contextlib.suppress(NeedsPersonError):  # preflight says that the tags cannot be looked at
        return await drift_of(account, endpoint)
    return ""


class PackageMeter:
    """Reads the metrics of packages.

    Args:
        aws: Where to find AWS.
        named: The metrics that gates name.
    """

    def __init__(self, aws: Aws, named: Set[str]) -> None:
        self._aws = aws
        self._named = named

    async def rivals(self, champions: Iterable[Champion], targets: int) -> dict[str, Rival]:
        """The champions by their packages, each measured once.

        Args:
            champions: What the targets serve.
            targets: How many there are: the more, the fewer numbers are kept of each.
        """
        packages = sorted({champion.package for champion in champions if champion.package})
        spare = METRICS_LIMIT // max(targets, 1)
        measured = await gather_bounded(partial(self._rival, spare=spare), packages, PARALLEL_REPORTS)
        return dict(zip(packages, measured, strict=True))

    async def _rival(self, arn: str, spare: int) -> Rival:
        """A champion's metrics, or why there are none: reports expire. That counts only where a gate compares."""
        name = f"the champion {arn.rpartition(':model-package/')[2]}"
        try:
            package = await describe_package(self._aws, arn)
            measured, reports = await self.metrics(package, spare)
        except NeedsPersonError as error:
            return Rival(name=name, unmeasured=f"the champion cannot be measured: {error.report.answered}")
        unmeasured = "" if measured.numbers or reports else "the champion has no evaluation report to compare with"
        return Rival(name=name, measured=measured, unmeasured=unmeasured)

    async def metrics(
        self, package: DescribeModelPackageOutputTypeDef, spare: int = METRICS_LIMIT
    ) -> tuple[Measurements, tuple[ReportFile, ...]]:
        """What the package's reports in S3 and the metadata that it was registered with say; and the reports.

        Args:
            package: The package.
            spare: Numbers that are kept beside those that gates name.

        Raises:
            NeedsPersonError: A report cannot be read, and a metric that a gate names is in none of the others.
        """
        parts = [measure(package.get("CustomerMetadataProperties", {}), self._named, spare)]
        reports: list[ReportFile] = []
        unread: list[NeedsPersonError] = []
        for uri in report_uris(package.get("ModelMetrics", {})):
            try:
                part, report = await self._report(uri, region_of(package["ModelPackageArn"]), spare)
            except NeedsPersonError as error:
                unread.append(error)
                reports.append(ReportFile(uri=uri, sha256="", unread=cap(error.report.answered, UNREAD_LIMIT)))
            else:
                parts.append(part)
                reports.append(report)
        measured = together(parts, self._named, spare)
        if unread and not self._named <= measured.numbers.keys():
            raise unread[0]
        return measured, tuple(reports)

    async def _report(self, uri: str, region: str, spare: int) -> tuple[Measurements, ReportFile]:
        tried = f"reading the metrics {uri}"
        bucket, key = object_in_s3(uri)
        s3 = self._aws.s3(region)

        def read() -> bytes:
            return s3.get_object(Bucket=bucket, Key=key)["Body"].read(REPORT_LIMIT + 1)

        body = await self._aws.call(tried, read)
        try:
            # In a thread, so that the heartbeats of other promotions go on.
            part = await asyncio.to_thread(lambda: measure(parse_report(body), self._named, spare))
        except ValueError as error:
            remedy = "see what the pipeline's evaluation writes; then retry, or abort"
            raise NeedsPersonError(tried, str(error), remedy) from error
        return part, ReportFile(uri=uri, sha256=hashlib.sha256(body).hexdigest())


def report_uris(reports: Mapping[str, Any]) -> list[str]:
    """Where the package's reports are."""
    found = [reports.get(kind, {}).get(part, {}).get("S3Uri") for kind, part in _REPORTS]
    return [uri for uri in found if uri]

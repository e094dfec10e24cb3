"""What an approver looks at: the challenger, the champions, and how the gates compare them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from temporalio import activity

from activities.contents import contents_of
from activities.endpoints.served import SageMakerAccount
from activities.origin import Origin
from activities.registry import describe_package
from activities.repositories import Repositories
from slipway.api import AppRef, Champion, Evidence, Message, ModelPackage, ReportFile, StepReport, TaskdefCommit
from slipway.app.gates import GateResult, compares, evaluate_gates
from slipway.app.reports import REPORT_LIMIT, kept, numbers_of, parse_report
from slipway.app.spec import Gate, Target
from slipway.aws.clients import Aws, region_of
from slipway.errors import NeedsPersonError
from slipway.evidence_hash import hash_of, sha256_of
from slipway.git.rules import app_file

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import DescribeModelPackageOutputTypeDef

METRICS_LIMIT = 500
"""Numbers that are kept beside those that gates name: a report may hold whole curves, too large for a workflow's history."""
PARALLEL_REPORTS = 2
"""Reports that one gathering reads at a time. One may take a hundred megabytes while it is read."""
_REPORTS = (
    ("ModelQuality", "Statistics"),
    ("ModelDataQuality", "Statistics"),
    ("Bias", "Report"),
    ("Explainability", "Report"),
)


class GatherEvidence(Message):
    """Input of `gather_evidence`."""

    promotion_id: str
    app: AppRef
    package: ModelPackage
    gates: tuple[Gate, ...]
    targets: tuple[Target, ...]
    image: str
    taskdef: TaskdefCommit
    steps: tuple[StepReport, ...]
    origin: Origin | None = None
    """Absent where an older release recorded the input."""
    smoke: str | None = None
    """Path of the smoke request's body in the app's folder."""


class EvidenceActivities:
    """The beginning of stage 5.

    Args:
        aws: Where to find AWS.
        repositories: Where smoke requests are read from.
    """

    def __init__(self, aws: Aws, repositories: Repositories) -> None:
        self._aws = aws
        self._repositories = repositories

    @activity.defn
    async def gather_evidence(self, request: GatherEvidence) -> Evidence:
        """Gathers the evidence. Reads only; a gate that is not met is part of the evidence, not an error.

        The hash is over everything else in it: the same findings have the same hash.
        """
        package = await describe_package(self._aws, request.package.arn)
        named = {gate.metric for gate in request.gates}
        metrics, reports = await self._metrics(package, named, METRICS_LIMIT)
        containers = await contents_of(self._aws, package)
        champions = await self._champions(request, named)
        evidence = Evidence(
            hash="",
            package=request.package,
            model_image=containers[0].image if containers else "",
            metrics=metrics,
            champions=tuple(champions),
            gates=judge_gates(request.gates, metrics, champions, request.package.arn),
            image=request.image,
            taskdef=request.taskdef,
            steps=request.steps,
            rollback_plan="\n".join(rollback_of(champion) for champion in champions),
            containers=containers,
            reports=reports,
            smoke=await self._smoke(request),
        )
        found = evidence.model_dump(mode="json")
        return evidence.model_copy(update={"hash": hash_of(found), "sha256": sha256_of(found)})

    async def _smoke(self, request: GatherEvidence) -> str | None:
        if request.smoke is None or request.origin is None:
            return None
        path = app_file(request.app.folder, request.smoke)
        body = await (await self._repositories.open(request.app)).read(request.origin.commit, path)
        return hashlib.sha1(b"blob %d\0" % len(body) + body, usedforsecurity=False).hexdigest()

    async def _champions(self, request: GatherEvidence, named: Collection[str]) -> list[Champion]:
        """What each target serves, every package measured once."""
        served = await asyncio.gather(*(self._served(target, request.package.region) for target in request.targets))
        packages = sorted({package for package in served if package})
        spare = METRICS_LIMIT // max(len(request.targets), 1)
        slots = asyncio.Semaphore(PARALLEL_REPORTS)

        async def measured(package: str) -> tuple[dict[str, float], str]:
            async with slots:
                return await self._measured(package, request.gates, named, spare)

        found = dict(zip(packages, await asyncio.gather(*map(measured, packages)), strict=True))
        champions: list[Champion] = []
        for target, package in zip(request.targets, served, strict=True):
            metrics, unmeasured = found[package] if package else ({}, "")
            champions.append(Champion(target=target, package=package, metrics=metrics, unmeasured=unmeasured))
        return champions

    async def _served(self, target: Target, region: str) -> str | None:
        account = SageMakerAccount(self._aws, target.region or region, target.role_arn)
        endpoint = await account.endpoint(target.endpoint)
        config = endpoint.get("EndpointConfigName") if endpoint else None
        return await account.package_of(config) if config else None

    async def _measured(
        self, arn: str, gates: Sequence[Gate], named: Collection[str], spare: int
    ) -> tuple[dict[str, float], str]:
        """A champion's numbers, or why there are none. Reports expire; that counts only where a gate compares."""
        try:
            package = await describe_package(self._aws, arn)
            metrics, _ = await self._metrics(package, named, spare)
        except NeedsPersonError as error:
            comparing = [gate.metric for gate in gates if compares(gate)]
            if comparing:
                remedy = f"put the champion's report back, or remove maxRegression and minImprovement of {', '.join(comparing)}"
                raise NeedsPersonError(error.report.tried, error.report.answered, remedy) from error
            return {}, f"the champion cannot be measured: {error.report.answered}"
        if not metrics and not report_uris(package.get("ModelMetrics", {})):
            return {}, "the champion has no evaluation report to compare with"
        return metrics, ""

    async def _metrics(
        self, package: DescribeModelPackageOutputTypeDef, named: Collection[str], spare: int
    ) -> tuple[dict[str, float], tuple[ReportFile, ...]]:
        """The numbers of the package's reports in S3 and of the metadata that it was registered with; and the reports."""
        metrics = kept(numbers_of(package.get("CustomerMetadataProperties", {})), named, spare)
        reports: list[ReportFile] = []
        for uri in report_uris(package.get("ModelMetrics", {})):
            numbers, report = await self._report(uri, region_of(package["ModelPackageArn"]), named, spare)
            metrics |= numbers
            reports.append(report)
        return kept(metrics.items(), named, spare), tuple(reports)

    async def _report(self, uri: str, region: str, named: Collection[str], spare: int) -> tuple[dict[str, float], ReportFile]:
        tried = f"reading the metrics {uri}"
        bucket, key = urlsplit(uri).netloc, urlsplit(uri).path.lstrip("/")
        s3 = self._aws.s3(region)

        def read() -> bytes:
            return s3.get_object(Bucket=bucket, Key=key)["Body"].read(REPORT_LIMIT + 1)

        body = await self._aws.call(tried, read)
        try:
            # In a thread, so that the heartbeats of other promotions go on.
            numbers = await asyncio.to_thread(lambda: kept(numbers_of(parse_report(body)), named, spare))
        except ValueError as error:
            remedy = "see what the pipeline's evaluation writes; then retry, or abort"
            raise NeedsPersonError(tried, str(error), remedy) from error
        return numbers, ReportFile(uri=uri, sha256=hashlib.sha256(body).hexdigest())


def report_uris(reports: Mapping[str, Any]) -> list[str]:
    """Where the package's reports are."""
    found = [reports.get(kind, {}).get(part, {}).get("S3Uri") for kind, part in _REPORTS]
    return [uri for uri in found if uri]


def judge_gates(
    gates: Sequence[Gate], metrics: Mapping[str, float], champions: Sequence[Champion], challenger: str
) -> tuple[GateResult, ...]:
    """The gates' results. Where targets have different champions, the challenger is compared with each.

    A target that already serves the challenger is left out.
    """
    rivals = {champion.package: champion for champion in champions if champion.package not in {None, challenger}}
    if not rivals:
        return evaluate_gates(gates, metrics)
    results = [result for rival in rivals.values() for result in _against(rival, gates, metrics)]
    return tuple(dict.fromkeys(results))


def _against(rival: Champion, gates: Sequence[Gate], metrics: Mapping[str, float]) -> tuple[GateResult, ...]:
    if rival.unmeasured:
        return evaluate_gates(gates, metrics, absent=rival.unmeasured)
    return evaluate_gates(gates, metrics, rival.metrics)


def rollback_of(champion: Champion) -> str:
    """What undoing the rollout would restore at a target."""
    name = champion.target.endpoint
    return (
        f"{name}: back to {champion.package}"
        if champion.package
        else f"{name}: back to its former config, or deleted if it is new"
    )

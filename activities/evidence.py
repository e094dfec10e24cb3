"""What an approver looks at: the challenger, the champions, and how the gates compare them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Collection, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from temporalio import activity

from activities.contents import contents_of
from activities.endpoints.drift import drift_of
from activities.endpoints.served import SageMakerAccount
from activities.evidence_size import fitting_champions, fitting_plans, fitting_results
from activities.images.origins import ImageOrigins
from activities.origin import Origin
from activities.packages import describe_package
from activities.repositories import Repositories
from slipway.api import (
    AppRef,
    Champion,
    Evidence,
    ImageOrigin,
    Message,
    ModelPackage,
    ReportFile,
    SpecChange,
    StepReport,
    TaskdefCommit,
)
from slipway.app.durations import format_duration
from slipway.app.gates import GateResult, Rival, evaluate_gates
from slipway.app.reports import REPORT_LIMIT, Measurements, measure, parse_report, together
from slipway.app.spec import SPEC_FILE, Gate, Rollout, Target, Wave
from slipway.app.strategy import Strategy
from slipway.aws.clients import Aws, place_in_s3, region_of
from slipway.aws.patience import patiently
from slipway.errors import NeedsPersonError, cap
from slipway.evidence_hash import hash_of, sha256_of
from slipway.git.rules import app_file
from slipway.text import pluralize

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import DescribeModelPackageOutputTypeDef

METRICS_LIMIT = 500
"""Numbers that are kept beside those that gates name: a report may hold whole curves, too large for a workflow's history."""
PARALLEL_TARGETS = 8
"""Targets that one gathering looks at at a time."""
UNREAD_LIMIT = 300
"""Characters of why a report could not be read."""
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
    smoke_schema: str | None = None
    """Path of its answer's JSON Schema there."""
    rollout: Rollout | None = None
    """How the targets are rolled out. Absent where an older release recorded the input."""
    image_origin: ImageOrigin | None = None
    """Where the image comes from, as the first stage found it; who signed it is looked up anew. None where an older release began
    the promotion: then nobody looks."""
    purpose: str = ""
    """What a rollback is for."""


class EvidenceActivities:
    """The beginning of stage 5.

    Args:
        aws: Where to find AWS.
        repositories: Where smoke requests are read from.
        origins: Looks who signed an image.
    """

    def __init__(self, aws: Aws, repositories: Repositories, origins: ImageOrigins) -> None:
        self._aws = aws
        self._repositories = repositories
        self._origins = origins

    @activity.defn
    async def gather_evidence(self, request: GatherEvidence) -> Evidence:
        """Gathers the evidence. Reads only; a gate that is not met or cannot be read is part of the evidence, not an error.

        The hash is over everything else in it: the same findings have the same hash.
        """
        package = await describe_package(self._aws, request.package.arn)
        named = {gate.metric for gate in request.gates}
        measured, reports = await self._metrics(package, named, METRICS_LIMIT)
        containers = await contents_of(self._aws, package)
        champions, rivals = await self._champions(request, named)
        evidence = Evidence(
            hash="",
            package=request.package,
            model_image=containers[0].image if containers else "",
            metrics=dict(measured.numbers),
            champions=fitting_champions(champions),
            gates=fitting_results(judge_gates(request.gates, measured, rivals)),
            image=request.image,
            taskdef=request.taskdef,
            steps=request.steps,
            rollout_plan=fitting_plans(plans_of(request.rollout)) if request.rollout else (),
            rollback_plan="\n".join(rollback_of(champion) for champion in champions),
            containers=containers,
            reports=reports,
            smoke=await self._blob(request, request.smoke),
            smoke_schema=await self._blob(request, request.smoke_schema),
            spec_change=await self._spec_change(request),
            image_origin=await self._image_origin(request),
            purpose=request.purpose,
        )
        found = evidence.model_dump(mode="json")
        return evidence.model_copy(update={"hash": hash_of(found), "sha256": sha256_of(found)})

    async def _blob(self, request: GatherEvidence, file: str | None) -> str | None:
        """The git blob of a file of the app's."""
        if file is None or request.origin is None:
            return None
        path = app_file(request.app.folder, file)
        body = await (await self._repositories.open(request.app)).read(request.origin.commit, path)
        return hashlib.sha1(b"blob %d\0" % len(body) + body, usedforsecurity=False).hexdigest()

    async def _spec_change(self, request: GatherEvidence) -> SpecChange | None:
        if request.origin is None:
            return None
        path = app_file(request.app.folder, SPEC_FILE)
        change = await (await self._repositories.open(request.app)).last_change(request.origin.commit, path)
        if change is None:
            return None
        return SpecChange(commit=change.commit, author=f"{change.author} <{change.email}>", at=change.time)

    async def _image_origin(self, request: GatherEvidence) -> ImageOrigin | None:
        if request.origin is None or request.image_origin is None:
            return None
        return await self._origins.find_again(request.origin, request.image_origin)

    async def _champions(self, request: GatherEvidence, named: Set[str]) -> tuple[list[Champion], list[Rival]]:
        """What each target serves, and the champions that the challenger is held against. Every package is measured once."""
        looks = asyncio.Semaphore(PARALLEL_TARGETS)

        async def served_at(target: Target) -> Champion:
            async with looks:
                return await patiently(lambda: self._served(target, request))

        served = await asyncio.gather(*map(served_at, request.targets))
        packages = sorted({champion.package for champion in served if champion.package})
        spare = METRICS_LIMIT // max(len(request.targets), 1)
        slots = asyncio.Semaphore(PARALLEL_REPORTS)

        async def measured(package: str) -> Rival:
            async with slots:
                return await self._rival(package, named, spare)

        rivals = dict(zip(packages, await asyncio.gather(*map(measured, packages)), strict=True))
        champions: list[Champion] = []
        for champion in served:
            rival = rivals[champion.package] if champion.package else Rival(name="")
            measured_as = {"metrics": dict(rival.measured.numbers), "unmeasured": rival.unmeasured}
            champions.append(champion.model_copy(update=measured_as))
        # A target that already serves the challenger is no rival of it.
        return champions, [rival for package, rival in rivals.items() if package != request.package.arn]

    async def _served(self, target: Target, request: GatherEvidence) -> Champion:
        """What a target serves, before it is measured."""
        account = SageMakerAccount(self._aws, target.region or request.package.region, target.role_arn)
        endpoint = await account.endpoint(target.endpoint)
        config = endpoint.get("EndpointConfigName") if endpoint else None
        if endpoint is None or config is None:
            return Champion(target=target, package=None, metrics={})
        variant = request.rollout.variant.name if request.rollout else None
        package, drift = await account.package_of(config, variant, request.package.arn), ""
        with contextlib.suppress(NeedsPersonError):  # preflight says that the tags cannot be looked at
            drift = await drift_of(account, endpoint)
        return Champion(target=target, package=package, metrics={}, drift=drift, drifted_to=config if drift else "")

    async def _rival(self, arn: str, named: Set[str], spare: int) -> Rival:
        """A champion's metrics, or why there are none: reports expire. That counts only where a gate compares."""
        name = f"the champion {arn.rpartition(':model-package/')[2]}"
        try:
            package = await describe_package(self._aws, arn)
            measured, reports = await self._metrics(package, named, spare)
        except NeedsPersonError as error:
            return Rival(name=name, unmeasured=f"the champion cannot be measured: {error.report.answered}")
        unmeasured = "" if measured.numbers or reports else "the champion has no evaluation report to compare with"
        return Rival(name=name, measured=measured, unmeasured=unmeasured)

    async def _metrics(
        self, package: DescribeModelPackageOutputTypeDef, named: Set[str], spare: int
    ) -> tuple[Measurements, tuple[ReportFile, ...]]:
        """What the package's reports in S3 and the metadata that it was registered with say; and the reports.

        Raises:
            NeedsPersonError: A report cannot be read, and a metric that a gate names is in none of the others.
        """
        parts = [measure(package.get("CustomerMetadataProperties", {}), named, spare)]
        reports: list[ReportFile] = []
        unread: list[NeedsPersonError] = []
        for uri in report_uris(package.get("ModelMetrics", {})):
            try:
                part, report = await self._report(uri, region_of(package["ModelPackageArn"]), named, spare)
            except NeedsPersonError as error:
                unread.append(error)
                reports.append(ReportFile(uri=uri, sha256="", unread=cap(error.report.answered, UNREAD_LIMIT)))
            else:
                parts.append(part)
                reports.append(report)
        measured = together(parts, named, spare)
        if unread and not named <= measured.numbers.keys():
            raise unread[0]
        return measured, tuple(reports)

    async def _report(self, uri: str, region: str, named: Collection[str], spare: int) -> tuple[Measurements, ReportFile]:
        tried = f"reading the metrics {uri}"
        bucket, key = place_in_s3(uri)
        s3 = self._aws.s3(region)

        def read() -> bytes:
            return s3.get_object(Bucket=bucket, Key=key)["Body"].read(REPORT_LIMIT + 1)

        body = await self._aws.call(tried, read)
        try:
            # In a thread, so that the heartbeats of other promotions go on.
            part = await asyncio.to_thread(lambda: measure(parse_report(body), named, spare))
        except ValueError as error:
            remedy = "see what the pipeline's evaluation writes; then retry, or abort"
            raise NeedsPersonError(tried, str(error), remedy) from error
        return part, ReportFile(uri=uri, sha256=hashlib.sha256(body).hexdigest())


def report_uris(reports: Mapping[str, Any]) -> list[str]:
    """Where the package's reports are."""
    found = [reports.get(kind, {}).get(part, {}).get("S3Uri") for kind, part in _REPORTS]
    return [uri for uri in found if uri]


def judge_gates(gates: Sequence[Gate], challenger: Measurements, rivals: Sequence[Rival]) -> tuple[GateResult, ...]:
    """The gates' results. Where targets have different champions, the challenger is compared with each."""
    if not rivals:
        return evaluate_gates(gates, challenger)
    results = [result for rival in rivals for result in evaluate_gates(gates, challenger, rival)]
    return tuple(dict.fromkeys(results))


ON_FAILURE = {"stop": "; a failure stops there", "rollbackWave": "; a failure puts the wave back", "rollbackAll": ""}
"""What the plan says of a failure. That everything goes back is said by the rollback plan."""


def plans_of(rollout: Rollout) -> tuple[str, ...]:
    """How each target is rolled out, wave by wave."""
    how = f"{traffic_of(rollout.strategy)}{ON_FAILURE[rollout.on_failure]}"
    number = len(rollout.waves)
    return tuple(
        f"wave {at} of {number}{pace_of(wave)}: {how}" for at, wave in enumerate(rollout.waves, start=1) for _ in wave.targets
    )


def pace_of(wave: Wave) -> str:
    """When a wave begins, and how many of its targets are rolled out at the same time."""
    soak = f", {format_duration(wave.soak)} after the one before" if wave.soak else ""
    return f"{soak}, {wave.max_concurrency} at a time" if wave.max_concurrency else soak


def traffic_of(strategy: Strategy) -> str:
    """How traffic moves to a new model, and what moves it back."""
    steps = "all traffic at once"
    if strategy.canary:
        steps = f"{strategy.canary.percent} % of the traffic, the rest after {format_duration(strategy.canary.wait)}"
    elif strategy.linear:
        steps = f"{strategy.linear.percent} % of the traffic every {format_duration(strategy.linear.wait)}"
    elif rolling := strategy.rolling:
        batch = pluralize(rolling.instances, "instance") if rolling.instances else f"{rolling.percent} % of the fleet"
        steps = f"{batch} at a time, each watched for {format_duration(rolling.wait)}"
    bake = f", the old fleet stays for {format_duration(strategy.bake)}" if strategy.bake else ""
    alarms = f"back on the alarm {' or '.join(strategy.alarms)}" if strategy.alarms else "no alarm takes it back"
    metrics = "".join(f", or where it breaches {metric.words}" for metric in strategy.metrics)
    return f"{steps}{bake}, {alarms}{metrics}"


def rollback_of(champion: Champion) -> str:
    """What undoing the rollout would restore at a target."""
    name = champion.target.endpoint
    return (
        f"{name}: back to {champion.package}"
        if champion.package
        else f"{name}: back to its former config, or deleted if it is new"
    )

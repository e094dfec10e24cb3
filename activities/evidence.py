"""What an approver looks at: the challenger, the champions, and how the gates compare them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Set

from temporalio import activity

from activities.champions import PackageMeter, served_at
from activities.contents import contents_of
from activities.endpoints.outlook import TARGETS_AT_ONCE, TargetOutlook, look_ahead
from activities.endpoints.plan import asked_at
from activities.evidence_size import fitting_champions, fitting_findings, fitting_plans, fitting_results
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
    SpecChange,
    StepReport,
    TaskdefCommit,
)
from slipway.app.durations import format_duration
from slipway.app.gates import GateResult, Rival, evaluate_gates
from slipway.app.reports import Measurements
from slipway.app.spec import SPEC_FILE, Gate, Rollout, Target, Wave
from slipway.app.strategy import Strategy
from slipway.aws.clients import Aws
from slipway.aws.patience import patiently
from slipway.evidence_hash import hash_of, sha256_of
from slipway.findings import Finding
from slipway.gathering import gather_bounded
from slipway.git.rules import app_file
from slipway.text import pluralize


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
    differences: bool = False
    """Whether the evidence says what changes at each endpoint. Not where an older release recorded the input: its hash stays."""


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
        measured, reports = await PackageMeter(self._aws, named).metrics(package)
        containers = await contents_of(self._aws, package)
        champions, rivals, fallbacks = await self._champions(request, named)
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
            findings=fitting_findings(fallbacks) if request.differences else None,
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

    async def _champions(self, request: GatherEvidence, named: Set[str]) -> tuple[list[Champion], list[Rival], list[Finding]]:
        """What each target serves, the champions that the challenger is held against, and where the spec is not followed."""
        variant = request.rollout.variant.name if request.rollout else None

        async def seen_at(target: Target) -> tuple[Champion, TargetOutlook | None]:
            champion = await patiently(lambda: served_at(self._aws, target, request.package, variant))
            is_done = champion.package == request.package.arn
            return champion, None if is_done else await patiently(lambda: self._outlook(target, request))

        seen = await gather_bounded(seen_at, request.targets, TARGETS_AT_ONCE)
        rivals = await PackageMeter(self._aws, named).rivals((champion for champion, _ in seen), len(request.targets))
        champions: list[Champion] = []
        for champion, outlook in seen:
            rival = rivals[champion.package] if champion.package else Rival(name="")
            found = {"metrics": dict(rival.measured.numbers), "unmeasured": rival.unmeasured}
            champions.append(champion.model_copy(update={**found, "changes": outlook.changes if outlook else ()}))
        fallbacks = [finding for _, outlook in seen if outlook for finding in outlook.fallbacks]
        # A target that already serves the challenger is no rival of it.
        return champions, [rival for package, rival in rivals.items() if package != request.package.arn], fallbacks

    async def _outlook(self, target: Target, request: GatherEvidence) -> TargetOutlook | None:
        if request.rollout is None or not request.differences:
            return None
        return await look_ahead(
            self._aws, asked_at(target, request.rollout, request.package, request.promotion_id), asks_people=True
        )


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

"""What an approver looks at: the challenger, the champions, and how the gates compare them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence, Set

from temporalio import activity

from activities.champions import PackageMeter, served_at
from activities.contents import contents_of
from activities.endpoints.outlook import TARGETS_AT_ONCE, TargetOutlook, look_ahead
from activities.endpoints.plan import asked_at
from activities.endpoints.served import Looks, SageMakerAccount
from activities.evidence_size import fitting_champions, fitting_findings, fitting_plans, fitting_results
from activities.guard import known_origin
from activities.images.origins import ImageOrigins
from activities.origin import Origin
from activities.plans.ahead import app_of, what_would_stop
from activities.repositories import Repositories
from activities.rollout_plans import plans_of
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
from slipway.app.gates import GateResult, Rival, evaluate_gates
from slipway.app.reports import Measurements
from slipway.app.spec import SPEC_FILE, Gate, Rollout, Target
from slipway.aws.clients import Aws
from slipway.aws.patience import patiently
from slipway.evidence_hash import hash_of, sha256_of
from slipway.findings import Finding, FindingList
from slipway.gathering import gather_bounded
from slipway.git.rules import app_file


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
    ahead: bool = False
    """Whether the same look finds what would stop the rollout. Older releases looked again for that."""


Evidence.model_rebuild()  # its module defines its parts behind it, where a class that derives from it does not look


class GatheredEvidence(Evidence):
    """Result of `gather_evidence`."""

    ahead: FindingList | None = None
    """What would stop the rollout, or may. No hash is over it. None where it was not asked for, and from older releases."""

    @property
    def evidence(self) -> Evidence:
        """The evidence alone."""
        return Evidence.model_validate({name: getattr(self, name) for name in Evidence.model_fields})


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
    async def gather_evidence(self, request: GatherEvidence) -> GatheredEvidence:
        """Gathers the evidence. Reads only; a gate that is not met or cannot be read is part of the evidence, not an error.

        The hash is over everything else in it: the same findings have the same hash.
        """
        looks = Looks(self._aws)
        evidence = await self._evidence(request, looks)
        ahead: FindingList | None = None
        if request.ahead:
            origin = known_origin("gather_evidence", request.origin)
            app = await app_of(await self._repositories.open(origin.app), origin)
            ahead = await what_would_stop(looks, origin, app, request.package)
        return GatheredEvidence.model_validate({**dict(evidence), "ahead": ahead})

    async def _evidence(self, request: GatherEvidence, looks: Looks) -> Evidence:
        package = await looks.package(request.package.arn)
        named = {gate.metric for gate in request.gates}
        (measured, reports), containers, (champions, rivals, fallbacks), image_origin = await asyncio.gather(
            PackageMeter(self._aws, named).metrics(package),
            contents_of(self._aws, package),
            self._champions(request, named, looks),
            self._image_origin(request),
        )
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
            image_origin=image_origin,
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

    async def _champions(
        self, request: GatherEvidence, named: Set[str], looks: Looks
    ) -> tuple[list[Champion], list[Rival], list[Finding]]:
        """What each target serves, the champions that the challenger is held against, and where the spec is not followed."""
        variant = request.rollout.variant.name if request.rollout else None

        async def seen_at(target: Target) -> tuple[Champion, TargetOutlook | None]:
            account = looks.at(target.region or request.package.region, target.role_arn)
            champion = await patiently(lambda: served_at(account, target, request.package, variant))
            is_done = champion.package == request.package.arn
            return champion, None if is_done else await patiently(lambda: self._outlook(account, target, request))

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

    @staticmethod
    async def _outlook(account: SageMakerAccount, target: Target, request: GatherEvidence) -> TargetOutlook | None:
        if request.rollout is None or not request.differences:
            return None
        return await look_ahead(
            account, asked_at(target, request.rollout, request.package, request.promotion_id), asks_people=True
        )


def judge_gates(gates: Sequence[Gate], challenger: Measurements, rivals: Sequence[Rival]) -> tuple[GateResult, ...]:
    """The gates' results. Where targets have different champions, the challenger is compared with each."""
    if not rivals:
        return evaluate_gates(gates, challenger)
    results = [result for rival in rivals for result in evaluate_gates(gates, challenger, rival)]
    return tuple(dict.fromkeys(results))


def rollback_of(champion: Champion) -> str:
    """What undoing the rollout would restore at a target."""
    name = champion.target.endpoint
    return (
        f"{name}: back to {champion.package}"
        if champion.package
        else f"{name}: back to its former config, or deleted if it is new"
    )

"""Checks at the effect that people approved it, or that the gates did where they alone decide.

What the workflow says is not believed, for anybody who can reach Temporal may run one. So everything is looked at again: the keys
and the list of approvers as they are now, the promotion's first run as the server knows it, and the evidence, by its checksum.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from pydantic import ValidationError
from temporalio import activity

from activities.approvers import Approvers
from activities.endpoints.messages import Approved, EndpointPlan
from activities.evidence import GatherEvidence
from activities.origin import Origin
from activities.promotions import evidence_of, first_run_of, is_run_of, sender_of
from activities.records import RecordServed
from activities.registry import SetApproval
from slipway.api import Decision, Evidence, IdentityLevel, Message, ModelPackage, SignedCommand, TaskdefCommit
from slipway.app.lint import App
from slipway.app.regions import region_of_app
from slipway.app.spec import Approval
from slipway.decisions.command import Delivery
from slipway.decisions.document import parse_document, targets_of
from slipway.decisions.subject import DecisionSubject
from slipway.errors import ChangedSinceApprovalError, NeedsPersonError, RefusedError
from slipway.kept import Kept
from slipway.people import fold_name, same_person
from slipway.temporal.principals import is_of

Gather = Callable[[GatherEvidence], Awaitable[Evidence]]
"""Gathers evidence from AWS and git."""
JUDGED_FOR = 60.0
"""Seconds for which the gates of one package are not judged again: each target of a wave has two effects."""
JUDGED_FOR_EACH = 1.0
"""Seconds more for each target: judging them all takes some calls of AWS for each, and a rollout to hundreds takes an hour."""
KEPT = 64
"""Packages whose verdict is kept."""
ASK_AGAIN = "retry asks the approvers again; abort ends the promotion"


class Vote(Message):
    """One approval that was checked."""

    by: str
    evidence: str
    """The checksum that it names, or its first digits."""
    key: str
    """The fingerprint of the key, or the principal."""


class Approvals:
    """The approvals of promotions.

    Args:
        approvers: Who may decide, and by which keys.
        gather: Gathers the evidence anew.
    """

    def __init__(self, approvers: Approvers, gather: Gather) -> None:
        self._approvers = approvers
        self._gather = gather
        self._judged: Kept[tuple[str, str], float] = Kept(KEPT)
        self._judging: Kept[tuple[str, str], asyncio.Lock] = Kept(KEPT)

    async def require_package(self, origin: Origin, app: App, request: SetApproval) -> None:
        """Checks that a package may be approved in the registry.

        Args:
            origin: The promotion.
            app: The application at the promotion's commit.
            request: What is asked for, with the approvals as the workflow hands them on.

        Raises:
            NeedsPersonError: The gates alone decide, and one is not met.
            ChangedSinceApprovalError: Not enough approvals count now, or the evidence is not what was approved.
        """
        if app.spec.spec.approval.mode == "auto":
            await self._judge(origin, app, request.package)
        elif approved := await self._require_votes(origin, app, request.package, request.decisions, request.deliveries):
            # All that can be looked up is, so that nobody approves what a worker other than this one made up.
            now = await self._gather(_gathering(origin, app, request.package, approved))
            _require_same(f"gathering the evidence of {request.package.arn} again", now.sha256, approved.sha256)

    async def require_plan(self, origin: Origin, app: App, plan: EndpointPlan) -> None:
        """Checks that a rollout may bring its package to its target.

        Raises:
            NeedsPersonError: The gates alone decide, and one is not met.
            ChangedSinceApprovalError: Not enough approvals count now, or what was approved is something else.
        """
        if app.spec.spec.approval.mode == "auto":
            await self._judge(origin, app, plan.package)
            return
        given = plan.approved or Approved(containers=(), champion=None)
        evidence = await self._require_votes(origin, app, plan.package, given.decisions, given.deliveries)
        if evidence is None:
            return
        champions = {champion.target: champion.package for champion in evidence.champions}
        _require_same(
            f"comparing the rollout to {plan.target.endpoint} with the evidence that was approved",
            (given.containers, given.champion),
            (evidence.containers, champions.get(plan.target)),
        )

    async def require_record(self, origin: Origin, app: App, request: RecordServed) -> None:
        """Checks that a package may be recorded as served: that it was approved. Where the gates alone decided, its rollout did.

        Raises:
            ChangedSinceApprovalError: Not enough approvals count now.
        """
        if app.spec.spec.approval.mode == "manual":
            await self._require_votes(origin, app, request.package, request.decisions, request.deliveries)

    async def _require_votes(
        self,
        origin: Origin,
        app: App,
        package: ModelPackage,
        decisions: Sequence[SignedCommand],
        deliveries: Sequence[Delivery],
    ) -> Evidence | None:
        """The evidence that enough people approved; none where the policy takes their word for who they are."""
        entry, pinned = await self._approvers.entry(origin), app.spec.spec.approval
        if entry.approval.level is IdentityLevel.claimed:
            return None
        try:
            run = await first_run_of(origin.promotion_id)
            votes = [await self._signed(origin, app, package, run, each) for each in decisions]
            if entry.approval.level is IdentityLevel.temporal:
                votes += [await _sent(origin, run, each) for each in deliveries]
            head = await self._approvers.listed_now(origin)
            for vote in votes:
                _require_approver(vote.by, pinned, origin)
                _require_approver(vote.by, head, origin)
            _require_quorum(votes, max(pinned.quorum, head.quorum, entry.approval.quorum))
        except RefusedError as error:
            report = error.report
            raise ChangedSinceApprovalError(report.tried, report.answered, f"{report.remedy}; {ASK_AGAIN}") from error
        evidence = await evidence_of(origin.promotion_id, votes[0].evidence)
        for vote in votes:
            _require_same(f"reading the approval by {vote.by}", evidence.sha256.startswith(vote.evidence), True)
        _require_same("comparing the package with the evidence that was approved", package.arn, evidence.package.arn)
        return evidence

    async def _signed(self, origin: Origin, app: App, package: ModelPackage, run: str, signed: SignedCommand) -> Vote:
        """An approval that was signed."""
        document = parse_document(signed.document)
        tried = f"reading the approval by {document.by}"
        if document.kind != "approve":
            raise RefusedError(tried, f"the document says {document.kind}", "sign an approval")
        subject = _subject(origin, app, package, run).model_copy(update={"evidence": document.evidence})
        if objection := subject.objection_to(document, datetime.now(UTC)):
            raise RefusedError(tried, objection, "sign it again")
        signer = await self._approvers.signer_of(origin, signed, document)
        return Vote(by=document.by, evidence=document.evidence, key=signer.fingerprint)

    async def _judge(self, origin: Origin, app: App, package: ModelPackage) -> None:
        """Judge the gates, where they alone decide."""
        key = (package.arn, origin.commit)
        lasts = JUDGED_FOR + JUDGED_FOR_EACH * len(app.spec.spec.rollout.targets)
        # One at a time: the targets of a wave come together, and each gathering looks at all of them.
        async with self._judging.get_or_make(key, asyncio.Lock):
            now = time.monotonic()
            judged_at = self._judged.get(key)
            if judged_at is not None and now < judged_at + lasts:
                return
            evidence = await self._gather(_gathering(origin, app, package))
            missed = [f"{gate.metric}: {gate.message}" for gate in evidence.gates if not gate.passed]
            if missed:
                tried = f"judging the gates of {package.arn}, which decide alone"
                raise NeedsPersonError(tried, "; ".join(missed), "abort, and start again with a model that meets them")
            self._judged[key] = now


def _gathering(origin: Origin, app: App, package: ModelPackage, signed: Evidence | None = None) -> GatherEvidence:
    """What evidence to gather. The steps of the promotion, which are no part of what is judged, are taken over."""
    spec = app.spec.spec
    image = f"{spec.image.target}@{origin.request.digest}"
    return GatherEvidence(
        promotion_id=origin.promotion_id,
        app=origin.app,
        package=package,
        gates=spec.gates,
        targets=spec.rollout.targets,
        image=image,
        taskdef=signed.taskdef if signed else TaskdefCommit(commit="", changed=False, file="", before="", after=""),
        steps=signed.steps if signed else (),
        origin=origin,
        smoke=spec.rollout.smoke.payload if spec.rollout.smoke else None,
        smoke_schema=spec.rollout.smoke.answer_schema if spec.rollout.smoke else None,
        rollout=spec.rollout,
        image_origin=signed.image_origin if signed else None,
        differences=signed is not None and signed.findings is not None,
    )


async def _sent(origin: Origin, run: str, sent: Delivery) -> Vote:
    """An approval whose sender Temporal's server names."""
    tried = f"looking for who sent the signal {sent.signal} to {origin.promotion_id}"
    try:
        decision = Decision.model_validate(sent.payload)
    except ValidationError as error:
        raise RefusedError(tried, "it is no decision", "send it again") from error
    of_promotion = await is_run_of(origin.promotion_id, sent.run, run)
    principal = await sender_of(origin.promotion_id, sent) if of_promotion and sent.signal == "approve" else ""
    if not is_of(principal, decision.by):
        raise RefusedError(tried, f"the server names {principal or 'nobody'}, and not {decision.by}", "send it again")
    return Vote(by=decision.by, evidence=decision.evidence, key=principal)


def _subject(origin: Origin, app: App, package: ModelPackage, run: str) -> DecisionSubject:
    """What a document has to be about, but for its evidence."""
    spec = app.spec.spec
    return DecisionSubject.of(
        origin.app,
        namespace=activity.info().workflow_namespace or "",
        promotion=origin.promotion_id,
        run=run,
        spec_commit=origin.commit,
        package=package.arn,
        targets=targets_of(spec.rollout.targets, region_of_app(app.spec, app.pipecd.ecs)),
    )


def _require_quorum(votes: Sequence[Vote], quorum: int) -> None:
    """One person with two keys counts once, and so do two names with one key."""
    people = min(len({fold_name(vote.by) for vote in votes}), len({vote.key for vote in votes}))
    if people < quorum:
        answered = f"{people} of {quorum} approved it in a way that the worker's policy counts"
        raise RefusedError("counting the people who approved", answered, "ask more approvers, each with a key of their own")


def _require_same(tried: str, found: object, signed: object) -> None:
    if found != signed:
        raise ChangedSinceApprovalError(tried, "it is not what was approved", f"see what changed; {ASK_AGAIN}")


def _require_approver(name: str, rules: Approval, origin: Origin) -> None:
    tried = f"looking for {name} among the approvers"
    if not any(same_person(name, each) for each in rules.approvers):
        listed = ", ".join(rules.approvers) or "nobody"
        raise RefusedError(tried, f"the approvers are {listed}", "one of them decides")
    own = (origin.request.requested_by, origin.request.commit_author)
    if not rules.self_approval and any(same_person(name, each) for each in own if each):
        raise RefusedError(tried, f"{name} asked for this promotion or wrote its source commit", "another approver decides")

"""What a promotion would find at its targets: each endpoint, and the champions that its gates compare with."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass

from activities.access.activities import AccountsFound
from activities.access.roles import Worker
from activities.champions import PackageMeter, served_at
from activities.collecting import Collector
from activities.endpoints.outlook import TARGETS_AT_ONCE, TargetOutlook, look_ahead, package_to_come
from activities.endpoints.plan import asked_at
from activities.endpoints.served import Looks
from slipway.api import Champion, ModelPackage
from slipway.app.gates import GateBar, bars_of
from slipway.app.spec import SPEC_FILE, Spec, Target
from slipway.aws.patience import patiently
from slipway.errors import NeedsPersonError
from slipway.findings import Finding, Level
from slipway.gathering import gather_bounded

UNREADABLE = "no model could be held against the gate: the promotion would stop at its approval, after the training"


@dataclass(frozen=True)
class TargetFound:
    """What was found at one target. Nothing where its role cannot be assumed."""

    target: Target
    outlook: TargetOutlook | None = None
    champion: Champion | None = None

    @property
    def obstacles(self) -> tuple[Finding, ...]:
        """What would stop the rollout to it, or may."""
        return self.outlook.obstacles if self.outlook else ()


class TargetLook:
    """Looks at all targets of an application.

    Args:
        looks: The look that this one is a part of.
        spec: The application's.
        region: The region of targets that name none.
        promotion_id: The promotion.
    """

    def __init__(self, looks: Looks, spec: Spec, region: str, promotion_id: str) -> None:
        self._looks = looks
        self._spec = spec
        self._region = region
        self._promotion_id = promotion_id

    async def all(self, package: ModelPackage | None, accounts: AccountsFound) -> tuple[TargetFound, ...]:
        """What is found at each target, in the order of the spec.

        Args:
            package: The package to roll out; none before there is one.
            accounts: What was found of the targets' accounts.
        """
        brought = package or package_to_come(self._group(accounts.worker))

        async def one(target: Target) -> TargetFound:
            if target.role_arn in accounts.closed:
                return TargetFound(target)
            return await patiently(lambda: self._look(target, brought))

        return tuple(await gather_bounded(one, self._spec.rollout.targets, TARGETS_AT_ONCE))

    async def _look(self, target: Target, package: ModelPackage) -> TargetFound:
        rollout = self._spec.rollout
        asked = asked_at(target, rollout, package, self._promotion_id, self._region)
        account, champion = self._looks.at(asked.region, target.role_arn), None
        with contextlib.suppress(NeedsPersonError):  # the outlook says so
            champion = await served_at(account, target, package, rollout.variant.name)
        if champion and champion.package == package.arn:
            return TargetFound(target, champion=champion)  # an earlier try of this promotion has rolled it out
        outlook = await look_ahead(account, asked, asks_people=self._spec.approval.mode == "manual")
        return TargetFound(target, outlook, champion)

    async def bars(self, found: Collection[TargetFound], collector: Collector) -> tuple[GateBar, ...]:
        """What the gates will ask of the new model. One that no model could be held against is a finding.

        Args:
            found: What was found at the targets.
            collector: Keeps it.
        """
        gates = self._spec.gates
        compares = any(gate.max_regression is not None or gate.min_improvement is not None for gate in gates)
        champions = [each.champion for each in found if each.champion] if compares else []
        meter = PackageMeter(self._looks.aws, {gate.metric for gate in gates})
        rivals = await patiently(lambda: meter.rivals(champions, len(found)))
        bars = bars_of(gates, tuple(rivals.values()))
        for bar in (bar for bar in bars if bar.problem):
            what, where = f"gate {bar.metric} ({bar.rule}): {bar.problem}", f"{SPEC_FILE}: spec.gates"
            remedy = "see why the champion has no such number; or write unmeasuredChampion: pass on the gate"
            collector.add(Finding(level=Level.refuse, what=what, where=where, why=UNREADABLE, remedy=remedy))
        return bars

    def _group(self, worker: Worker) -> str:
        """The ARN of the package group."""
        group = self._spec.model.package_group
        if group.startswith("arn:"):
            return group
        return f"arn:{worker.arn.split(':')[1]}:sagemaker:{self._region}:{worker.account}:model-package-group/{group}"

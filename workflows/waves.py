"""Stage 6: wave by wave, each target in a child workflow of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from temporalio import workflow
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from activities.endpoints.activities import EndpointActivities
    from activities.endpoints.messages import (
        Approved,
        PlanRollout,
        Preflight,
        RestoreEndpoint,
        RolloutEnd,
        RolloutRequest,
        RolloutResult,
    )
    from activities.origin import Origin
    from slipway.api import StageName, rollout_queue
    from slipway.app.spec import Target, Wave
    from slipway.temporal import search_attributes as attributes
    from slipway.text import pluralize

from workflows.activity_options import READ, shown
from workflows.compensations import Planned, RestoreTarget
from workflows.rollout import RolloutWorkflow
from workflows.setbacks import Failed, Setbacks
from workflows.soak import Soak, Wait
from workflows.state import PromotionState, TargetRollout, known

NAMES_SHOWN = 10
"""Endpoints that a stage's line names."""


def named(requests: Sequence[RolloutRequest]) -> str:
    """The endpoints of some rollouts, as many as fit into a line."""
    names = [request.plan.target.endpoint for request in requests]
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


class Waves:
    """The rollout of one package. `run` may be called again after a failure, or in a new run: it goes on where it was.

    A child that fails parks the stage of its parent, and has no parking of its own: an operator looks in one place, and all
    compensations are in one place too. So the parent looks at each target first: it has to know the former config before a child
    changes it, and after a second try.

    Args:
        origin: What the worker checks each effect by.
        state: The promotion's.
        summarize: Shows what came of the stage so far.
        notice: Keeps a line for people.
        wait: Waits for a condition or a time, if need be in a new run.
        breathe: Goes on in a new run, if need be.
    """

    def __init__(
        self,
        origin: Origin,
        state: PromotionState,
        summarize: Callable[[str], None],
        notice: Callable[[str], None],
        wait: Wait,
        breathe: Callable[[], None],
    ) -> None:
        self._origin = origin
        self._state = state
        self._summarize = summarize
        self._notice = notice
        self._breathe = breathe
        self._app = known(state.app)
        self._package = known(state.package)
        self._soak = Soak(origin, state, summarize, wait)
        self._setbacks = Setbacks(origin, state, summarize)
        self._positions = {rollout.request.plan.target: at for at, rollout in enumerate(state.rollouts)}
        """By target: its place among the rollouts."""
        self._planned: set[Target] = set()
        """The targets that this try has looked at."""
        self._champions = {champion.target: champion.package for champion in known(state.evidence).champions}

    async def run(self) -> None:
        """Roll out what is not rolled out yet.

        Raises:
            EndedError: A target did not keep the new model, and everything goes back.
            ApplicationError: The same, and the promotion parks.
        """
        waves = self._app.spec.spec.rollout.waves
        for number, wave in enumerate(waves, start=1):
            if all(map(self._is_served, wave.targets)):
                continue
            self._breathe()
            if failed := await self._soak.before(number, wave):
                await self._setbacks.act_on(failed)
            await self._roll_out(wave)
            self._state.wave_complete_at = workflow.now()
        self._summarize(f"version {self._package.version} on {pluralize(len(self._state.served), 'endpoint')}")

    async def _roll_out(self, wave: Wave) -> None:
        positions = [await self._plan(target) for target in wave.targets if not self._is_served(target)]
        requests = [self._state.rollouts[position].request for position in positions]
        self._summarize(f"updating {named(requests)}")
        # Each that has begun comes to rest before any of them is judged: an abort is what stops them together.
        results = await self._run_children(requests, wave.max_concurrency or len(requests))
        ended = [
            (position, result) for position, result in zip(positions, results, strict=True) if isinstance(result, RolloutResult)
        ]
        self._state.serve({position: result.served for position, result in ended if result.end is RolloutEnd.served})
        failed = [
            Failed(self._state.rollouts[position].request.plan.target, f"{result.served.endpoint}: {result.reason}")
            for position, result in ended
            if result.end is not RolloutEnd.served
        ]
        if failed:
            await self._setbacks.act_on(failed)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _run_children(self, requests: Sequence[RolloutRequest], at_once: int) -> list[RolloutResult | BaseException | None]:
        """The results of the rollouts, in their order; none for those that did not begin, since another one had failed."""
        gate = asyncio.Semaphore(at_once)
        has_failed = False

        async def run(request: RolloutRequest) -> RolloutResult | None:
            nonlocal has_failed
            async with gate:
                if has_failed:
                    return None
                try:
                    result = await self._child(request)
                except FailureError:
                    has_failed = True
                    raise
                has_failed = has_failed or result.end is not RolloutEnd.served
                return result

        return await asyncio.gather(*map(run, requests), return_exceptions=True)

    def _is_served(self, target: Target) -> bool:
        position = self._positions.get(target)
        return position is not None and self._state.rollouts[position].served is not None

    async def _plan(self, target: Target) -> int:
        """The position of a target's rollout, which is planned with its way back before anything there is changed.

        A further try looks again. Where nothing was done yet, what is there then is what an update starts from.
        """
        position = self._positions.get(target)
        if position is not None and not self._looks_again(target):
            return position
        recorded = self._state.rollouts[position].request.plan.config if position is not None else None
        found = await workflow.execute_activity_method(
            EndpointActivities.preflight, self._asked(target, recorded), **shown(READ, f"preflight {target.endpoint}")
        )
        self._planned.add(target)
        for warning in found.warnings:
            self._notice(f"{target.endpoint}: {warning}")
        if position is None:
            self._positions[target] = position = len(self._state.rollouts)
            self._record(found)
        elif not found.begun:
            request, restore = self._plans(found)
            self._state.plan_anew(position, request, restore)
        return position

    def _looks_again(self, target: Target) -> bool:
        return target not in self._planned and self._state.stage.attempts > 1 and workflow.patched("look-again-at-targets")

    def _record(self, found: Preflight) -> None:
        request, restore = self._plans(found)
        self._state.plan(restore)
        self._state.rollouts = (*self._state.rollouts, TargetRollout(request=request))

    def _plans(self, found: Preflight) -> tuple[RolloutRequest, Planned]:
        """The rollout of a target, and its way back."""
        plan, former, smoke = found.plan, found.current_config, self._app.spec.spec.rollout.smoke
        inverse = f"restore {plan.target.endpoint}" if former else f"delete {plan.target.endpoint}"
        restore = RestoreEndpoint(plan=plan, previous_config=former, reason="")
        request = RolloutRequest(
            plan=plan,
            previous_config=former,
            app=self._origin.app,
            spec_commit=self._app.commit,
            smoke_payload=smoke.payload if smoke else None,
            smoke_content_type=smoke.content_type if smoke else "application/json",
        )
        undo = RestoreTarget(request=restore)
        return request, Planned(stage=StageName.rollout, inverse=f"{inverse} ({plan.region})", undo=undo)

    def _asked(self, target: Target, recorded: str | None) -> PlanRollout:
        rollout = self._app.spec.spec.rollout
        return PlanRollout(
            promotion_id=workflow.info().workflow_id,
            package=self._package,
            target=target,
            region=target.region or self._state.region,
            variant=rollout.variant,
            strategy=rollout.strategy,
            settings=rollout.settings,
            origin=self._origin,
            recorded=recorded,
        )

    def _approved(self, target: Target) -> Approved:
        evidence = known(self._state.evidence)
        return Approved(
            containers=evidence.containers,
            champion=self._champions.get(target),
            decisions=self._state.signed_approvals,
            deliveries=self._state.delivered_approvals,
        )

    async def _child(self, request: RolloutRequest) -> RolloutResult:
        # An older release recorded plans without it.
        plan = request.plan.model_copy(update={"origin": self._origin, "approved": self._approved(request.plan.target)})
        account = f"-{plan.target.role_arn.split(':')[4]}" if plan.target.role_arn else ""
        return await workflow.execute_child_workflow(
            RolloutWorkflow.run,
            request.model_copy(update={"plan": plan, "spec_commit": self._app.commit}),
            id=f"{plan.promotion_id}-{plan.target.endpoint}-{plan.region}{account}",
            task_queue=rollout_queue(workflow.info().task_queue),
            static_summary=f"{plan.target.endpoint} in {plan.region}",
            parent_close_policy=workflow.ParentClosePolicy.REQUEST_CANCEL,
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(attributes.APP, self._app.spec.metadata.name),
                    SearchAttributePair(attributes.TARGETS, [plan.target.endpoint]),
                ]
            ),
        )

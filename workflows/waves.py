"""Stage 6: wave by wave, each target in a child workflow of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from temporalio import workflow
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.endpoints.activities import EndpointActivities
    from activities.endpoints.cleaning import CleanedTarget, CleanedUp, CleanUp, CleanUpActivities
    from activities.endpoints.messages import (
        Approved,
        EndpointPlan,
        PlanRollout,
        Preflight,
        RestoreEndpoint,
        RolloutEnd,
        RolloutRequest,
        RolloutResult,
        UpdateEndpoint,
    )
    from activities.endpoints.scaling import is_scaled_otherwise
    from activities.origin import Origin
    from slipway.api import StageName, rollout_queue
    from slipway.app.spec import Target, Wave
    from slipway.temporal import search_attributes as attributes
    from slipway.temporal.failures import report_of
    from slipway.text import pluralize
    from workflows.state.compensations import Planned, RestoreTarget
    from workflows.state.promotion import PromotionState, TargetRollout, known

from workflows.activity_options import CLEAN, READ, shown
from workflows.rollout import RolloutWorkflow
from workflows.setbacks import Failed, Setbacks
from workflows.soak import Soak, Wait

OFF_MEANWHILE = "its automatic scaling is off while it is updated, since SageMaker takes no other instance type beside it"
LOOKS_AT_ONCE = 10
"""Targets of a wave that are looked at at the same time: each takes some ten calls of AWS."""
NAMES_SHOWN = 10
"""Endpoints that a stage's line names."""


def named(requests: Sequence[RolloutRequest]) -> str:
    """The endpoints of some rollouts, as many as fit into a line."""
    names = [request.plan.target.endpoint for request in requests]
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def shortened(lines: Sequence[str]) -> list[str]:
    """The first of some lines, and how many more there are."""
    left = len(lines) - NAMES_SHOWN
    return [*lines[:NAMES_SHOWN], *([f"and {left} more"] if left > 0 else [])]


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
        end_if_aborted: Raises where the promotion was aborted. A look that ends well while an abort comes hides it.
    """

    def __init__(
        self,
        origin: Origin,
        state: PromotionState,
        summarize: Callable[[str], None],
        notice: Callable[[str], None],
        wait: Wait,
        breathe: Callable[[], None],
        end_if_aborted: Callable[[], None],
    ) -> None:
        self._origin = origin
        self._state = state
        self._summarize = summarize
        self._notice = notice
        self._breathe = breathe
        self._end_if_aborted = end_if_aborted
        self._app = known(state.app)
        self._package = known(state.package)
        self._soak = Soak(origin, state, summarize, wait)
        self._setbacks = Setbacks(origin, state, summarize)
        self._positions = {rollout.request.plan.target: at for at, rollout in enumerate(state.rollouts)}
        """By target: its place among the rollouts."""
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
        unjudged = shortened(self._state.unjudged)
        for said in unjudged:
            self._notice(f"a metric was not judged: {said}")
        self._summarize(
            "; ".join([f"version {self._package.version} on {pluralize(len(self._state.served), 'endpoint')}", *unjudged])
        )

    async def _roll_out(self, wave: Wave) -> None:
        positions = await self._plan_all([target for target in wave.targets if not self._is_served(target)])
        self._end_if_aborted()
        requests = [self._state.rollouts[position].request for position in positions]
        self._summarize(f"updating {named(requests)}")
        # Each that has begun comes to rest before any of them is judged.
        results = await self._results(requests, wave.max_concurrency or len(requests))
        ended = [
            (position, result) for position, result in zip(positions, results, strict=True) if isinstance(result, RolloutResult)
        ]
        served = {position: result for position, result in ended if result.end is RolloutEnd.served}
        self._state.serve(
            {position: result.served for position, result in served.items()},
            {position for position, result in ended if result.marked},
        )
        self._state.leave_unjudged({position: result.unjudged for position, result in served.items()})
        failed = [
            Failed(self._state.rollouts[position].request.plan.target, f"{result.served.endpoint}: {result.reason}")
            for position, result in ended
            if result.end is not RolloutEnd.served
        ]
        if failed:
            stopped = [
                self._state.rollouts[position].request.plan.target
                for position, result in zip(positions, results, strict=True)
                if isinstance(result, BaseException) and (is_cancelled_exception(result) or puts_back_what_broke())
            ]
            await self._setbacks.act_on(failed, stopped)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _results(self, requests: Sequence[RolloutRequest], at_once: int) -> Sequence[RolloutResult | BaseException | None]:
        """What came of each rollout; none where it did not begin, since another one had failed.

        Where one does not keep the new model, the others are stopped: they get it no further. One that cannot go on stops none
        that has begun, for an operator may retry it.
        """
        gate = asyncio.Semaphore(at_once)
        begun: list[asyncio.Task[RolloutResult | None]] = []
        has_failed = False

        async def follow(at: int, request: RolloutRequest) -> RolloutResult | None:
            nonlocal has_failed
            async with gate:
                if has_failed:
                    return None
                begun.append(children[at])
                try:
                    result = await self._child(request)
                except FailureError:
                    has_failed = True
                    raise
                if result.end is not RolloutEnd.served:
                    has_failed = True
                    stop([child for child in begun if not child.done() and child is not children[at]])
                return result

        children = [asyncio.create_task(follow(at, request)) for at, request in enumerate(requests)]
        return await asyncio.gather(*children, return_exceptions=True)

    def _is_served(self, target: Target) -> bool:
        position = self._positions.get(target)
        return position is not None and self._state.rollouts[position].served is not None

    async def _plan_all(self, targets: Sequence[Target]) -> list[int]:
        """The positions of some targets' rollouts, which are planned with their ways back before anything there is changed.

        Raises:
            ActivityError: One of them cannot be rolled out. The others are planned all the same.
        """
        if len(targets) == 1 or not workflow.patched("preflight-together"):
            return [self._plan(target, await self._look(target)) for target in targets]
        gate = asyncio.Semaphore(LOOKS_AT_ONCE)

        async def look(target: Target) -> Preflight | None:
            async with gate:
                return await self._look(target)

        found = await asyncio.gather(*map(look, targets), return_exceptions=True)
        planned = [
            self._plan(target, each) for target, each in zip(targets, found, strict=True) if not isinstance(each, BaseException)
        ]
        for each in found:
            if isinstance(each, BaseException):
                raise each
        return planned

    async def _look(self, target: Target) -> Preflight | None:
        """What is at a target before it is rolled out, or before a rollout that failed is tried again; none for no new look."""
        position = self._positions.get(target)
        if position is None:
            return await workflow.execute_activity_method(
                EndpointActivities.preflight, self._asked(target), **shown(READ, f"preflight {target.endpoint}")
            )
        if not workflow.patched("look-again"):
            return None
        request = self._state.rollouts[position].request
        again = UpdateEndpoint(
            plan=request.plan.model_copy(update={"origin": self._origin, "adopted": self._adopted(request.plan.target)}),
            previous_config=request.previous_config,
        )
        return await workflow.execute_activity_method(
            EndpointActivities.look_again, again, **shown(READ, f"look at {request.plan.target.endpoint} again")
        )

    def _plan(self, target: Target, found: Preflight | None) -> int:
        """The position of a target's rollout, which is planned by what was found."""
        position = self._positions.get(target)
        if position is not None:
            if found:
                self._plan_again(position, found)
            return position
        before = known(found)
        self._warn(before)
        self._state.plan(way_back_of(before))
        self._state.rollouts = (*self._state.rollouts, TargetRollout(request=self._request_of(before)))
        self._positions[target] = len(self._state.rollouts) - 1
        return self._positions[target]

    def _plan_again(self, position: int, found: Preflight) -> None:
        """Plan a rollout that failed anew, where its own update is neither under way nor made: others may have been there."""
        request = self._state.rollouts[position].request
        before = Preflight(plan=request.plan, current_config=request.previous_config, scaling=request.scaling)
        same = (found.plan.config, found.current_config) == (before.plan.config, before.current_config)
        if same and not is_scaled_otherwise(found.scaling, before.scaling):
            self._state.find_again(position, found.modified)
            return
        self._warn(found)
        self._state.plan_again(position, self._request_of(found), way_back_of(found))

    def _warn(self, found: Preflight) -> None:
        for warning in found.warnings:
            self._notice(f"{found.plan.target.endpoint}: {warning}")
        if found.scaling:
            self._notice(f"{found.plan.target.endpoint}: {OFF_MEANWHILE}")

    def _request_of(self, found: Preflight) -> RolloutRequest:
        plan, former, smoke = found.plan, found.current_config, self._app.spec.spec.rollout.smoke
        return RolloutRequest(
            plan=plan,
            previous_config=former,
            app=self._origin.app,
            spec_commit=self._app.commit,
            smoke_payload=smoke.payload if smoke else None,
            smoke_content_type=smoke.content_type if smoke else "application/json",
            scaling=found.scaling,
            smoke=smoke,
            previous_modified=found.modified,
        )

    def _asked(self, target: Target) -> PlanRollout:
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
            adopted=self._adopted(target),
        )

    def _adopted(self, target: Target) -> str | None:
        """The config that people saw at a target and accepted, although no promotion left it there."""
        asked = self._app.spec.spec.approval.mode == "manual"
        champions = known(self._state.evidence).champions
        return next((each.drifted_to for each in champions if each.target == target and each.drifted_to and asked), None)

    def _approved(self, target: Target) -> Approved:
        evidence = known(self._state.evidence)
        return Approved(
            containers=evidence.containers,
            champion=self._champions.get(target),
            decisions=self._state.signed_approvals,
            deliveries=self._state.delivered_approvals,
        )

    @property
    def unmarked(self) -> list[EndpointPlan]:
        """The plans of the targets whose rollouts left no mark on them, with what the worker checks them by."""
        return [self._checked(rollout.request.plan) for rollout in self._state.rollouts if rollout.served and not rollout.marked]

    async def clean_up(self, keep: int) -> None:
        """Remove what earlier promotions made for the targets, but for the last of it. What goes wrong holds up nothing.

        Args:
            keep: How many former configs of each target stay.
        """
        cleaned = tuple(map(cleaned_target, (rollout.request for rollout in self._state.rollouts if rollout.served)))
        request = CleanUp(targets=cleaned, keep=keep, origin=self._origin)
        try:
            done = await workflow.execute_activity_method(
                CleanUpActivities.clean_up, request, **shown(CLEAN, f"remove former configs and models but for the last {keep}")
            )
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            done = CleanedUp(failures=(report_of(error).answered,))
        for failure in done.failures:
            self._notice(f"former configs and models were not all removed: {failure}")
        if done.line:
            self._summarize(f"{self._state.stage.summary}; {done.line}")

    def _checked(self, plan: EndpointPlan) -> EndpointPlan:
        # An older release recorded plans without it.
        return plan.model_copy(update={"origin": self._origin, "approved": self._approved(plan.target)})

    async def _child(self, request: RolloutRequest) -> RolloutResult:
        plan = self._checked(request.plan)
        account = f"-{account}" if (account := account_of(plan)) else ""
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


def stop(running: Sequence[asyncio.Task[RolloutResult | None]]) -> None:
    """Cancel some rollouts. Earlier releases waited for their ends."""
    if running and workflow.patched("stop-the-wave"):
        for child in running:
            child.cancel()


def puts_back_what_broke() -> bool:
    """Whether a rollout that could not go on is put back as well, where another one shows that the model is bad.

    SageMaker goes on with an update that nobody follows any more. Earlier releases left that to the operator.
    """
    return workflow.patched("put-back-what-broke")


def cleaned_target(request: RolloutRequest) -> CleanedTarget:
    """The target of a rollout that is done."""
    plan = request.plan
    return CleanedTarget(
        target=plan.target, region=plan.region, config=plan.config, former=plan.former or request.previous_config
    )


def account_of(plan: EndpointPlan) -> str:
    """The account of another one's endpoint; empty for the worker's own."""
    return plan.target.role_arn.split(":")[4] if plan.target.role_arn else ""


def way_back_of(found: Preflight) -> Planned:
    """How a rollout is undone, by what was found before it."""
    plan, former = found.plan, found.current_config
    inverse = f"restore {plan.target.endpoint}" if former else f"delete {plan.target.endpoint}"
    if found.scaling:
        inverse += " and its automatic scaling"
    account = account_of(plan)
    place = f"{plan.region}, {account}" if account and workflow.patched("name-the-account") else plan.region
    restore = RestoreEndpoint(plan=plan, previous_config=former, reason="", scaling=found.scaling)
    return Planned(stage=StageName.rollout, inverse=f"{inverse} ({place})", undo=RestoreTarget(request=restore))

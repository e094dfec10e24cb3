"""Stage 6: wave by wave, each target in a child workflow of its own."""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import partial

from temporalio import workflow
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from activities.compensation import Compensation
from activities.endpoints.activities import EndpointActivities
from activities.endpoints.messages import RestoreEndpoint, RolloutEnd, RolloutRequest, RolloutResult
from activities.endpoints.plan import plan_rollout
from activities.taskdefs import AppSnapshot
from slipway.api import AppRef, ModelPackage, Outcome, ServedEndpoint, StageName
from slipway.app.spec import Target, Wave
from slipway.temporal import search_attributes as attributes
from slipway.text import counted
from workflows import policies
from workflows.board import Board
from workflows.compensations import Ledger
from workflows.handlers import EndedError
from workflows.policies import step
from workflows.rollout import RolloutWorkflow


class Waves:
    """The rollout of one package. `run` may be called again after a failure: it goes on where it was.

    A child that fails parks the stage of its parent, and has no parking of its own: an operator looks in one place, and the
    ledger of all effects is in one place too. So the parent looks at each target first: it has to know the former config
    before a child changes it, and after a second try.

    Args:
        ref: Where the application's files are.
        app: The files at the pinned commit.
        package: What is rolled out.
        region: The region of targets that name none.
        board: Where progress is shown.
        ledger: Where inverses are put down.
    """

    def __init__(self, ref: AppRef, app: AppSnapshot, package: ModelPackage, region: str, board: Board, ledger: Ledger) -> None:
        self._ref = ref
        self._app = app
        self._package = package
        self._region = region
        self._board = board
        self._ledger = ledger
        self._requests: dict[Target, RolloutRequest] = {}
        self._served: dict[Target, ServedEndpoint] = {}
        self._complete_since: datetime | None = None

    async def run(self) -> None:
        """Roll out what is not rolled out yet.

        Raises:
            EndedError: A target did not keep the new model.
        """
        waves = self._app.spec.spec.rollout.waves
        for number, wave in enumerate(waves, start=1):
            if all(target in self._served for target in wave.targets):
                continue
            await self._soak(number, wave)
            await self._roll_out(wave)
            self._complete_since = workflow.now()
        self._board.say(f"version {self._package.version} on {counted(len(self._served), 'endpoint')}")

    async def _soak(self, number: int, wave: Wave) -> None:
        if self._complete_since is None or not wave.soak:
            return
        until = self._complete_since + wave.soak
        left = until - workflow.now()
        if left.total_seconds() > 0:
            self._board.say(f"wave {number - 1} serves; wave {number} follows at {until:%Y-%m-%d %H:%M:%S} UTC")
            await workflow.sleep(left, summary=f"soak before wave {number}")

    async def _roll_out(self, wave: Wave) -> None:
        waiting = [target for target in wave.targets if target not in self._served]
        requests = [await self._prepare(target) for target in waiting]
        self._board.say(f"updating {', '.join(target.endpoint for target in waiting)}")
        # Each comes to rest before any of them is judged: an abort is what stops them together.
        results = await asyncio.gather(*map(self._child, requests), return_exceptions=True)
        failed = [result for result in results if isinstance(result, BaseException)]
        for target, result in zip(waiting, results, strict=True):
            if not isinstance(result, BaseException) and result.end is RolloutEnd.served:
                self._served[target] = result.served
        self._board.set(endpoints=tuple(self._served.values()))
        undone = [result for result in results if not isinstance(result, BaseException) and result.end is not RolloutEnd.served]
        if undone:
            raise EndedError(Outcome.rolled_back, "; ".join(f"{result.served.endpoint}: {result.reason}" for result in undone))
        if failed:
            raise failed[0]

    async def _prepare(self, target: Target) -> RolloutRequest:
        """Look at a target, and put down how to get back, before anything there is changed."""
        if target in self._requests:
            return self._requests[target]
        request = self._request(target)
        plan = plan_rollout(request)
        found = await step(EndpointActivities.preflight, plan, policies.LOOK, f"preflight {target.endpoint}")
        for warning in found.warnings:
            self._board.notice(f"{target.endpoint}: {warning}")
        request = request.model_copy(update={"previous_config": found.current_config})
        inverse = f"put {target.endpoint} back" if found.exists else f"delete {target.endpoint}"
        self._ledger.plan(StageName.rollout, f"{inverse} ({request.region})", partial(self._restore, request))
        self._requests[target] = request
        return request

    def _request(self, target: Target) -> RolloutRequest:
        rollout = self._app.spec.spec.rollout
        return RolloutRequest(
            promotion_id=self._board.status.id,
            app=self._ref,
            spec_commit=self._app.commit,
            package=self._package,
            target=target,
            variant=rollout.variant.model_copy(
                update={"execution_role_arn": target.execution_role_arn or rollout.variant.execution_role_arn}
            ),
            strategy=rollout.strategy,
            smoke_payload=rollout.smoke.payload if rollout.smoke else None,
            smoke_content_type=rollout.smoke.content_type if rollout.smoke else "application/json",
            region=target.region or self._region,
        )

    async def _child(self, request: RolloutRequest) -> RolloutResult:
        account = f"-{request.target.role_arn.split(':')[4]}" if request.target.role_arn else ""
        return await workflow.execute_child_workflow(
            RolloutWorkflow.run,
            request,
            id=f"{request.promotion_id}-{request.target.endpoint}-{request.region}{account}",
            static_summary=f"{request.target.endpoint} in {request.region}",
            parent_close_policy=workflow.ParentClosePolicy.REQUEST_CANCEL,
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(attributes.APP, self._app.spec.metadata.name),
                    SearchAttributePair(attributes.TARGETS, [request.target.endpoint]),
                ]
            ),
        )

    @staticmethod
    async def _restore(request: RolloutRequest, reason: str) -> Compensation:
        restore = RestoreEndpoint(plan=plan_rollout(request), previous_config=request.previous_config, reason=reason)
        return await step(EndpointActivities.restore_endpoint, restore, policies.RESTORE, f"put {request.target.endpoint} back")

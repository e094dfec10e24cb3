"""What follows where a target does not keep the new model: by the spec's choice, some or all targets go back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.origin import Origin
    from slipway.api import LedgerState, Outcome
    from slipway.app.spec import Target, Wave
    from slipway.errors import NeedsPersonError, cap
    from slipway.temporal.failures import report_of, to_application_error
    from slipway.text import pluralize
    from workflows.state.compensations import RestoreTarget
    from workflows.state.promotion import PromotionState, known

from workflows.stages import EndedError
from workflows.undo import restore_endpoint


@dataclass(frozen=True)
class Failed:
    """A target that did not keep the new model."""

    target: Target
    reason: str
    """As `prod: the alarm prod-5xx went off`."""


class Setbacks:
    """Puts targets back.

    Args:
        origin: What the worker checks each effect by.
        state: The promotion's.
        summarize: Shows what came of the stage so far.
    """

    def __init__(self, origin: Origin, state: PromotionState, summarize: Callable[[str], None]) -> None:
        self._origin = origin
        self._state = state
        self._summarize = summarize
        self._rollout = known(state.app).spec.spec.rollout

    async def act_on(self, failed: Sequence[Failed], stopped: Sequence[Target] = ()) -> None:
        """Do what the spec says. It never returns.

        Args:
            failed: The targets that did not keep the model.
            stopped: Those of their wave whose update was stopped for that, or could not go on. They may be between two models,
                so they go back too.

        Raises:
            EndedError: Everything goes back.
            ApplicationError: The promotion parks, once those targets or their waves are put back.
        """
        reason = cap("; ".join(each.reason for each in failed))
        if self._rollout.on_failure == "rollbackAll":
            raise EndedError(Outcome.rolled_back, reason)
        targets = dict.fromkeys([*(each.target for each in failed), *stopped])
        waves = [wave for wave in self._rollout.waves if any(target in targets for target in wave.targets)]
        of_waves = dict.fromkeys(target for wave in waves for target in wave.targets)
        going_back = targets if self._rollout.on_failure == "stop" else of_waves
        self._summarize(f"putting back up to {pluralize(len(going_back), 'endpoint')}: {reason}")
        notes = [await self._put_back(wave, going_back, reason) for wave in reversed(waves)]
        said = "; ".join([reason, *(note for of_wave in notes for note in of_wave)])
        remedy = "see why; retry rolls out again what does not serve the model, abort puts everything back"
        raise to_application_error(NeedsPersonError("rolling out wave by wave", said, remedy))

    async def _put_back(self, wave: Wave, targets: Collection[Target], reason: str) -> list[str]:
        """Put some of a wave's targets back, the last first, as many at a time as may be rolled out; what became of each."""
        gate = asyncio.Semaphore(wave.max_concurrency or len(wave.targets))
        begun = dict.fromkeys(rollout.request.plan.target for rollout in self._state.rollouts)

        async def put_back(target: Target) -> str:
            async with gate:
                return await self._restore(target, reason)

        return await asyncio.gather(*(put_back(each) for each in reversed(wave.targets) if each in targets and each in begun))

    async def _restore(self, target: Target, reason: str) -> str:
        """Put one target back. One that cannot be keeps its place on the ledger, so that an abort tries again."""
        planned = self._state.restore_of(self._position(target))
        if planned is None or not isinstance(planned.undo, RestoreTarget):
            return f"{target.endpoint} is not put back: no way back is planned"
        try:
            done = await restore_endpoint(planned.undo, reason, self._origin)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            return f"{target.endpoint} is not put back: {report_of(error).answered}"
        if done.state is LedgerState.needs_person:
            return f"{target.endpoint} is not put back: {done.note}"
        self._state.take_back(self._position(target), planned.settled(done.state, done.note))
        return done.note

    def _position(self, target: Target) -> int:
        """Its place among the rollouts, which changes as others are put back."""
        return next(at for at, rollout in enumerate(self._state.rollouts) if rollout.request.plan.target == target)

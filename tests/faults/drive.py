"""Takes one example's promotion from its start to its end: what is drawn happens when its moment has come."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Generator

from botocore.exceptions import ClientError
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.service import RPCError

from slipway.api import Decision, Message, OperatorCommand, PromotionStatus, StageName, StageState
from slipway.errors import SlipwayError
from slipway.temporal.start import Handle, send_update, start_promotion
from tests.faults.ground import Scene
from tests.faults.schedule import Event, Fault, Moment, Steering
from tests.support.waiting import state_of, summary_of

PATIENCE = 180.0
"""Seconds for one example. A worker that died is noticed after ten."""
LOOK_EVERY = 0.1
HOLD_AT_MOST = 20.0
"""Seconds for what happens while an answer is held back."""
UNDO_TRIES = 3
"""How often an operator tries to undo what cannot be undone, before it is left to people."""
PARKED = "retry or abort"


class Drive:
    """One example's promotion.

    Args:
        scene: What is there.
        client: Of the worker's namespace.
    """

    def __init__(self, scene: Scene, client: Client) -> None:
        self.scene, self.schedule, self._client = scene, scene.schedule, client
        self._sandbox, self._account = scene.ground.stack.sandbox, scene.ground.account
        self.log: list[str] = []
        """What happened, for the message of a failure."""
        self.retries = 0
        self.by_hand = 0
        """Updates that an operator made by hand."""
        self.killed = 0
        self.alarm = "OK"
        """The state that the example gave its alarm last."""
        self.rang = False
        self.left = False
        """Whether an operator left to people what could not be undone."""
        self._faults: list[int] = []
        self._held: int | None = None
        self._events = list(self.schedule.events)
        self._steering = list(self.schedule.steering)
        self._undo_parks = 0
        self._begun = time.monotonic()
        self.handle: Handle

    async def run(self) -> PromotionStatus:
        """Start it, and see it to its end.

        Raises:
            AssertionError: It did not end in time.
        """
        with self._planted():
            self.handle, _ = await start_promotion(self._client, self.scene.request)
            ended = asyncio.ensure_future(self.handle.result())
            try:
                await self._until(ended)
                return await ended
            finally:
                ended.cancel()

    async def give_up(self) -> None:
        """End it where it stands, so that it changes nothing in the examples that follow."""
        with contextlib.suppress(RPCError):
            await self.handle.terminate()

    @contextlib.contextmanager
    def _planted(self) -> Generator[None]:
        self._faults = [self._plant(fault) for fault in self.schedule.faults]
        for target, kind in self.schedule.dials:
            reason = "the instances did not pass their health check" if kind.endswith("reason") else None
            body = {"endpoint": self.scene.endpoints[target], "kind": kind.partition(" ")[0], "reason": reason}
            body |= {"account": self._account}
            self._sandbox.control("POST", "sagemaker/dials", body)
        try:
            yield
        finally:
            self._clear()
            self._release()

    def _plant(self, fault: Fault) -> int:
        denied = {"code": "AccessDeniedException", "message": f"User is not authorized to perform {fault.operation}"}
        more = denied if fault.kind == "denied" else {}
        kind = "error" if fault.kind == "denied" else fault.kind
        return self._sandbox.plant_fault(fault.service, fault.operation, kind, account=self._account, count=fault.count, **more)

    def _clear(self) -> None:
        for number in self._faults:
            self._sandbox.remove_fault(number)
        self._faults = []
        self._sandbox.control("DELETE", "sagemaker/dials", query={"account": self._account})

    def _release(self) -> None:
        if self._held is not None:
            self._sandbox.remove_fault(self._held)
            self._held = None

    async def _until(self, ended: asyncio.Future[PromotionStatus]) -> None:
        parked_since = None
        while not ended.done():
            status = await self._status()
            if status is not None:
                await self._act(status)
                if waiting := status.waiting_for:
                    if waiting.what == PARKED and waiting.since != parked_since:
                        parked_since = waiting.since
                        await self._steer(status)
                    elif state_of(status, StageName.approval) is StageState.waiting:
                        await self._decide(status)
            if time.monotonic() > self._begun + PATIENCE:
                raise AssertionError(f"it did not end within {PATIENCE:.0f} s: {status}")
            await asyncio.wait({ended}, timeout=LOOK_EVERY)

    async def _status(self) -> PromotionStatus | None:
        try:
            return await asyncio.wait_for(self.handle.query("status", result_type=PromotionStatus), 15)
        except (TimeoutError, RPCError):
            return None

    # --- What happens ---

    async def _act(self, status: PromotionStatus) -> None:
        if not self._events:
            return
        event = self._events[0]
        if not await asyncio.to_thread(self._has_come, event.moment, status):
            return
        del self._events[0]
        self._say(f"{event.action} at {event.moment}")
        try:
            await asyncio.wait_for(self._happen(event), HOLD_AT_MOST)
        except TimeoutError:
            self._say("it took too long")
        finally:
            self._release()

    def _has_come(self, moment: Moment, status: PromotionStatus) -> bool:
        match moment.kind:
            case "call":
                if self._held is None:
                    self._held = self._sandbox.plant_fault(moment.service, moment.operation, "hold-answer", account=self._account)
                return self._sandbox.struck(self._held) > 0
            case "share":
                try:
                    share = self.scene.share(self.scene.endpoints[moment.at % len(self.scene.endpoints)])
                except ClientError:
                    return False
                return share is not None and share >= moment.share
            case "soak":
                return "serves; wave" in summary_of(status, StageName.rollout)
            case "undoing":
                return bool(status.reason)
            case "begin":
                return state_of(status, StageName.rollout) is StageState.running

    async def _happen(self, event: Event) -> None:
        match event.action:
            case "abort":
                await self._send("abort", OperatorCommand(by="ana", reason="as the example has it"))
            case "alarm":
                await asyncio.to_thread(self._set_alarm, "ALARM")
            case "kill":
                self.killed += 1
                # Not on a thread of its own: a worker ends with the thread that started it.
                self.scene.ground.crew.worker.kill()
                self._release()
                self.scene.ground.crew.start_worker()

    def _set_alarm(self, state: str) -> None:
        self.alarm = state
        self.rang = self.rang or state == "ALARM"
        self.scene.cloudwatch.set_alarm_state(AlarmName=self.scene.alarm, StateValue=state, StateReason="the example says so")

    async def _send(self, name: str, command: Message) -> None:
        try:
            await send_update(self.handle, name, command)
        except (WorkflowUpdateFailedError, RPCError, SlipwayError) as error:
            self._say(f"{name}: {error.__cause__ or error}")

    # --- What people do ---

    async def _decide(self, status: PromotionStatus) -> None:
        command = "reject" if self.schedule.rejects else "approve"
        self._say(command)
        await self._send(command, Decision(by="ana", evidence=status.evidence or ""))

    async def _steer(self, status: PromotionStatus) -> None:
        failure = status.waiting_for.failure if status.waiting_for else None
        undoing = bool(status.reason)
        at = next((report.name for report in status.stages if report.state is StageState.parked), StageName.rollout)
        # It looks ahead for what would stop its rollout: at its first stage, and before people are asked.
        assert at in {StageName.image, StageName.approval, StageName.rollout}, f"it parked at {at}: {failure}"
        steering = self._steering.pop(0) if self._steering else self._last_steering(undoing)
        self._say(f"parked ({failure.answered if failure else 'no reason'}), so {steering}")
        if steering.heals:
            await asyncio.to_thread(self._heal)
        if steering.command == "retry":
            self.retries += 1
        elif undoing:
            self.left = True
        await self._send(steering.command, OperatorCommand(by="ana", reason="as the example has it"))

    def _last_steering(self, undoing: bool) -> Steering:
        """What is done once nothing more is drawn: all is fixed, and the promotion tries again, but not for ever."""
        if undoing:
            self._undo_parks += 1
            return Steering("retry" if self._undo_parks <= UNDO_TRIES else "abort", heals=True)
        may_end_well = self.schedule.model in {"good", "recovers"} and self.retries <= len(self.schedule.steering)
        return Steering("retry" if may_end_well else "abort", heals=True)

    def _heal(self) -> None:
        self._clear()
        if self.alarm != "OK":
            self._set_alarm("OK")
        for endpoint, former in self.scene.formers.items():
            found = self.scene.described(endpoint)
            if found and former and found["EndpointStatus"] == "UpdateRollbackFailed":
                self.by_hand += 1
                self.scene.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=former)
                self.scene.wait(endpoint)

    def _say(self, what: str) -> None:
        self.log.append(f"{time.monotonic() - self._begun:.1f} s: {what}")

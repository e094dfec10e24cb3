"""How an endpoint is created, and how it is updated from one configuration to the next.

Each runs on a thread of its own, from top to bottom. Waits use the sandbox's clock.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from enum import StrEnum

from slipway_sandbox.core.clock import Clock
from slipway_sandbox.core.events import EventBus
from slipway_sandbox.sagemaker.hosting.alarms import AlarmWatch
from slipway_sandbox.sagemaker.hosting.deployment import Plan
from slipway_sandbox.sagemaker.hosting.endpoint import Deployment, Endpoint, EndpointStatus, VariantStage
from slipway_sandbox.sagemaker.hosting.fleet import Fleet, Fleets
from slipway_sandbox.sagemaker.hosting.servers import FleetError, HaltedError
from slipway_sandbox.sagemaker.hosting.views import tell_deployment, tell_state

log = logging.getLogger(__name__)

PROVISION_SECONDS = 10.0
"""Simulated seconds for instances, before the containers start. AWS takes minutes."""
ROLLBACK_SECONDS = 5.0
"""Simulated seconds that a rollback takes."""
LOOK_EVERY = 0.2
"""Real seconds between two looks at the alarms during a wait."""
NO_CAPACITY = (
    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. "
    "Please retry using a different ML instance type or after some time."
)


class OutcomeKind(StrEnum):
    """What a dial makes of the next create or update."""

    capacity = "capacity"
    """There are no instances: a create fails, an update rolls back; AWS's reason."""
    rollback = "rollback"
    """An update rolls back once its fleet is up, for the given reason, or silently."""
    rollback_failed = "rollback-failed"
    """An update rolls back, and that fails as well: `UpdateRollbackFailed`."""


@dataclass(frozen=True)
class ForcedOutcome:
    """The outcome that a dial forces on the next create or update."""

    kind: OutcomeKind
    reason: str | None = None


class RollbackError(Exception):
    """The update is to be undone. The text is the FailureReason; it may be empty."""


@dataclass(frozen=True)
class RolloutContext:
    """What a rollout needs: clock, lock, fleets, alarms and events."""

    clock: Clock
    lock: threading.RLock
    """Held while the endpoint's state is read and written; every operation on endpoints holds it, too."""
    fleets: Fleets
    alarms: AlarmWatch
    events: EventBus

    def enter(self, endpoint: Endpoint, status: EndpointStatus, reason: str | None = None) -> None:
        """Move an endpoint to another status, and emit the event. Under the lock."""
        endpoint.enter(status, self.clock.now(), reason)
        tell_state(self.events, endpoint)

    def enter_stage(self, endpoint: Endpoint, stage: VariantStage, message: str) -> None:
        """Move an endpoint's update to another stage, and emit the event. Under the lock."""
        if endpoint.pending:
            endpoint.pending.enter(stage, message, self.clock.now())
            tell_deployment(self.events, endpoint)


class Creation:
    """Brings a new endpoint up.

    Args:
        context: What it needs of the sandbox.
        endpoint: The endpoint, in status `Creating`.
        forced: The outcome that a dial forces, if any.
    """

    def __init__(self, context: RolloutContext, endpoint: Endpoint, forced: ForcedOutcome | None) -> None:
        self._context = context
        self._endpoint = endpoint
        self._forced = forced

    def run(self) -> None:
        """Do it, to `InService` or `Failed`."""
        endpoint = self._endpoint
        try:
            fleet = start_fleet(self._context, endpoint, endpoint.served, self._forced)
        except HaltedError:
            return
        except FleetError as error:
            self._end(EndpointStatus.failed, str(error))
            return
        except Exception:
            log.exception("creating the endpoint %s failed", endpoint.name)
            self._end(
                EndpointStatus.failed, "Request to service failed. If failure persists after retry, contact customer support."
            )
            return
        self._serve(fleet)

    def _serve(self, fleet: Fleet) -> None:
        with self._context.lock:
            if not self._endpoint.halted.is_set():
                self._endpoint.served.fleet = fleet
                self._endpoint.split(0)
                self._end(EndpointStatus.in_service, None)
                return
        fleet.stop()

    def _end(self, status: EndpointStatus, reason: str | None) -> None:
        with self._context.lock:
            self._endpoint.served.enter(None, "", self._context.clock.now())
            self._context.enter(self._endpoint, status, reason)


class Update:
    """Takes an endpoint from the configuration it serves to the pending one, or back.

    Args:
        context: What it needs of the sandbox.
        endpoint: The endpoint, in status `Updating`.
        pending: What is to be served; also the endpoint's pending deployment.
        plan: The steps.
        forced: The outcome that a dial forces, if any.
    """

    def __init__(
        self, context: RolloutContext, endpoint: Endpoint, pending: Deployment, plan: Plan, forced: ForcedOutcome | None
    ) -> None:
        self._context = context
        self._endpoint = endpoint
        self._pending = pending
        self._plan = plan
        self._forced = forced
        self._timed_out = threading.Event()
        pending.rolling = endpoint.served.rolling = plan.rolling

    def run(self) -> None:
        """Do it, to `InService` on the new configuration, or on the old one with a reason."""
        timer = self._context.clock.call_later(self._plan.timeout, self._timed_out.set)
        try:
            self._go_forward()
        except RollbackError as error:
            self._roll_back(str(error))
        except HaltedError:
            self._drop_new_fleet()
        except Exception:
            log.exception("updating the endpoint %s failed", self._endpoint.name)
            self._roll_back("Request to service failed. If failure persists after retry, contact customer support.")
        finally:
            timer.cancel()

    def _go_forward(self) -> None:
        self._provision()
        if self._forced and self._forced.kind is not OutcomeKind.capacity:
            raise RollbackError(self._forced.reason or "")
        for shift in self._plan.shifts:
            # UpdateEndpoint's reference: an alarm that trips during a deployment rolls it back, so no share is given first.
            self._look()
            self._activate(shift.percent)
            self._bake(shift.wait, f"{shift.percent:g}% of the traffic is on the new fleet.")
        self._bake(self._plan.bake, "All traffic is on the new fleet; the old fleet is kept for the baking period.")
        self._complete()

    def _provision(self) -> None:
        try:
            self._pending.fleet = start_fleet(self._context, self._endpoint, self._pending, self._forced)
        except FleetError as error:
            raise RollbackError(str(error)) from error

    def _activate(self, percent: float) -> None:
        with self._context.lock:
            message = f"Shifting {percent:g}% of the traffic to the new fleet."
            self._context.enter_stage(self._endpoint, VariantStage.activating_traffic, message)
            if not self._endpoint.halted.is_set():
                self._endpoint.split(percent)

    def _bake(self, seconds: float, message: str) -> None:
        """Watch the alarms for a while, and once at least where there are any."""
        with self._context.lock:
            self._context.enter_stage(self._endpoint, VariantStage.baking, message)
        over = threading.Event()
        timer = self._context.clock.call_later(seconds, over.set)
        try:
            ended = False
            while not ended:
                ended = over.wait(LOOK_EVERY)
                self._look()
        finally:
            timer.cancel()

    def _look(self) -> None:
        """Whether the update may go on.

        Raises:
            HaltedError: The endpoint is gone.
            RollbackError: An alarm is in ALARM, or the time is over.
        """
        if self._endpoint.halted.is_set():
            raise HaltedError
        if self._timed_out.is_set():
            raise RollbackError(
                f"The deployment did not complete within its maximum execution timeout of {self._plan.timeout:g} s."
            )
        tripped = self._context.alarms.tripped(self._endpoint.caller, self._plan.alarms)
        if tripped:
            raise RollbackError(
                f"The deployment was rolled back because of CloudWatch alarms in ALARM state: {', '.join(tripped)}."
            )

    def _complete(self) -> None:
        with self._context.lock:
            if self._endpoint.halted.is_set():
                raise HaltedError
            old = self._endpoint.served
            self._pending.enter(None, "", self._context.clock.now())
            self._pending.rolling = False
            self._endpoint.served, self._endpoint.pending = self._pending, None
            self._endpoint.split(0)
            self._context.enter(self._endpoint, EndpointStatus.in_service)
        if old.fleet:
            old.fleet.stop()

    def _roll_back(self, reason: str) -> None:
        endpoint = self._endpoint
        with self._context.lock:
            if not endpoint.halted.is_set():
                self._context.enter(endpoint, EndpointStatus.rolling_back, reason)
                self._context.enter_stage(endpoint, VariantStage.deleting, "Rolling back.")
        try:
            self._shift_back()
        except HaltedError:
            self._drop_new_fleet()
            return
        failed = self._forced is not None and self._forced.kind is OutcomeKind.rollback_failed
        self._drop_new_fleet()
        with self._context.lock:
            endpoint.pending = None
            endpoint.served.rolling = False
            status = EndpointStatus.update_rollback_failed if failed else EndpointStatus.in_service
            self._context.enter(endpoint, status, reason)

    def _shift_back(self) -> None:
        """Give the old fleet all traffic again: at once, or a rolling update's in its batches.

        Raises:
            HaltedError: The endpoint is gone.
        """
        left = self._pending.percent
        while True:
            left = max(0.0, left - self._plan.rollback_percent)
            with self._context.lock:
                if not self._endpoint.halted.is_set():
                    self._endpoint.split(left)
            pause(self._context.clock, ROLLBACK_SECONDS, self._endpoint.halted)
            if left <= 0:
                return

    def _drop_new_fleet(self) -> None:
        fleet, self._pending.fleet = self._pending.fleet, None
        if fleet:
            fleet.stop()


def start_fleet(context: RolloutContext, endpoint: Endpoint, deployment: Deployment, forced: ForcedOutcome | None) -> Fleet:
    """Get instances, and start a deployment's containers on them.

    Raises:
        FleetError: There are no instances, or a container does not come up.
        HaltedError: The endpoint is gone.
    """
    pause(context.clock, PROVISION_SECONDS, endpoint.halted)
    if forced and forced.kind is OutcomeKind.capacity:
        raise FleetError(NO_CAPACITY)
    return context.fleets.start(endpoint.caller, endpoint.name, deployment.config, endpoint.halted)


def pause(clock: Clock, seconds: float, halted: threading.Event) -> None:
    """Wait for simulated time to pass.

    Raises:
        HaltedError: The endpoint is gone.
    """
    over = threading.Event()
    timer = clock.call_later(seconds, over.set)
    try:
        while not over.wait(LOOK_EVERY):
            if halted.is_set():
                raise HaltedError
    finally:
        timer.cancel()
    if halted.is_set():
        raise HaltedError

"""What AWS's services tell EventBridge. Rooms emit events; subscribers receive them on the bus's own thread.

An event is a wake-up. It carries no state that a Describe would not show, and may be lost, late or told twice.
"""

from __future__ import annotations

import logging
import queue
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from slipway_sandbox.core.calls import Caller

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """One event, as EventBridge delivers it.

    Args:
        account: Whose it is.
        region: Where it happened.
        source: Such as `aws.ecs`.
        detail_type: Such as `ECS Task State Change`.
        detail: What happened, in the members that AWS documents for the detail type; JSON-ready.
        resources: The ARNs that it is about.
    """

    account: str
    region: str
    source: str
    detail_type: str
    detail: Mapping[str, Any]
    resources: Sequence[str] = ()
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    time: datetime = field(default_factory=lambda: datetime.now(UTC))


Subscriber = Callable[[Event], None]


class EventBus:
    """Hands events on in the order in which they happened. Emitting never waits, so a room may do it under its lock."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._subscribers: list[Subscriber] = []
        threading.Thread(target=self._run, name="sandbox-events", daemon=True).start()

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call it with every event from now on, one after the other."""
        self._subscribers.append(subscriber)

    def emit(self, caller: Caller, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str]) -> None:
        """Say that something happened.

        Args:
            caller: The account and region that it happened in.
            source: The service, such as `aws.sagemaker`.
            detail_type: The kind of event, as AWS names it.
            detail: Its members, JSON-ready.
            resources: The ARNs that it is about.
        """
        self._events.put(Event(caller.account, caller.region, source, detail_type, detail, resources))

    def _run(self) -> None:
        while True:
            event = self._events.get()
            for subscriber in self._subscribers:
                try:
                    subscriber(event)
                except Exception:
                    # Events are best effort; their emitter does not wait.
                    log.exception("the event %s of %s could not be handed on", event.detail_type, event.source)

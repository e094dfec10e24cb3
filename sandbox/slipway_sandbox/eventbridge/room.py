"""EventBridge's calls that the sandbox answers itself; rules, targets, buses and archives are moto's."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, cast

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import validation_error
from slipway_sandbox.core.events import Event
from slipway_sandbox.core.world import Room, World, dial, operation
from slipway_sandbox.eventbridge import patterns
from slipway_sandbox.eventbridge.delivery import DEFAULT_BUS, Delivery, Disturbance, Posted, named_bus
from slipway_sandbox.protocol import documents

LARGEST = 1024 * 1024
"""Bytes of all entries of a PutEvents."""
TIME_SIZE = 14
REQUIRED = ("Source", "DetailType", "Detail")
RESERVED = "aws."
"""How the sources begin that only AWS's services may name."""


class EventsRoom(Room):
    """Takes users' events, and sets how delivery is disturbed.

    Args:
        world: What all rooms share.
        delivery: Brings events to their targets.
    """

    service = "events"
    over_moto = True

    def __init__(self, world: World, delivery: Delivery) -> None:
        super().__init__(world)
        self._delivery = delivery
        world.events.subscribe(delivery.emit)

    def policy_of(self, arn: str) -> str | None:
        """Who else may put events on a bus."""
        _, _, _, region, account, resource = arn.split(":", 5)
        bus = named_bus(account, region, resource.rpartition("/")[2]) if resource.startswith("event-bus/") else None
        return bus.policy if bus else None

    def reset(self, account: str | None) -> None:
        """Stop disturbing events."""
        self._delivery.clear_disturbances(account)

    @operation("PutEvents", differs="targets are queues, log groups, buses and archives only; a queue without a policy takes all")
    def put_events(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Send events to a bus."""
        entries = request["Entries"]
        if sum(map(size_of, entries)) >= LARGEST:
            raise validation_error("Total size of the entries in the request is over the limit.")
        answers = [self._put(caller, entry) for entry in entries]
        return {"FailedEntryCount": sum("ErrorCode" in answer for answer in answers), "Entries": answers}

    def _put(self, caller: Caller, entry: dict[str, Any]) -> dict[str, Any]:
        problem = problem_of(entry)
        if problem:
            return problem
        account, bus = bus_named(caller, entry)
        event = Event(
            account=caller.account,
            region=caller.region,
            source=entry["Source"],
            detail_type=entry["DetailType"],
            detail=json.loads(entry["Detail"]),
            resources=entry.get("Resources", ()),
            time=entry.get("Time") or self.world.clock.now(),
        )
        # A bus that is not there takes events as any other, and drops them.
        self._delivery.post(Posted(event, account, caller.region, bus))
        return {"EventId": event.id}

    @operation("TestEventPattern", differs="the place of a mistake in a pattern is not told")
    def match_pattern(self, _caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Whether a pattern matches an event."""
        pattern = patterns.parse(request["EventPattern"])
        try:
            event = documents.parsed(request["Event"])
        except ValueError as error:
            raise validation_error("Parameter Event is not valid.") from error
        if not isinstance(event, dict):
            raise validation_error("Parameter Event is not valid. Reason: Filter is not an object.")
        missing = [
            name for name in ("id", "account", "source", "time", "region", "resources", "detail-type") if name not in event
        ]
        if missing:
            raise validation_error(f"Parameter Event is not valid. Reason: {', '.join(missing)} is missing.")
        return {"Result": patterns.matches(pattern, cast(dict[str, Any], event))}

    @dial("deliveries")
    def deliveries(self, body: dict[str, Any]) -> dict[str, Any]:
        """Lose, repeat or delay events: `{"account"?, "detailType"?, "lost", "repeated", "late", "delay"}`.

        The first three are probabilities, 0 unless said; `delay` is in simulated seconds. What is said again for the same
        account and detail type takes the place of what was said before.
        """
        disturbance = Disturbance.model_validate(body)
        self._delivery.set_disturbance(disturbance)
        return disturbance.model_dump(by_alias=True)


def problem_of(entry: dict[str, Any]) -> dict[str, Any]:
    """Why an entry is not taken, as its part of the answer says it; nothing if it is."""
    for name in REQUIRED:
        if not entry.get(name):
            return failure("InvalidArgument", f"Parameter {name} is not valid. Reason: {name} is a required argument.")
    if entry["Source"].startswith(RESERVED):
        return failure("NotAuthorizedForSourceException", "Not authorized for the source.")
    try:
        detail = documents.parsed(entry["Detail"])
    except ValueError:
        return failure("MalformedDetail", "Detail is malformed.")
    return {} if isinstance(detail, dict) else failure("MalformedDetail", "Detail is malformed.")


def failure(code: str, message: str) -> dict[str, Any]:
    """An entry's part of the answer, where it is not taken."""
    return {"ErrorCode": code, "ErrorMessage": message}


def bus_named(caller: Caller, entry: dict[str, Any]) -> tuple[str, str]:
    """Account and name of the bus that an entry is for."""
    name = entry.get("EventBusName") or DEFAULT_BUS
    return (name.split(":")[4], name.rpartition("/")[2]) if name.startswith("arn:") else (caller.account, name)


def size_of(entry: dict[str, Any]) -> int:
    """Bytes of an entry, as EventBridge counts them."""
    texts = [entry.get(name, "") for name in REQUIRED] + list(entry.get("Resources", ()))
    return sum(len(text.encode()) for text in texts) + (TIME_SIZE if isinstance(entry.get("Time"), datetime) else 0)

"""Brings events to the targets of the rules that match them. Rules and targets are moto's; so are queues and log groups."""

from __future__ import annotations

import json
import logging
import queue
import random
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, Field

from slipway_sandbox.core.clock import Clock
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.core.events import Event
from slipway_sandbox.core.models import Frozen
from slipway_sandbox.eventbridge import patterns, shaping
from slipway_sandbox.iam import decision, resources, stored
from slipway_sandbox.iam.policies import Ask
from slipway_sandbox.iam.principals import account_principal
from slipway_sandbox.moto.backend import MotoBackend

log = logging.getLogger(__name__)

DEFAULT_BUS = "default"
SERVICE = "events.amazonaws.com"
HOPS = 5
"""Buses that an event passes at most: rules may send in circles."""
ARN_PARTS = 6


class Disturbance(Frozen):
    """How likely events are lost, repeated or late. Each event is delivered at least once, unless it is lost."""

    model_config = ConfigDict(populate_by_name=True)

    account: str | None = None
    detail_type: str | None = Field(default=None, alias="detailType")
    lost: float = Field(default=0, ge=0, le=1)
    """The probability that it is never delivered."""
    repeated: float = Field(default=0, ge=0, le=1)
    """The probability that it is delivered twice, with the same id."""
    late: float = Field(default=0, ge=0, le=1)
    """The probability that a delivery is late."""
    delay: float = Field(default=60, ge=0, le=86400)
    """How late, in simulated seconds."""

    def applies_to(self, event: Event) -> bool:
        """Whether it is about such an event."""
        return self.account in (None, event.account) and self.detail_type in (None, event.detail_type)


@dataclass(frozen=True)
class Posted:
    """An event on its way to a bus."""

    event: Event
    account: str
    region: str
    bus: str
    hops: int = 0


class UndeliverableError(Exception):
    """A target cannot be reached; the text says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Delivery:
    """Delivers on a thread of its own, so that emitting an event does not wait.

    Args:
        clock: The simulated time, for events that come late.
        moto: Keeps rules, queues and log groups.
    """

    def __init__(self, clock: Clock, moto: MotoBackend) -> None:
        self._clock = clock
        self._moto = moto
        self._ready: queue.SimpleQueue[Posted] = queue.SimpleQueue()
        self._disturbances: dict[tuple[str | None, str | None], Disturbance] = {}
        self._random = random.Random(0)
        threading.Thread(target=self._run, name="sandbox-deliveries", daemon=True).start()

    def set_disturbance(self, disturbance: Disturbance) -> None:
        """Disturb such events from now on; replaces the setting for the same account and detail type."""
        self._disturbances[disturbance.account, disturbance.detail_type] = disturbance

    def clear_disturbances(self, account: str | None) -> None:
        """Stop disturbing the events of one account, or of all."""
        for key in [key for key in self._disturbances if account in (None, key[0])]:
            del self._disturbances[key]

    def emit(self, event: Event) -> None:
        """Send an event of a service to the default bus of its account."""
        self.post(Posted(event, event.account, event.region, DEFAULT_BUS))

    def post(self, posted: Posted) -> None:
        """Send an event to a bus."""
        event = posted.event
        found = [disturbance for disturbance in list(self._disturbances.values()) if disturbance.applies_to(event)]
        if not found:
            self._ready.put(posted)
            return
        # The setting for an account and a detail type goes before the one for all.
        disturbance = max(found, key=lambda each: (each.account is not None, each.detail_type is not None))
        if self._random.random() < disturbance.lost:
            return
        for _ in range(2 if self._random.random() < disturbance.repeated else 1):
            if self._random.random() < disturbance.late:
                self._clock.call_later(disturbance.delay, lambda: self._ready.put(posted))
            else:
                self._ready.put(posted)

    def _run(self) -> None:
        while True:
            posted = self._ready.get()
            try:
                with self._moto.lock:
                    self._deliver(posted)
            except Exception:
                log.exception("the event %s of %s could not be delivered", posted.event.detail_type, posted.event.source)

    def _deliver(self, posted: Posted) -> None:
        whole = envelope(posted.event)
        for rule in matching(posted, whole):
            for target in list(rule.targets):
                try:
                    self._send(posted, rule, target, whole)
                except UndeliverableError as error:
                    log.warning("rule %s cannot send to %s: %s", rule.arn, target["Arn"], error)
                    self._give_up(rule, target, whole, error)

    def _send(self, posted: Posted, rule: Any, target: Mapping[str, Any], whole: dict[str, Any]) -> None:
        parts = target["Arn"].split(":", ARN_PARTS - 1)
        service, region, account, resource = parts[2], parts[3], parts[4], parts[5]
        known = {
            "aws.events.rule-arn": rule.arn,
            "aws.events.rule-name": rule.name,
            "aws.events.event.ingestion-time": whole["time"],
        }
        match service, resource.partition("/")[0]:
            case "sqs", _:
                group = target.get("SqsParameters", {}).get("MessageGroupId")
                send_message(account, region, resource, shaping.body_of(target, whole, known), rule.arn, group)
            case "logs", _:
                write_log(account, region, resource.split(":")[1], shaping.body_of(target, whole, known))
            case "events", "event-bus" if posted.hops < HOPS:
                self._forward(posted, Posted(posted.event, account, region, resource.partition("/")[2], posted.hops + 1))
            case "events", "":
                archive(rule, posted.event, whole)
            case _:
                raise UndeliverableError("UNSUPPORTED_TARGET", f"the sandbox has no targets of {service}")

    def _forward(self, posted: Posted, onward: Posted) -> None:
        if onward.account != posted.account:
            bus = named_bus(onward.account, onward.region, onward.bus)
            arn = f"arn:aws:events:{onward.region}:{onward.account}:event-bus/{onward.bus}"
            policy = bus.policy if bus else None
            if policy is None or not decision.trusts(policy, account_principal(posted.account), Ask("events:PutEvents", arn, {})):
                raise UndeliverableError("NO_PERMISSIONS", f"{arn} does not let account {posted.account} put events")
        self._ready.put(onward)

    def _give_up(self, rule: Any, target: Mapping[str, Any], whole: dict[str, Any], error: UndeliverableError) -> None:
        arn = target.get("DeadLetterConfig", {}).get("Arn", "")
        if not arn:
            return
        _, _, _, region, account, name = arn.split(":", ARN_PARTS - 1)
        said = {"RULE_ARN": rule.arn, "TARGET_ARN": target["Arn"], "ERROR_CODE": error.code, "ERROR_MESSAGE": str(error)}
        attributes = {key: {"DataType": "String", "StringValue": value} for key, value in said.items()}
        try:
            send_message(account, region, name, json.dumps(whole), rule.arn, None, attributes)
        except UndeliverableError as problem:
            log.warning("nor to the dead letters of %s: %s", arn, problem)


def envelope(event: Event) -> dict[str, Any]:
    """An event as targets get it."""
    return {
        "version": "0",
        "id": event.id,
        "detail-type": event.detail_type,
        "source": event.source,
        "account": event.account,
        "time": f"{event.time:%Y-%m-%dT%H:%M:%SZ}",
        "region": event.region,
        "resources": list(event.resources),
        "detail": json.loads(json.dumps(event.detail, default=str)),
    }


def named_bus(account: str, region: str, name: str) -> Any:
    """A bus, if it is there."""
    backend = stored.backend("events", account, region)
    return backend.event_buses.get(name) if backend else None


def matching(posted: Posted, whole: Mapping[str, Any]) -> Iterator[Any]:
    """The rules that wait for an event."""
    bus = named_bus(posted.account, posted.region, posted.bus)
    for rule in list(bus.rules.values()) if bus else ():
        text = rule.event_pattern.dump()
        if not text or not rule.state.startswith("ENABLED"):
            continue
        try:
            if patterns.matches(patterns.parse(text), whole):
                yield rule
        except AwsError as error:
            log.warning("rule %s: %s", rule.arn, error.message)


def send_message(
    account: str, region: str, name: str, body: str, rule: str, group: str | None, attributes: Mapping[str, Any] | None = None
) -> None:
    """Put a message into a queue, if its policy allows EventBridge. A queue without a policy accepts all.

    Raises:
        UndeliverableError: The queue is missing, or its policy denies it.
    """
    sqs, arn = stored.backend("sqs", account, region), f"arn:aws:sqs:{region}:{account}:{name}"
    if sqs is None or name not in sqs.queues:
        raise UndeliverableError("RESOURCE_NOT_FOUND", f"{arn} does not exist")
    policy = resources.queue_policy(account, region, name)
    context = {"aws:sourcearn": (rule,), "aws:sourceaccount": (rule.split(":")[4],), "aws:principalisawsservice": ("true",)}
    if policy and not decision.lets_service(policy, SERVICE, Ask("sqs:SendMessage", arn, context)):
        raise UndeliverableError("NO_PERMISSIONS", f"the policy of {arn} does not let {SERVICE} send messages for {rule}")
    if name.endswith(".fifo") and not group:
        raise UndeliverableError("INVALID_PARAMETER", f"{arn} needs a MessageGroupId")
    sqs.send_message(name, body, message_attributes=attributes, group_id=group)


def write_log(account: str, region: str, group: str, body: str) -> None:
    """Write a line into a log group, in a stream of its own.

    Raises:
        UndeliverableError: The group is not there.
    """
    logs = stored.backend("logs", account, region)
    if logs is None or group not in logs.groups:
        raise UndeliverableError("RESOURCE_NOT_FOUND", f"log group {group} does not exist")
    stream = str(uuid.uuid4())
    logs.create_log_stream(group, stream)
    logs.put_log_events(group, stream, [{"timestamp": int(time.time() * 1000), "message": body}])


def archive(rule: Any, event: Event, whole: dict[str, Any]) -> None:
    """Keep an event in the archive that a rule of EventBridge's own fills."""
    backend = stored.backend("events", rule.account_id, rule.region_name)
    found = backend.archives.get(rule.name.removeprefix("Events-Archive-")) if backend else None
    if found:
        moment = event.time.timestamp()
        found.events.append({**whole, "time": moment, "ingestion-time": moment})

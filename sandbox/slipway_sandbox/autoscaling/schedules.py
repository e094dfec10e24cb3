"""Scheduled actions of scalable targets, as records. Nothing happens at their times."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from slipway_sandbox.autoscaling.quotas import SCHEDULED, AutoscalingQuotas
from slipway_sandbox.autoscaling.room import described, fits, not_found, page, target_key
from slipway_sandbox.autoscaling.targets import PolicyKey, ScalableTargets, ScheduledAction
from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import validation_error
from slipway_sandbox.core.world import Room, World, operation

SCHEDULE = re.compile(r"(at|rate|cron)\((.+)\)")
KEPT = ("Schedule", "Timezone", "StartTime", "EndTime", "ScalableTargetAction")


class ScheduleRoom(Room):
    """Keeps scheduled actions.

    Args:
        world: What all rooms share.
        targets: The targets and what belongs to them.
        quotas: How many scheduled actions a target may have.
    """

    service = "application-autoscaling"
    over_moto = True

    def __init__(self, world: World, targets: ScalableTargets, quotas: AutoscalingQuotas) -> None:
        super().__init__(world)
        self._targets = targets
        self._quotas = quotas

    @operation(
        "PutScheduledAction",
        differs="actions are kept and shown, and nothing happens at their times; of a schedule its kind is checked, and that an "
        "`at` is not over; the wording for schedules, times, time zones and quotas is not verified on AWS",
    )
    def put(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        target = target_key(caller, request)
        if target not in self._targets.targets:
            raise not_found(f"No scalable target registered for {described(request)}")
        key: PolicyKey = (*target, request["ScheduledActionName"])
        old = self._targets.actions.get(key)
        kept = {**(old.request if old else {}), **{name: request[name] for name in KEPT if name in request}}
        self._check(kept, caller, key)
        resource = f"resource/{target[2]}/{target[3]}:scheduledActionName/{key[5]}"
        arn = f"arn:aws:autoscaling:{caller.region}:{caller.account}:scheduledAction:{uuid.uuid4()}:{resource}"
        now = self.world.clock.now()
        self._targets.put_action(key, ScheduledAction(old.arn if old else arn, old.created if old else now, kept))
        return {}

    @operation("DescribeScheduledActions")
    def describe(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        names, resource = request.get("ScheduledActionNames"), request.get("ResourceId")
        found = [
            shown(key, action)
            for key, action in self._targets.actions.items()
            if fits(key, caller, request) and (not names or key[5] in names) and resource in (None, key[3])
        ]
        rows, token = page(found, request)
        return {"ScheduledActions": rows, "NextToken": token}

    @operation("DeleteScheduledAction")
    def delete(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ScheduledActionName"]
        if self._targets.drop_action((*target_key(caller, request), name)) is None:
            raise not_found(f"No scheduled action found for {described(request)}, scheduled action name: {name}")
        return {}

    def reset(self, account: str | None) -> None:
        """The targets' own room forgets them."""

    def _check(self, kept: dict[str, Any], caller: Caller, key: PolicyKey) -> None:
        now = self.world.clock.now()
        if "Schedule" not in kept or not kept.get("ScalableTargetAction"):
            raise validation_error("Schedule and ScalableTargetAction are required to create a scheduled action")
        when = SCHEDULE.fullmatch(kept["Schedule"])
        if when is None:
            raise validation_error("Schedule expression must have the following syntax: rate(...), cron(...) or at(...)")
        if when[1] == "at" and moment_of(when[2], kept.get("Timezone", "UTC")) <= now:
            raise validation_error("Schedule time of an at expression must be in the future")
        if "EndTime" in kept and kept["EndTime"] <= now:
            raise validation_error("EndTime must be in the future")
        others = sum(other[:5] == key[:5] and other != key for other in self._targets.actions)
        self._quotas.check(caller.account, SCHEDULED, others + 1)


def moment_of(text: str, zone: str) -> datetime:
    """The moment of an `at` expression.

    Raises:
        AwsError: It is none, or there is no such time zone.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise validation_error(f"Invalid at expression or time zone: at({text}), {zone}") from error


def shown(key: PolicyKey, action: ScheduledAction) -> dict[str, Any]:
    """A scheduled action as DescribeScheduledActions shows it."""
    return {
        "ScheduledActionName": key[5],
        "ScheduledActionARN": action.arn,
        "ServiceNamespace": key[2],
        "ResourceId": key[3],
        "ScalableDimension": key[4],
        "CreationTime": action.created,
        **action.request,
    }

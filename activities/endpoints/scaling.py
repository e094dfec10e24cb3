"""The automatic scaling of a variant, where an update needs it taken off.

"Update endpoints that use auto scaling" in SageMaker's developer guide has the rule: an update fails that changes the instance
type of a variant which is registered with Application Auto Scaling; one that changes the model does not. So scaling stays as it
is for all updates but those. While SageMaker updates an endpoint nothing is scaled, registered or not, and
`RetainAllVariantProperties` keeps the number of instances.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from activities.endpoints.former import START_AGAIN, Former
from activities.endpoints.messages import EndpointPlan, Scaling
from activities.endpoints.served import SageMakerAccount, taken_by
from slipway.errors import NeedsPersonError
from slipway.names import short_hash

DIMENSION = "sagemaker:variant:DesiredInstanceCount"
LIMIT = 8_192
"""Bytes of one variant's scaling as JSON: it is in the promotion's history, once for each target and more."""
NEVER_SCALED = "ml.t2."
"""Burstable instances, which RegisterScalableTarget refuses (aws-controllers-k8s/community, pull request 1633)."""
TRACKING = "TargetTrackingScaling"


class VariantScaling:
    """Application Auto Scaling for one variant of an endpoint.

    Args:
        account: The target's.
        resource: `endpoint/<name>/variant/<name>`.
    """

    def __init__(self, account: SageMakerAccount, resource: str) -> None:
        self.resource = resource
        self.client: Any = account.aws.scaling(account.region, account.role_arn)
        self._aws = account.aws

    async def read(self) -> Scaling | None:
        """What is registered now; None where the variant is not scaled automatically."""
        tried = f"looking at the automatic scaling of {self.resource}"
        of = {"ServiceNamespace": "sagemaker", "ScalableDimension": DIMENSION}
        one = {**of, "ResourceId": self.resource}
        targets = self.client.get_paginator("describe_scalable_targets").paginate(ResourceIds=[self.resource], **of)
        target = next(iter(await self._all(tried, targets, "ScalableTargets")), None)
        if target is None:
            return None
        policies = self.client.get_paginator("describe_scaling_policies").paginate(**one)
        actions = self.client.get_paginator("describe_scheduled_actions").paginate(**one)
        return Scaling(
            target=await self._target(tried, target),
            policies=await self._each(tried, policies, "ScalingPolicies", "PutScalingPolicy", "PolicyName"),
            actions=await self._each(tried, actions, "ScheduledActions", "PutScheduledAction", "ScheduledActionName"),
        )

    async def _target(self, tried: str, described: Mapping[str, Any]) -> dict[str, Any]:
        target = self._taken("RegisterScalableTarget", described)
        target.pop("RoleARN", None)  # for SageMaker it is always the service's own
        if arn := described.get("ScalableTargetARN"):
            answer = await self._aws.call(tried, self.client.list_tags_for_resource, ResourceARN=arn)
            target |= {"Tags": answer["Tags"]} if answer.get("Tags") else {}
        return target

    async def _each(self, tried: str, pages: Any, member: str, operation: str, name: str) -> tuple[dict[str, Any], ...]:
        """The arguments that make each again, in the order of their names: AWS lists them in any."""
        rows = sorted(await self._all(tried, pages, member), key=lambda row: row[name])
        return tuple(self._taken(operation, row) for row in rows)

    async def _all(self, tried: str, pages: Any, member: str) -> list[dict[str, Any]]:
        answer = await self._aws.call(tried, pages.build_full_result)
        return answer.get(member, [])

    def _taken(self, operation: str, described: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call that makes it again. Moments are texts, as Temporal keeps them."""
        return json.loads(json.dumps(taken_by(self.client, operation, described), default=_moment))


async def scaling_in_the_way(account: SageMakerAccount, plan: EndpointPlan, former: Former) -> Scaling | None:
    """The automatic scaling that the update needs taken off: that of the variant whose instance type the spec changes.

    Args:
        account: The target's.
        plan: The rollout.
        former: What the endpoint serves.

    Raises:
        NeedsPersonError: There is some that could not be put back as it was.
    """
    live, wanted = former.replaced.get("InstanceType"), plan.variant.instance_type
    if live is None or wanted is None or wanted == live:
        return None
    resource = f"endpoint/{plan.target.endpoint}/variant/{former.replaced['VariantName']}"
    scaling = await VariantScaling(account, resource).read()
    if scaling:
        _require_restorable(resource, scaling, wanted)
    return scaling


def _require_restorable(resource: str, scaling: Scaling, instance_type: str) -> None:
    tried = f"planning to take off the automatic scaling of {resource}, as the instance type changes"
    remedy = f"take it off by hand, or keep the instance type: take spec.rollout.variant.instanceType away; {START_AGAIN}"
    others = [str(policy["PolicyName"]) for policy in scaling.policies if policy["PolicyType"] != TRACKING]
    if others:
        said = f"it has the step scaling policies {', '.join(others)}, which people's alarms name by an ARN that would change"
        raise NeedsPersonError(tried, said, remedy)
    if instance_type.startswith(NEVER_SCALED):
        raise NeedsPersonError(tried, f"SageMaker scales no {instance_type} automatically", remedy)
    if len(scaling.model_dump_json()) > LIMIT:
        said = f"its policies and scheduled actions take more than {LIMIT} bytes, which is more than is recorded"
        raise NeedsPersonError(tried, said, remedy)


def digest_of(scaling: Scaling) -> str:
    """What names a variant's scaling on the endpoint config whose rollout takes it off."""
    content = json.dumps([scaling.target, scaling.policies, scaling.actions], sort_keys=True)
    return short_hash("scaling", 1, content, digits=64)


def is_part_of(found: Scaling, whole: Scaling) -> bool:
    """Whether there is nothing but what was recorded: all of it, or what was put back before a worker died."""
    if found.target != whole.target:
        return False
    return all(each in whole.policies for each in found.policies) and all(each in whole.actions for each in found.actions)


def is_scaled_otherwise(found: Scaling | None, recorded: Scaling | None) -> bool:
    """Whether somebody has changed a variant's scaling since it was recorded. Where there is none it may be taken off."""
    return found is not None and (recorded is None or not is_part_of(found, recorded))


def is_over(action: Mapping[str, Any], now: datetime) -> bool:
    """Whether the time of a scheduled action is over: Application Auto Scaling would not take it again."""
    schedule, end = str(action.get("Schedule", "")), action.get("EndTime")
    if end and datetime.fromisoformat(end) <= now:
        return True
    if not schedule.startswith("at("):
        return False
    try:
        zone = ZoneInfo(str(action.get("Timezone", "UTC")))
        return datetime.fromisoformat(schedule[3:-1]).replace(tzinfo=zone).astimezone(UTC) <= now
    except (ValueError, ZoneInfoNotFoundError):
        return False


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()

"""Scalable targets and scaling policies, as records."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from slipway_sandbox.autoscaling.quotas import POLICIES, STEPS, TARGETS, AutoscalingQuotas
from slipway_sandbox.autoscaling.targets import VARIANT, Policy, PolicyKey, ScalableTargets, Target, TargetKey
from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError, validation_error
from slipway_sandbox.core.world import Room, World, operation
from slipway_sandbox.protocol.pages import numbered_page

DEFAULT_PAGE = 50
CONFIGURATIONS = {
    "StepScaling": "StepScalingPolicyConfiguration",
    "TargetTrackingScaling": "TargetTrackingScalingPolicyConfiguration",
    "PredictiveScaling": "PredictiveScalingPolicyConfiguration",
}
SERVICE_ROLE = "aws-service-role/{service}.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_{name}"
SERVICE_NAMES = {"sagemaker": "SageMakerEndpoint", "ecs": "ECSService", "dynamodb": "DynamoDBTable"}
Item = TypeVar("Item")


class Variants(Protocol):
    """SageMaker's variants, as Application Auto Scaling sees them."""

    def instances(self, caller: Caller, endpoint: str, variant: str) -> int | None:
        """How many instances a variant has, or None where there is no such variant, or a serverless one."""
        ...


class AutoscalingRoom(Room):
    """Keeps scalable targets and policies. Nothing is scaled.

    Args:
        world: What all rooms share.
        targets: The targets and policies.
        variants: SageMaker's variants.
        quotas: How many targets and policies an account may have.
    """

    service = "application-autoscaling"
    over_moto = True

    def __init__(self, world: World, targets: ScalableTargets, variants: Variants, quotas: AutoscalingQuotas) -> None:
        super().__init__(world)
        self._targets = targets
        self._variants = variants
        self._quotas = quotas

    @operation(
        "RegisterScalableTarget",
        concurrent=True,
        differs="nothing is scaled; an endpoint's variant has to exist, targets of other services need not; the wording for "
        "bounds, quotas and a variant that is not there is not verified on AWS; a quota of 500 targets for each service",
    )
    def register(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        key = target_key(caller, request)
        self._require_variant(caller, request)
        with self.lock:
            old = self._targets.targets.get(key)
            target = self._target(caller, request, old)
            self._quotas.check(caller.account, TARGETS, self._targets.count(key))
            self._targets.put(key, target)
        return {"ScalableTargetARN": target.arn}

    @operation("DescribeScalableTargets")
    def describe_targets(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        wanted = request.get("ResourceIds")
        found = [
            target.shown()
            for key, target in self._targets.targets.items()
            if fits(key, caller, request) and (not wanted or target.resource in wanted)
        ]
        shown, token = page(found, request)
        return {"ScalableTargets": shown, "NextToken": token}

    @operation("DeregisterScalableTarget")
    def deregister(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        key = target_key(caller, request)
        if key not in self._targets.targets:
            raise not_found(f"No scalable target found for {described(request)}")
        self._targets.deregister(key)
        return {}

    @operation("ListTagsForResource")
    def list_tags(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        place, arn = (caller.account, caller.region), request["ResourceARN"]
        found = next((target for key, target in self._targets.targets.items() if (key[:2], target.arn) == (place, arn)), None)
        if found is None:
            raise AwsError("ResourceNotFoundException", f"The resource doesn't exist: {arn}")
        return {"Tags": found.tags}

    @operation(
        "PutScalingPolicy",
        differs="policies are kept and shown, scale nothing and make no alarms; the wording for quotas is not verified on AWS",
    )
    def put_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        key = policy_key(caller, request)
        if key[:5] not in self._targets.targets:
            raise not_found(f"No scalable target registered for {described(request)}")
        policy = self._policy(caller, request, self._targets.policies.get(key))
        self._check_quotas(key, policy)
        self._targets.put_policy(key, policy)
        return {"PolicyARN": policy.arn, "Alarms": []}

    @operation("DescribeScalingPolicies")
    def describe_policies(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        names = request.get("PolicyNames")
        resource = request.get("ResourceId")
        found = [
            shown_policy(key, policy)
            for key, policy in self._targets.policies.items()
            if fits(key, caller, request) and (not names or policy.name in names) and resource in (None, key[3])
        ]
        shown, token = page(found, request)
        return {"ScalingPolicies": shown, "NextToken": token}

    @operation("DeleteScalingPolicy")
    def delete_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        if self._targets.drop_policy(policy_key(caller, request)) is None:
            raise not_found(f"No scaling policy found for {described(request)}, policy name: {request['PolicyName']}")
        return {}

    def reset(self, account: str | None) -> None:
        """Forget the targets and policies of one account, or all."""
        self._targets.clear(account)

    def _check_quotas(self, key: PolicyKey, policy: Policy) -> None:
        steps = policy.configuration.get("StepAdjustments", ()) if policy.kind == "StepScaling" else ()
        self._quotas.check(key[0], STEPS, len(steps))
        others = sum(other[:5] == key[:5] and other != key for other in self._targets.policies)
        self._quotas.check(key[0], POLICIES, others + 1)

    def _require_variant(self, caller: Caller, request: dict[str, Any]) -> None:
        if request["ServiceNamespace"] != "sagemaker" or request["ScalableDimension"] != VARIANT:
            return
        place = variant_of(request["ResourceId"])
        if place is None:
            raise validation_error("Unsupported service namespace, resource type or scalable dimension")
        if self._variants.instances(caller, *place) is None:
            arn = f"arn:aws:sagemaker:{caller.region}:{caller.account}:endpoint/{place[0].lower()}"
            raise validation_error(f'Could not find endpoint "{arn}" with a variant "{place[1]}" that runs on instances.')

    def _target(self, caller: Caller, request: dict[str, Any], old: Target | None) -> Target:
        """The target as it is after a request, which may name what changes only."""
        minimum = request.get("MinCapacity", old.minimum if old else None)
        maximum = request.get("MaxCapacity", old.maximum if old else None)
        if minimum is None or maximum is None:
            raise validation_error("MinCapacity and MaxCapacity are required to register a new scalable target")
        if maximum < minimum:
            raise validation_error("Maximum capacity cannot be less than minimum capacity")
        if minimum < 0:
            raise validation_error("Minimum capacity must be greater than or equal to 0")
        if old and request.get("Tags"):
            raise validation_error(
                "The scalable target that you tried to tag already exists. To update tags on an existing scalable target, use "
                "the TagResource API."
            )
        namespace = request["ServiceNamespace"]
        place = f"{caller.region}:{caller.account}"
        return Target(
            namespace,
            request["ResourceId"],
            request["ScalableDimension"],
            minimum,
            maximum,
            old.role if old else request.get("RoleARN", service_role(caller, namespace)),
            old.arn if old else f"arn:aws:application-autoscaling:{place}:scalable-target/{uuid.uuid4().hex[:22]}",
            old.created if old else self.world.clock.now(),
            {**(old.suspended if old else {}), **request.get("SuspendedState", {})},
            old.tags if old else request.get("Tags", {}),
        )

    def _policy(self, caller: Caller, request: dict[str, Any], old: Policy | None) -> Policy:
        kind = request.get("PolicyType", old.kind if old else "StepScaling")
        configuration = request.get(CONFIGURATIONS[kind], old.configuration if old else None)
        if configuration is None:
            raise validation_error(f"{CONFIGURATIONS[kind]} is required for the policy type {kind}")
        if kind == "TargetTrackingScaling":
            check_tracking(configuration)
        number = uuid.uuid4()
        resource = f"resource/{request['ServiceNamespace']}/{request['ResourceId']}:policyName/{request['PolicyName']}"
        arn = old.arn if old else f"arn:aws:autoscaling:{caller.region}:{caller.account}:scalingPolicy:{number}:{resource}"
        created = old.created if old else self.world.clock.now()
        return Policy(request["PolicyName"], arn, kind, created, configuration)


def variant_of(resource: str) -> tuple[str, str] | None:
    """Endpoint and variant of `endpoint/<name>/variant/<name>`."""
    match resource.split("/"):
        case ["endpoint", endpoint, "variant", variant]:
            return endpoint, variant
        case _:
            return None


def check_tracking(configuration: dict[str, Any]) -> None:
    """Refuse a target tracking that tracks nothing, or two things.

    Raises:
        AwsError: `ValidationException`.
    """
    if ("PredefinedMetricSpecification" in configuration) == ("CustomizedMetricSpecification" in configuration):
        raise validation_error(
            "A target tracking policy needs exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification"
        )
    if configuration["TargetValue"] <= 0:
        raise validation_error("TargetValue must be greater than 0")


def target_key(caller: Caller, request: dict[str, Any]) -> TargetKey:
    """A target's key.

    Raises:
        AwsError: The dimension is not one of the namespace's.
    """
    namespace, dimension = request["ServiceNamespace"], request["ScalableDimension"]
    if dimension.partition(":")[0] != namespace:
        raise validation_error("Unsupported service namespace, resource type or scalable dimension")
    return (caller.account, caller.region, namespace, request["ResourceId"], dimension)


def policy_key(caller: Caller, request: dict[str, Any]) -> PolicyKey:
    """A policy's key."""
    return (*target_key(caller, request), request["PolicyName"])


def fits(key: Sequence[str], caller: Caller, request: dict[str, Any]) -> bool:
    """Whether a target or policy is the caller's, of the namespace and dimension that a request asks for."""
    mine = (caller.account, caller.region, request["ServiceNamespace"])
    return tuple(key[:3]) == mine and request.get("ScalableDimension") in (None, key[4])


def described(request: dict[str, Any]) -> str:
    """A target, as AWS's messages name it."""
    return (
        f"service namespace: {request['ServiceNamespace']}, resource ID: {request['ResourceId']}, "
        f"scalable dimension: {request['ScalableDimension']}"
    )


def not_found(message: str) -> AwsError:
    """What says that there is no such target or policy."""
    return AwsError("ObjectNotFoundException", message)


def service_role(caller: Caller, namespace: str) -> str:
    """The role that AWS makes by itself."""
    name = SERVICE_ROLE.format(service=namespace, name=SERVICE_NAMES.get(namespace, namespace))
    return f"arn:aws:iam::{caller.account}:role/{name}"


def shown_policy(key: PolicyKey, policy: Policy) -> dict[str, Any]:
    """A policy as DescribeScalingPolicies shows it."""
    return {
        "PolicyARN": policy.arn,
        "PolicyName": policy.name,
        "ServiceNamespace": key[2],
        "ResourceId": key[3],
        "ScalableDimension": key[4],
        "PolicyType": policy.kind,
        CONFIGURATIONS[policy.kind]: policy.configuration,
        "Alarms": [],
        "CreationTime": policy.created,
    }


def page(items: Sequence[Item], request: dict[str, Any]) -> tuple[list[Item], str | None]:
    """One page of a list, and the token of the next one.

    Raises:
        AwsError: `InvalidNextTokenException`.
    """
    return numbered_page(items, request, DEFAULT_PAGE, AwsError("InvalidNextTokenException", "The NextToken is not valid"))

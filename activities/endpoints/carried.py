"""The model and the endpoint config of a rollout: what the live endpoint has, with the new package and what the spec names.

Pure. A new endpoint has what the spec says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast

from activities.endpoints import settings
from activities.endpoints.former import Former
from activities.endpoints.messages import EndpointPlan
from activities.endpoints.plan import NEW_VARIANT
from activities.endpoints.served import containers_of
from activities.tags import ENDPOINT_TAG, PROMOTION_TAG, SCALING_TAG
from slipway.errors import NeedsPersonError

OF_THE_PACKAGE = frozenset({"Image", "ModelDataUrl", "ModelDataSource", "ModelPackageName"})
"""What a container serves. All its other members are settings, and are carried over."""
RESERVED = "aws:"
"""The prefix of tags that only AWS may set."""


def model_arguments(plan: EndpointPlan, former: Former | None, named: Collection[str]) -> dict[str, Any]:
    """The arguments of CreateModel.

    Args:
        plan: The rollout.
        former: What the endpoint serves; none for a new endpoint.
        named: The environment variables that the package sets itself. Its values count.
    """
    served: list[Mapping[str, Any]] = containers_of(former.model) if former else [{}]
    place = former.container if former else 0
    served[place] = {"ModelPackageName": plan.package.arn} | _settings(served[place], named, plan.settings.environment or {})
    arguments = {**former.model} if former else {}
    if former and "PrimaryContainer" not in former.model:
        arguments["Containers"] = served
    else:
        arguments["PrimaryContainer"] = served[0]
    arguments |= settings.of_model(plan.settings)
    role = plan.target.execution_role_arn or plan.variant.execution_role_arn
    tags = _tags(plan, former.model_tags if former else {})
    return {**arguments, **({"ExecutionRoleArn": role} if role else {}), "ModelName": plan.model, "Tags": tags}


def _settings(container: Mapping[str, Any], named: Collection[str], written: Mapping[str, str]) -> dict[str, Any]:
    kept = {member: value for member, value in container.items() if member not in OF_THE_PACKAGE}
    environment = {name: value for name, value in kept.pop("Environment", {}).items() if name not in named} | {**written}
    return kept | ({"Environment": environment} if environment else {})


def config_arguments(plan: EndpointPlan, former: Former | None) -> dict[str, Any]:
    """The arguments of CreateEndpointConfig.

    Args:
        plan: The rollout.
        former: What the endpoint serves; none for a new endpoint.

    Raises:
        NeedsPersonError: The endpoint is new, and the spec does not say what it runs on; or the spec has settings of another kind
            of endpoint than the live one is.
    """
    named = {"EndpointConfigName": plan.config, "Tags": _tags(plan, former.config_tags if former else {})}
    named |= settings.of_config(plan.settings)
    if former is None:
        return {"ProductionVariants": [_new_variant(plan)], **named}
    _require_kind(plan, former)
    variants = [dict(variant) for variant in former.config["ProductionVariants"]]
    replaced = variants[former.variant]
    replaced |= {"ModelName": plan.model, **settings.of_variant(plan.settings)}
    if plan.variant.instance_type and "InstanceType" in replaced:
        replaced["InstanceType"] = plan.variant.instance_type
    return {**former.config, "ProductionVariants": variants, **named}


def _new_variant(plan: EndpointPlan) -> dict[str, Any]:
    if plan.variant.instance_type is None and plan.settings.serverless is None:
        raise NeedsPersonError(
            f"planning the new endpoint {plan.target.endpoint}",
            "there is none yet, and the spec does not say what it runs on",
            "write spec.rollout.variant.instanceType, or create the endpoint by hand; then start again",
        )
    sized = {"InstanceType": plan.variant.instance_type, "InitialInstanceCount": plan.variant.instance_count}
    return {
        "VariantName": plan.variant.name or NEW_VARIANT,
        "ModelName": plan.model,
        "InitialVariantWeight": 1.0,
        **({} if plan.settings.serverless else sized),
        **settings.of_variant(plan.settings),
    }


def _require_kind(plan: EndpointPlan, former: Former) -> None:
    """SageMaker changes the kind of an endpoint in few cases, and its clients with it in none."""
    other = {
        "serverless": plan.settings.serverless and "ServerlessConfig" not in former.replaced,
        "asyncInference": plan.settings.async_inference and "AsyncInferenceConfig" not in former.config,
    }
    if wrong := [key for key, is_other in other.items() if is_other]:
        raise NeedsPersonError(
            f"planning the rollout to {plan.target.endpoint}",
            f"the spec has {wrong[0]}, and the live endpoint is of another kind",
            f"take spec.rollout.settings.{wrong[0]} away, or name another endpoint as the target; then start again",
        )


def _tags(plan: EndpointPlan, former: Mapping[str, str]) -> list[dict[str, str]]:
    carried = {key: value for key, value in former.items() if not key.startswith(RESERVED) and key != SCALING_TAG}
    own = {PROMOTION_TAG: plan.promotion_id, ENDPOINT_TAG: plan.target.endpoint}
    return [{"Key": key, "Value": value} for key, value in {**carried, **own}.items()]


def not_carried(plan: EndpointPlan, former: Former, package: Mapping[str, str]) -> list[str]:
    """Where something else counts than what the endpoint has, or than what the spec says. Values are not told.

    Args:
        plan: The rollout.
        former: What the endpoint serves.
        package: The environment that the package sets itself.
    """
    warnings: list[str] = []
    other = sorted(name for name, value in former.environment.items() if package.get(name, value) != value)
    if other:
        warnings.append(f"the package sets {', '.join(other)} to other values than the live model has: the package's count")
    warnings += _changed_by_spec(plan, former)
    wanted, variant = plan.variant.instance_type, former.replaced
    if wanted and "InstanceType" not in variant:
        kind = "is serverless" if "ServerlessConfig" in variant else "has instance pools"
        warnings.append(f"{plan.target.endpoint} {kind}, and stays so: instanceType {wanted} is not used")
    elif wanted and wanted != variant["InstanceType"]:
        warnings.append(f"{plan.target.endpoint} goes from {variant['InstanceType']} to {wanted}, which the spec names")
    return warnings


def _changed_by_spec(plan: EndpointPlan, former: Former) -> list[str]:
    written = plan.settings
    of_container = {"Environment": written.environment or {}}
    changed = [
        *differences({"Environment": former.environment}, of_container),
        *differences(former.model, settings.of_model(written)),
        *differences(former.config, settings.of_config(written)),
        *differences(former.replaced, settings.of_variant(written)),
    ]
    return [f"the spec's settings change {', '.join(changed)} of {plan.target.endpoint}"] if changed else []


def differences(found: Any, wanted: Any, path: str = "") -> Iterator[str]:
    """Where something that was made lacks what was wanted of it, by the names of members. What AWS adds is no difference."""
    match wanted, found:
        case dict(), dict():
            members = cast("dict[str, Any]", wanted)
            for name, value in members.items():
                yield from differences(cast("dict[str, Any]", found).get(name), value, f"{path}.{name}" if path else name)
        case list(), list() if len(cast("list[Any]", wanted)) == len(cast("list[Any]", found)):
            for has, value in zip(cast("list[Any]", found), cast("list[Any]", wanted), strict=True):
                yield from differences(has, value, path)
        case _ if found != wanted:
            yield path
        case _:
            pass

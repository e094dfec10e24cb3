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
from slipway.app.spec import SPEC_FILE
from slipway.differences import FieldChange, changes_between
from slipway.errors import NeedsPersonError
from slipway.findings import Finding, Level

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


def not_carried(plan: EndpointPlan, former: Former, package: Mapping[str, str]) -> list[Finding]:
    """Where something else counts than what the endpoint has, or than what the spec says. Values are not told.

    Args:
        plan: The rollout.
        former: What the endpoint serves.
        package: The environment that the package sets itself.
    """
    found: list[Finding] = []
    other = sorted(name for name, value in former.environment.items() if package.get(name, value) != value)
    if other:
        what = f"the package sets {', '.join(other)} to other values than the live model has: the package's count"
        why = "the package's own environment goes before the live model's"
        found.append(_instead(f"the container of {plan.package.arn}", what, why, "see that the package's values are meant"))
    wanted, variant = plan.variant.instance_type, former.replaced
    if wanted and "InstanceType" not in variant:
        kind = "is serverless" if "ServerlessConfig" in variant else "has instance pools"
        what = f"{plan.target.endpoint} {kind}, and stays so: instanceType {wanted} is not used"
        why, remedy = "a rollout does not change the kind of an endpoint", "take spec.rollout.variant.instanceType away"
        found.append(_instead(f"{SPEC_FILE}: spec.rollout.variant.instanceType", what, why, remedy))
    return found


def _instead(where: str, what: str, why: str, remedy: str) -> Finding:
    return Finding(level=Level.warn, what=what, where=where, why=why, remedy=remedy)


def changed_by_spec(plan: EndpointPlan, former: Former) -> list[str]:
    """What the spec changes of a live endpoint beside its model, as notices have it."""
    changes = _changed_by_spec(plan, former)
    wanted, variant = plan.variant.instance_type, former.replaced
    if wanted and wanted != variant.get("InstanceType", wanted):
        changes.append(f"{plan.target.endpoint} goes from {variant['InstanceType']} to {wanted}, which the spec names")
    return changes


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


OF_NEW_PACKAGE = "(the new package's)"
"""What stands for members that a package brings, where the live container has them without one."""


def endpoint_changes(plan: EndpointPlan, former: Former | None, named: Collection[str]) -> tuple[FieldChange, ...]:
    """What a rollout changes of an endpoint's config and model, or what a new endpoint gets: field by field.

    It compares what is live with the very arguments of the calls that a rollout makes. Tags are left out.

    Args:
        plan: The rollout.
        former: What the endpoint serves; none for a new endpoint.
        named: The environment variables that the package sets itself.

    Raises:
        NeedsPersonError: As `config_arguments`.
    """
    model = _content(model_arguments(plan, former, named))
    wanted = {**_content(config_arguments(plan, former)), "Model": model}
    if former is None:
        return changes_between({}, wanted)
    live_model = {**former.model}
    if "PrimaryContainer" in live_model or "Containers" not in live_model:
        live_model["PrimaryContainer"], model["PrimaryContainer"] = _compared(
            live_model.get("PrimaryContainer", {}), model["PrimaryContainer"]
        )
    else:
        at, live_containers, new = former.container, [*live_model["Containers"]], [*model["Containers"]]
        live_containers[at], new[at] = _compared(live_containers[at], new[at])
        live_model["Containers"], model["Containers"] = live_containers, new
    return changes_between({**former.config, "Model": live_model}, wanted)


def _content(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in arguments.items() if member not in {"ModelName", "EndpointConfigName", "Tags"}}


def _compared(live: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A container and the one in its place, whose image and files come from its package."""
    of_package = OF_THE_PACKAGE - {"ModelPackageName"}
    if "ModelPackageName" in live:
        return {member: value for member, value in live.items() if member not in of_package}, {**new}
    return {**live}, {**new, **{member: OF_NEW_PACKAGE for member in of_package if member in live}}

"""What a live endpoint serves, described whole: a rollout starts from it, and changes the model and what the spec names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from activities.endpoints.messages import EndpointPlan
from activities.endpoints.served import SageMakerAccount, containers_of, group_of
from slipway.errors import NeedsPersonError
from slipway.gathering import both

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import DescribeModelOutputTypeDef

START_AGAIN = "then start again"


@dataclass(frozen=True)
class Former:
    """An endpoint config and the model of the variant to replace, as the calls that create them take them.

    It stays inside the worker: the environment of a container may hold secrets.
    """

    config: Mapping[str, Any]
    """Arguments of CreateEndpointConfig, but for name and tags."""
    config_tags: Mapping[str, str]
    model: Mapping[str, Any]
    """Arguments of CreateModel, but for name and tags."""
    model_tags: Mapping[str, str]
    variant: int
    """The place of the variant to replace among the production variants."""
    container: int
    """The place of the container to replace among the model's."""

    @property
    def replaced(self) -> Mapping[str, Any]:
        """The variant to replace."""
        return self.config["ProductionVariants"][self.variant]

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that the model gives to the container to replace, beside those of its package."""
        return containers_of(self.model)[self.container].get("Environment", {})


async def former_of(account: SageMakerAccount, plan: EndpointPlan) -> Former | None:
    """What the plan's endpoint serves; none where the plan begins without it."""
    return await read_former(account, plan, plan.former) if plan.former else None


async def read_former(account: SageMakerAccount, plan: EndpointPlan, name: str) -> Former:
    """Describes an endpoint config and the model to replace.

    Args:
        account: The target's.
        plan: The rollout.
        name: The endpoint config.

    Raises:
        NeedsPersonError: A part of it is gone, it is not clear what to replace, or the endpoint is of a kind whose model a
            rollout cannot replace.
    """
    tried = f"reading what {plan.target.endpoint} serves"
    config = await account.config(name)
    if config is None:
        said = f"the endpoint config {name} does not exist any more, and SageMaker updates no endpoint without it"
        raise NeedsPersonError(tried, said, "create it again as the endpoint has it, then retry")
    # Like its parts, the whole is passed on to a call that botocore checks.
    described = cast("Mapping[str, Any]", config)
    variant = place_of_variant(tried, described["ProductionVariants"], plan.variant.name)
    model_name = model_to_replace(tried, described["ProductionVariants"][variant])
    (model, model_tags), config_tags = await both(
        _model(account, tried, model_name), account.tags_of(config["EndpointConfigArn"])
    )
    arguments = account.arguments_of("CreateModel", model)
    return Former(
        config=account.arguments_of("CreateEndpointConfig", config),
        config_tags=config_tags,
        model=arguments,
        model_tags=model_tags,
        variant=variant,
        container=place_of_container(tried, containers_of(arguments), plan.package.arn),
    )


async def _model(account: SageMakerAccount, tried: str, name: str) -> tuple[DescribeModelOutputTypeDef, dict[str, str]]:
    """The model and its tags."""
    model = await account.model(name)
    if model is None:
        said = f"its model {name} does not exist any more, so that nothing can be carried over from it"
        raise NeedsPersonError(tried, said, "create it again as it was, or update the endpoint to another model; then retry")
    return model, await account.tags_of(model["ModelArn"])


def place_of_variant(tried: str, variants: Sequence[Mapping[str, Any]], wanted: str | None) -> int:
    """The place of the production variant to replace: the one that the spec names, or the only one.

    Raises:
        NeedsPersonError: There is none of that name, or there are several.
    """
    names = [variant["VariantName"] for variant in variants]
    if wanted in names:
        return names.index(wanted)
    if wanted is None and len(names) == 1:
        return 0
    said = f"its variants are {', '.join(names)}, and the spec's is {wanted or 'not named'}"
    raise NeedsPersonError(tried, said, f"name the one to replace in spec.rollout.variant.name, {START_AGAIN}")


def model_to_replace(tried: str, variant: Mapping[str, Any]) -> str:
    """The name of a variant's model.

    Raises:
        NeedsPersonError: The variant has inference components, or models by instance pool.
    """
    name = variant["VariantName"]
    if not variant.get("ModelName"):
        said = f"its variant {name} has no model: it serves inference components, which a rollout does not update"
        raise NeedsPersonError(tried, said, f"name an endpoint whose variants have models as the target, {START_AGAIN}")
    if any("ModelNameOverride" in pool for pool in variant.get("InstancePools", [])):
        said = f"the instance pools of its variant {name} have models of their own, and a rollout replaces one model"
        raise NeedsPersonError(tried, said, f"take ModelNameOverride off the pools, or name another target; {START_AGAIN}")
    return variant["ModelName"]


def place_of_container(tried: str, containers: Sequence[Mapping[str, Any]], package: str) -> int:
    """The place of the container to replace: the only one, or the one that comes from the package's group.

    Raises:
        NeedsPersonError: It is not clear which one, or it is of a kind that a package cannot replace.
    """
    group = group_of(package)
    ours = [at for at, container in enumerate(containers) if group_of(container.get("ModelPackageName", "")) == group]
    places = ours if len(containers) > 1 else [0]
    if len(places) != 1:
        said = f"its model has {len(containers)} containers, of which {len(places)} come from the group of {package}"
        raise NeedsPersonError(tried, said, f"serve a model with one container from that group, {START_AGAIN}")
    container = containers[places[0]]
    if container.get("Mode") == "MultiModel":
        said = "its container loads many models from one place (MultiModel), and a rollout replaces one model"
        raise NeedsPersonError(tried, said, f"name an endpoint with a model of its own as the target, {START_AGAIN}")
    if specification := container.get("InferenceSpecificationName"):
        said = f"its container serves the additional inference specification {specification} of its package"
        remedy = "approvers see the package's main one: serve that, then retry"
        raise NeedsPersonError(tried, said, remedy)
    return places[0]

"""Former configs and models on the local AWS: which of them are removed once a promotion is done, and which never are."""

from __future__ import annotations

from typing import Any

import pytest

from activities.endpoints.cleaning import AccountInUse, CleanedTarget, CleanedUp, CleanUp, CleanUpActivities, is_made_for
from activities.endpoints.messages import EndpointPlan
from slipway.app.spec import Target
from slipway.aws.clients import Aws
from slipway.errors import TransientError
from slipway.names import hashed_name
from tests.activities.conftest import Run
from tests.activities.serving import Serving

ENDPOINT = "screening-prod"
ROLE = "arn:aws:iam::222222222222:role/screening-endpoint"


def named(endpoint: str, version: int) -> str:
    return hashed_name(f"{endpoint}-v{version}", "config", 2, version)


class Shelf:
    """Configs and models of earlier promotions, and of people."""

    def __init__(self, serving: Serving) -> None:
        self.serving, self.sagemaker = serving, serving.sagemaker
        self._package = serving.package("former")

    def put(self, name: str, **tags: str) -> str:
        """A config and a model of the same name."""
        marks = [{"Key": key.replace("_", "-"), "Value": value} for key, value in tags.items()]
        container = {"ModelPackageName": self._package.arn}
        self.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE, Tags=marks)
        variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], Tags=marks)
        return name

    def former(self, *versions: int, endpoint: str = ENDPOINT) -> list[str]:
        """What promotions made, the oldest first."""
        return [self.put(named(endpoint, version), slipway_promotion=f"screening-{version}") for version in versions]

    @property
    def configs(self) -> set[str]:
        return {each["EndpointConfigName"] for each in self.sagemaker.list_endpoint_configs(MaxResults=100)["EndpointConfigs"]}

    @property
    def models(self) -> set[str]:
        return {each["ModelName"] for each in self.sagemaker.list_models(MaxResults=100)["Models"]}


@pytest.fixture
def shelf(serving: Serving) -> Shelf:
    return Shelf(serving)


@pytest.fixture
def cleaning(aws: Aws) -> CleanUpActivities:
    return CleanUpActivities(aws)


def clean_up(plan: EndpointPlan, keep: int, **changes: Any) -> CleanUp:
    cleaned = CleanedTarget(target=Target(endpoint=ENDPOINT), region=plan.region, config=plan.config, former=plan.former)
    return CleanUp(targets=(cleaned.model_copy(update=changes),), keep=keep)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("screening-prod-v12-0123456789", True),
        ("screening-prod-v12-012345678x", False),
        ("screening-prod-eu-v12-0123456789", False),
        ("screening-prod-v1-v12-0123456789", False),
        ("screening-prod-0123456789", False),
        ("screening-prod-v12", False),
    ],
)
def test_given_a_name_then_it_is_known_whether_slipway_gives_it_to_the_endpoint(name: str, made: bool) -> None:
    assert is_made_for(name, ENDPOINT) is made


async def test_given_more_former_configs_than_are_kept_then_only_older_ones_that_nobody_uses_are_removed(
    serving: Serving, shelf: Shelf, cleaning: CleanUpActivities, run: Run
) -> None:
    used, *old = shelf.former(1, 2, 3)
    kept = shelf.former(4, 5)
    others = shelf.former(1, 2, 3, endpoint="screening-prod-eu")
    by_hand = shelf.put("screening-prod-v6-0123456789")
    anothers = shelf.put(named(ENDPOINT, 7), slipway_promotion="spam-1", slipway_endpoint="screening--prod")
    serving.sagemaker.create_endpoint(EndpointName="shared", EndpointConfigName=used)
    plan = await serving.serve()

    done = await run(cleaning.clean_up, clean_up(plan, 4))

    assert done == CleanedUp(configs=2, models=2)
    assert done.line == "removed 2 endpoint configs and 2 models of earlier promotions"
    left = {used, *kept, *others, by_hand, anothers}
    assert shelf.configs == {*left, plan.config}
    assert shelf.models == {*left, plan.model}
    assert not shelf.configs & set(old)
    assert await run(cleaning.clean_up, clean_up(plan, 4)) == CleanedUp()


class Components:
    """An account in which one endpoint serves inference components, and the pools of another have a model of their own."""

    region = "us-east-1"

    def __init__(self) -> None:
        self.aws, self.sagemaker = self, self

    async def call(self, tried: str, function: Any, **arguments: Any) -> Any:
        del tried
        return function(**arguments)

    async def endpoint(self, name: str) -> dict[str, Any]:
        return {"EndpointConfigName": f"of-{name}"}

    async def config(self, name: str) -> dict[str, Any]:
        pools = [{"InstanceType": "ml.g5.xlarge", "ModelNameOverride": "of-a-pool"}, {"InstanceType": "ml.g6.xlarge"}]
        variants = {"of-components": {"VariantName": "a"}, "of-pools": {"ModelName": "first", "InstancePools": pools}}
        return {"ProductionVariants": [variants[name]]}

    def list_endpoints(self, **_: Any) -> Any:
        return {"Endpoints": [{"EndpointName": "components"}, {"EndpointName": "pools"}]}

    def list_inference_components(self, **_: Any) -> Any:
        return {"InferenceComponents": [{"InferenceComponentName": name} for name in ("base", "adapter")]}

    def describe_inference_component(self, InferenceComponentName: str) -> Any:  # noqa: N803 -- as boto3 has it
        served = {"base": {"ModelName": "of-a-component"}, "adapter": {"BaseInferenceComponentName": "base"}}
        return {"Specification": served[InferenceComponentName]}


async def test_given_endpoints_with_components_and_pools_then_their_models_are_in_use() -> None:
    account: Any = Components()
    configs, models = await AccountInUse(account).used()
    assert configs == {"of-components", "of-pools"}
    assert models == {"first", "of-a-pool", "of-a-component"}


async def test_given_a_worker_killed_after_it_removed_configs_when_another_cleans_up_then_their_models_are_removed(
    serving: Serving, shelf: Shelf, cleaning: CleanUpActivities, run: Run
) -> None:
    old, kept = shelf.former(1, 2)
    plan = await serving.serve()
    fault = serving.sandbox.plant_fault("sagemaker", "ListModels", "server-error", count=9, account=serving.account)
    with pytest.raises(TransientError):
        await run(cleaning.clean_up, clean_up(plan, 1))
    serving.sandbox.remove_fault(fault)
    assert (old in shelf.configs, old in shelf.models) == (False, True)

    assert await run.again(cleaning.clean_up, clean_up(plan, 1)) == CleanedUp(models=1)
    assert shelf.models == {kept, plan.model}


async def test_given_what_a_target_needs_or_another_that_is_at_work_there_then_it_stays(
    serving: Serving, shelf: Shelf, cleaning: CleanUpActivities, run: Run
) -> None:
    way_back, _ = shelf.former(1, 2)
    plan = await serving.serve()
    assert await run(cleaning.clean_up, clean_up(plan, 1, former=way_back)) == CleanedUp()
    assert await run(cleaning.clean_up, clean_up(plan, 1, config="another-config")) == CleanedUp()
    assert way_back in shelf.configs


async def test_given_a_role_that_may_not_remove_when_it_cleans_up_then_it_says_what_to_allow(
    serving: Serving, shelf: Shelf, cleaning: CleanUpActivities, run: Run
) -> None:
    old, _ = shelf.former(1, 2)
    plan = await serving.serve()
    denied = {"code": "AccessDeniedException", "message": "not authorized", "status": 400, "account": serving.account}
    serving.sandbox.plant_fault("sagemaker", "DeleteEndpointConfig", "error", count=9, **denied)
    done = await run(cleaning.clean_up, clean_up(plan, 1))
    assert done.line == ""
    assert "allow DeleteEndpointConfig" in done.failures[0]
    assert old in shelf.configs


async def test_given_a_model_that_a_promotion_makes_now_then_it_stays_although_no_config_has_it_yet(
    serving: Serving, shelf: Shelf, cleaning: CleanUpActivities, run: Run
) -> None:
    shelf.former(1, 2)
    plan = await serving.serve()
    coming = shelf.put(named(ENDPOINT, 9), slipway_promotion="screening-9")
    serving.sagemaker.delete_endpoint_config(EndpointConfigName=coming)
    await run(cleaning.clean_up, clean_up(plan, 1))
    assert coming in shelf.models

"""A rollout changes the model of a live endpoint, and nothing that the spec does not name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest

from activities.endpoints.carried import changed_by_spec, config_arguments, differences, model_arguments, not_carried
from activities.endpoints.former import Former, model_to_replace, place_of_container
from activities.endpoints.messages import EndpointPlan, PlanRollout
from activities.endpoints.plan import plan_rollout
from activities.endpoints.served import SageMakerAccount
from slipway.api import LedgerState, ModelPackage
from slipway.app.endpoint_settings import AsyncInference, DataCapture, EndpointSettings, Serverless, Vpc
from slipway.app.spec import Target, Variant
from slipway.app.strategy import Rolling, Strategy
from slipway.aws.clients import Aws
from slipway.errors import NeedsPersonError
from tests.activities.by_hand import ENDPOINT, ROLE, SIZED, ByHand, with_package
from tests.activities.serving import ALARM, CANARY, Serving

AT_ONCE = Strategy()
VPC = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1", "subnet-2"]}
GROUP = "arn:aws:sagemaker:us-east-1:111111111111:model-package/screening"


async def test_given_an_endpoint_with_everything_when_it_is_rolled_out_to_then_the_package_alone_is_other(
    serving: Serving, by_hand: ByHand
) -> None:
    model = by_hand.model(
        PrimaryContainer=by_hand.container(Environment={"THRESHOLD": "0.7", "TOKEN": "s3cret"}),
        VpcConfig=VPC,
        EnableNetworkIsolation=True,
    )
    variant = {
        "VariantName": "main",
        "ModelName": model,
        **SIZED,
        "InitialVariantWeight": 3.0,
        "VolumeSizeInGB": 64,
        "ModelDataDownloadTimeoutInSeconds": 1800,
        "ContainerStartupHealthCheckTimeoutInSeconds": 900,
        "EnableSSMAccess": True,
        "InferenceAmiVersion": "al2-ami-sagemaker-inference-gpu-2",
        "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
        "CoreDumpConfig": {"DestinationS3Uri": "s3://dumps/here", "KmsKeyId": "dumps"},
    }
    by_hand.serve(
        variant,
        ShadowProductionVariants=[{"VariantName": "shadow", "ModelName": by_hand.model("shadow"), **SIZED}],
        KmsKeyId="arn:aws:kms:us-east-1:111111111111:key/disk",
        DataCaptureConfig={
            "EnableCapture": True,
            "InitialSamplingPercentage": 20,
            "DestinationS3Uri": f"s3://{serving.bucket}/captured",
            "KmsKeyId": "capture",
            "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        },
        ExplainerConfig={"ClarifyExplainerConfig": {"ShapConfig": {"ShapBaselineConfig": {"ShapBaseline": "1,2"}}}},
    )
    before, package = by_hand.described("by-hand"), serving.package("new")
    plan = await serving.roll_out(package, AT_ONCE, instance_type=None)
    assert by_hand.described(plan.config) == with_package(before, package.arn)
    assert "s3cret" not in plan.model_dump_json()
    assert (await serving.restore(plan, "by-hand")).state is LedgerState.undone
    assert serving.served() == "by-hand"


async def test_given_a_serverless_endpoint_when_it_is_rolled_out_to_then_it_stays_serverless(
    serving: Serving, by_hand: ByHand
) -> None:
    serverless = {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 7, "ProvisionedConcurrency": 2}}
    by_hand.serve({"VariantName": "AllTraffic", "ModelName": by_hand.model(), **serverless})
    before, package = by_hand.described("by-hand"), serving.package("new")
    found = await serving.preflight(package, CANARY)
    assert [warning for warning in found.warnings if "stays so: instanceType ml.m5.large is not used" in warning]
    assert [warning for warning in found.warnings if "all at once, without a bake and without alarms" in warning]
    plan = await serving.roll_out(package, CANARY)
    assert by_hand.described(plan.config) == with_package(before, package.arn)


async def test_given_an_asynchronous_endpoint_when_it_is_rolled_out_to_then_it_stays_asynchronous(
    serving: Serving, by_hand: ByHand
) -> None:
    paths = {"S3OutputPath": f"s3://{serving.bucket}/out", "S3FailurePath": f"s3://{serving.bucket}/failed", "KmsKeyId": "out"}
    config = {"OutputConfig": paths, "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 3}}
    by_hand.serve({"VariantName": "AllTraffic", "ModelName": by_hand.model(), **SIZED}, AsyncInferenceConfig=config)
    before, package = by_hand.described("by-hand"), serving.package("new")
    plan = await serving.roll_out(package, instance_type=None)
    assert by_hand.described(plan.config) == with_package(before, package.arn)


async def test_given_several_variants_when_the_spec_names_one_then_the_other_keeps_model_and_weight(
    serving: Serving, by_hand: ByHand
) -> None:
    by_hand.serve(
        {"VariantName": "main", "ModelName": by_hand.model("main"), **SIZED, "InitialVariantWeight": 9.0},
        {"VariantName": "trial", "ModelName": by_hand.model("trial"), **SIZED, "InitialVariantWeight": 1.0},
    )
    before, package = by_hand.described("by-hand"), serving.package("new")
    plan = await serving.roll_out(package, instance_type=None, name="trial")
    assert by_hand.described(plan.config) == with_package(before, package.arn, variant=1)
    assert {(await serving.smoke(plan)).body for _ in range(3)} == {'{"model": "new"}'}


async def test_given_several_variants_when_the_strategy_is_rolling_then_preflight_says_that_sagemaker_has_none(
    serving: Serving, by_hand: ByHand
) -> None:
    model = by_hand.model()
    by_hand.serve(*({"VariantName": name, "ModelName": model, **SIZED} for name in ("main", "trial")))
    with pytest.raises(NeedsPersonError, match="it has the variants main, trial, and SageMaker has no rolling update"):
        await serving.preflight(serving.package("new"), Strategy(rolling=Rolling(percent=50)), instance_type=None, name="main")


async def test_given_several_variants_when_the_spec_names_none_then_preflight_names_them(
    serving: Serving, by_hand: ByHand
) -> None:
    model = by_hand.model()
    by_hand.serve(*({"VariantName": name, "ModelName": model, **SIZED} for name in ("main", "trial")))
    with pytest.raises(NeedsPersonError, match="its variants are main, trial, and the spec's is not named"):
        await serving.preflight(serving.package("new"), instance_type=None)


async def test_given_a_pipeline_of_containers_when_one_is_of_the_group_then_the_others_stay(
    serving: Serving, by_hand: ByHand
) -> None:
    scaler = by_hand.container(ContainerHostname="scaler", Environment={"SCALE": "2"})
    old = {"ContainerHostname": "model", "ModelPackageName": serving.package("old").arn, "Environment": {"THRESHOLD": "0.7"}}
    model = by_hand.model(Containers=[scaler, old], InferenceExecutionConfig={"Mode": "Serial"})
    by_hand.serve({"VariantName": "AllTraffic", "ModelName": model, **SIZED})
    before, package = by_hand.described("by-hand"), serving.package("new")
    plan = await serving.roll_out(package, instance_type=None)
    assert by_hand.described(plan.config) == with_package(before, package.arn, container=1)


async def test_given_containers_that_are_asked_one_by_one_when_one_is_replaced_then_the_smoke_request_asks_it(
    serving: Serving, by_hand: ByHand
) -> None:
    old = {"ContainerHostname": "model", "ModelPackageName": serving.package("old").arn}
    containers = [by_hand.container(ContainerHostname="other"), old]
    model = by_hand.model(Containers=containers, InferenceExecutionConfig={"Mode": "Direct"})
    by_hand.serve({"VariantName": "AllTraffic", "ModelName": model, **SIZED})
    before, package = by_hand.described("by-hand"), serving.package("new")
    plan = await serving.roll_out(package, instance_type=None)
    assert by_hand.described(plan.config) == with_package(before, package.arn, container=1)
    assert (await serving.smoke(plan)).body == '{"model": "new"}'


async def test_given_a_pipeline_in_a_network_of_its_own_when_it_is_replaced_in_batches_and_put_back_then_nothing_else_changed(
    serving: Serving, by_hand: ByHand
) -> None:
    names = ("scaler", "encoder", "model")
    shared = {"Mode": "SingleModel", "ImageConfig": {"RepositoryAccessMode": "Platform"}}
    containers = [by_hand.container(ContainerHostname=name, Environment={"STEP": name}, **shared) for name in names]
    old = {name: value for name, value in containers[2].items() if name not in {"Image", "ModelDataUrl"}}
    containers[2] = {**old, "ModelPackageName": serving.package("old").arn}
    model = by_hand.model(Containers=containers, VpcConfig=VPC, InferenceExecutionConfig={"Mode": "Serial"})
    variant = {"VariantName": "AllTraffic", "ModelName": model, **SIZED, "InitialInstanceCount": 4, "VolumeSizeInGB": 30}
    by_hand.serve(variant, KmsKeyId="alias/disk")
    before, package, tags = by_hand.described("by-hand"), serving.package("new"), by_hand.endpoint_tags()
    strategy = Strategy(rolling=Rolling(instances=2, wait=timedelta(minutes=1)), alarms=(ALARM,))
    plan = await serving.roll_out(package, strategy, instance_type=None)
    assert by_hand.described(plan.config) == with_package(before, package.arn, container=2)
    assert (await serving.restore(plan, "by-hand")).state is LedgerState.undone
    assert (by_hand.described(serving.served()), by_hand.endpoint_tags()) == (before, tags)


async def test_given_two_rollouts_in_a_row_when_the_second_ends_then_everything_is_still_there(
    serving: Serving, by_hand: ByHand
) -> None:
    model = by_hand.model(VpcConfig=VPC, PrimaryContainer=by_hand.container(Environment={"THRESHOLD": "0.7"}))
    by_hand.serve({"VariantName": "AllTraffic", "ModelName": model, **SIZED})
    before = by_hand.described("by-hand")
    for name in ("second", "third"):
        package = serving.package(name)
        plan = await serving.roll_out(package, instance_type=None)
        assert by_hand.described(plan.config) == with_package(before, package.arn)


async def test_given_capacity_that_was_changed_since_when_it_is_rolled_out_to_then_it_stays(
    serving: Serving, by_hand: ByHand
) -> None:
    by_hand.serve({"VariantName": "AllTraffic", "ModelName": by_hand.model(), **SIZED})
    desired = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 5}]
    by_hand.sagemaker.update_endpoint_weights_and_capacities(EndpointName=ENDPOINT, DesiredWeightsAndCapacities=desired)
    by_hand.wait()
    await serving.roll_out(serving.package("new"), instance_type=None, instance_count=3)
    [variant] = by_hand.sagemaker.describe_endpoint(EndpointName=ENDPOINT)["ProductionVariants"]
    assert variant["DesiredInstanceCount"] == 5


async def test_given_what_the_spec_names_when_it_is_rolled_out_then_that_changes_and_is_told(
    serving: Serving, by_hand: ByHand
) -> None:
    by_hand.serve({"VariantName": "AllTraffic", "ModelName": by_hand.model(), **SIZED})
    package, role = serving.package("new"), "arn:aws:iam::111111111111:role/of-the-spec"
    found = await serving.preflight(package, AT_ONCE, execution_role_arn=role)
    assert found.warnings == ("screening-prod goes from ml.c5.xlarge to ml.m5.large, which the spec names",)
    expected = with_package(by_hand.described("by-hand"), package.arn)
    expected["ProductionVariants"][0]["InstanceType"] = "ml.m5.large"
    expected["ProductionVariants"][0]["ModelName"]["ExecutionRoleArn"] = role
    plan = await serving.roll_out(package, AT_ONCE, execution_role_arn=role)
    assert by_hand.described(plan.config) == expected


async def test_given_a_plan_of_an_older_release_when_it_is_prepared_then_it_carries_over_too(
    serving: Serving, by_hand: ByHand
) -> None:
    by_hand.serve({"VariantName": "AllTraffic", "ModelName": by_hand.model(VpcConfig=VPC), **SIZED})
    before, package = by_hand.described("by-hand"), serving.package("new")
    plan = serving.plan(package, instance_type="ml.c5.xlarge")
    await serving.update(plan, "by-hand")
    await serving.follow(plan)
    assert by_hand.described(plan.config) == with_package(before, package.arn)


async def test_given_another_config_than_preflight_found_when_the_rollout_begins_then_nothing_is_made(
    serving: Serving, by_hand: ByHand
) -> None:
    by_hand.serve({"VariantName": "AllTraffic", "ModelName": by_hand.model(VpcConfig=VPC), **SIZED})
    plan = serving.plan(serving.package("new"), "without-a-vpc")
    with pytest.raises(NeedsPersonError, match="preflight found without-a-vpc, and now it serves by-hand"):
        await serving.run(serving.activities.prepare_endpoint, plan)
    assert serving.calls("CreateModel") == 1


async def test_given_a_config_of_the_name_without_what_is_carried_over_then_it_is_not_served(
    serving: Serving, by_hand: ByHand
) -> None:
    model = by_hand.model(VpcConfig=VPC, PrimaryContainer=by_hand.container(Environment={"TOKEN": "s3cret"}))
    by_hand.serve({"VariantName": "AllTraffic", "ModelName": model, **SIZED})
    plan = serving.plan(serving.package("new"), "by-hand", instance_type=None)
    taken = {"ModelPackageName": plan.package.arn, "Environment": {"TOKEN": "other"}}
    serving.sagemaker.create_model(ModelName=plan.model, PrimaryContainer=taken, ExecutionRoleArn=ROLE)
    with pytest.raises(NeedsPersonError, match=r"differs in PrimaryContainer\.Environment\.TOKEN, VpcConfig") as refused:
        await serving.run(serving.activities.prepare_endpoint, plan)
    assert "s3cret" not in str(refused.value.report)


async def test_given_a_model_that_is_gone_when_preflight_looks_then_it_says_what_to_do(serving: Serving, by_hand: ByHand) -> None:
    by_hand.serve({"VariantName": "AllTraffic", "ModelName": by_hand.model(), **SIZED})
    by_hand.sagemaker.delete_model(ModelName="by-hand")
    with pytest.raises(NeedsPersonError, match="its model by-hand does not exist any more"):
        await serving.preflight(serving.package("new"))


async def test_given_no_endpoint_and_no_instance_type_when_preflight_looks_then_it_asks_for_one(serving: Serving) -> None:
    with pytest.raises(NeedsPersonError, match="the spec does not say what it runs on") as asked:
        await serving.preflight(serving.package("new"), instance_type=None)
    assert "spec.rollout.variant.instanceType" in asked.value.report.remedy


def test_given_a_variable_that_the_package_sets_when_it_is_rolled_out_then_the_packages_value_counts() -> None:
    former = former_of({"PrimaryContainer": {"Image": "i", "Environment": {"MODE": "fast", "TOKEN": "s3cret"}}})
    plan = plan_of()
    arguments = model_arguments(plan, former, {"MODE"})
    assert arguments["PrimaryContainer"] == {"ModelPackageName": plan.package.arn, "Environment": {"TOKEN": "s3cret"}}
    [fallback] = not_carried(plan, former, {"MODE": "exact"})
    assert "the package sets MODE to other values" in fallback.what
    assert not_carried(plan, former, {"MODE": "fast"}) == []


def test_given_every_member_that_botocore_knows_when_it_is_carried_over_then_the_model_alone_is_other(aws: Aws) -> None:
    account, plan = SageMakerAccount(aws, "us-east-1", None), plan_of()
    service: Any = account.sagemaker.meta.service_model
    config = filled(service.operation_model("DescribeEndpointConfig").output_shape)
    model = filled(service.operation_model("DescribeModel").output_shape)
    former = Former(
        config=account.arguments_of("CreateEndpointConfig", config),
        config_tags={"team": "risk", "aws:cloudformation:stack-name": "stack"},
        model=account.arguments_of("CreateModel", model),
        model_tags={},
        variant=0,
        container=0,
    )
    made = config_arguments(plan, former)
    assert set(made) == set(service.operation_model("CreateEndpointConfig").input_shape.members)
    own = {"slipway-promotion": "screening-1", "slipway-endpoint": "screening-prod"}
    assert {tag["Key"]: tag["Value"] for tag in made["Tags"]} == {"team": "risk", **own}
    assert list(changes(config, made)) == ["CreationTime", "EndpointConfigArn", "EndpointConfigName", "ModelName"]
    made = model_arguments(plan, former, ())
    assert set(made) == set(service.operation_model("CreateModel").input_shape.members)
    unlike = ["CreationTime", "DeploymentRecommendation", "ModelArn", "ModelName"]
    assert list(changes(model, made)) == [*unlike, "Image", "ModelDataSource", "ModelDataUrl", "ModelPackageName"]


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The members in which two descriptions differ: those of the whole, then those of the first variant or the container."""
    unlike = sorted(member for member in before if after.get(member) != before[member])
    nested = [member for member in unlike if member in {"ProductionVariants", "PrimaryContainer"}]
    parts = [unlike_in(before[member], after[member]) for member in nested]
    return [*(member for member in unlike if member not in nested), *(each for part in parts for each in part)]


def unlike_in(before: Any, after: Any) -> list[str]:
    one, other = cast("list[dict[str, Any]]", [part[0] if isinstance(part, list) else part for part in (before, after)])
    return sorted(member for member in one if other.get(member) != one[member])


def filled(shape: Any) -> Any:
    """A value for every member of a shape of botocore's."""
    match shape.type_name:
        case "structure":
            return {name: filled(member) for name, member in shape.members.items()}
        case "list":
            return [filled(shape.member)]
        case "map":
            return {"key": filled(shape.value)}
        case "boolean":
            return True
        case "integer" | "long" | "float" | "double":
            return 7
        case _:
            return shape.name


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        ({}, "inference components, which a rollout does not update"),
        ({"ModelName": "m", "InstancePools": [{"ModelNameOverride": "other"}]}, "instance pools .* have models of their own"),
    ],
)
def test_given_a_variant_whose_model_cannot_be_replaced_when_it_is_read_then_it_says_why(
    variant: dict[str, Any], said: str
) -> None:
    with pytest.raises(NeedsPersonError, match=said):
        model_to_replace("reading", {"VariantName": "main", **variant})


@pytest.mark.parametrize(
    ("containers", "said"),
    [
        ([{"Image": "a"}, {"Image": "b"}], "of which 0 come from the group"),
        (
            [{"ModelPackageName": f"{GROUP}/1"}, {"ModelPackageName": f"{GROUP}/2"}],
            "of which 2 come from the group",
        ),
        ([{"Image": "a", "Mode": "MultiModel"}], "MultiModel"),
        ([{"ModelPackageName": f"{GROUP}/1", "InferenceSpecificationName": "gpu"}], "additional inference specification gpu"),
    ],
)
def test_given_containers_that_no_package_can_replace_when_they_are_read_then_it_says_why(
    containers: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(NeedsPersonError, match=said):
        place_of_container("reading", containers, f"{GROUP}/3")


def test_given_what_was_made_when_it_is_compared_then_what_aws_adds_is_no_difference() -> None:
    wanted = {"Variants": [{"Name": "a", "Weight": 1}], "Vpc": {"Subnets": ["s"]}}
    found = {"Variants": [{"Name": "a", "Weight": 1.0, "Mode": "Single"}], "Vpc": {"Subnets": ["s"]}, "Isolated": False}
    assert list(differences(found, wanted)) == []
    assert list(differences({**found, "Vpc": {"Subnets": ["s", "t"]}}, wanted)) == ["Vpc.Subnets"]
    assert list(differences({"Vpc": None}, wanted)) == ["Variants", "Vpc"]


EVERYTHING = EndpointSettings(
    environment={"THRESHOLD": "0.9"},
    vpc=Vpc(subnets=("subnet-9",), security_groups=("sg-9",)),
    network_isolation=True,
    kms_key="alias/disk",
    volume_size=32,
    download_timeout=timedelta(minutes=30),
    startup_timeout=timedelta(minutes=5),
    async_inference=AsyncInference(output="s3://answers/out", max_concurrency=4),
    data_capture=DataCapture(destination="s3://captured/here", percent=10),
)
IN_VARIANT = {
    "VolumeSizeInGB": 32,
    "ModelDataDownloadTimeoutInSeconds": 1800,
    "ContainerStartupHealthCheckTimeoutInSeconds": 300,
}
IN_CONFIG = {
    "KmsKeyId": "alias/disk",
    "AsyncInferenceConfig": {
        "OutputConfig": {"S3OutputPath": "s3://answers/out"},
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 4},
    },
    "DataCaptureConfig": {
        "EnableCapture": True,
        "InitialSamplingPercentage": 10,
        "DestinationS3Uri": "s3://captured/here",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    },
}
IN_MODEL = {"VpcConfig": {"SecurityGroupIds": ["sg-9"], "Subnets": ["subnet-9"]}, "EnableNetworkIsolation": True}


async def test_given_settings_in_the_spec_when_an_endpoint_is_created_then_it_has_them(serving: Serving) -> None:
    package = serving.package("new")
    plan = await serving.roll_out(package, settings=EVERYTHING)
    made = ByHand(serving).described(plan.config)
    [variant] = made["ProductionVariants"]
    assert IN_CONFIG.items() <= made.items()
    assert {**IN_VARIANT, "InstanceType": "ml.m5.large", "InitialInstanceCount": 2}.items() <= variant.items()
    assert IN_MODEL.items() <= variant["ModelName"].items()
    assert variant["ModelName"]["PrimaryContainer"]["Environment"] == {"THRESHOLD": "0.9"}


async def test_given_data_capture_in_the_spec_when_a_live_endpoint_goes_there_and_back_then_its_own_is_back(
    serving: Serving, by_hand: ByHand
) -> None:
    options = [{"CaptureMode": "Input"}]
    own = {"InitialSamplingPercentage": 20, "DestinationS3Uri": f"s3://{serving.bucket}/own", "CaptureOptions": options}
    by_hand.serve({"VariantName": "AllTraffic", "ModelName": by_hand.model(), **SIZED}, DataCaptureConfig=own)
    settings = EndpointSettings(data_capture=DataCapture(destination=f"s3://{serving.bucket}/spec", percent=50))
    plan = await serving.roll_out(serving.package("new"), AT_ONCE, settings=settings, instance_type=None)
    captured = by_hand.sagemaker.describe_endpoint(EndpointName=ENDPOINT)["DataCaptureConfig"]
    assert captured["CurrentSamplingPercentage"] == 50
    await serving.restore(plan, "by-hand")
    captured = by_hand.sagemaker.describe_endpoint(EndpointName=ENDPOINT)["DataCaptureConfig"]
    assert (captured["CurrentSamplingPercentage"], captured["DestinationS3Uri"]) == (20, own["DestinationS3Uri"])


async def test_given_serverless_in_the_spec_when_an_endpoint_is_created_then_it_has_no_instances(serving: Serving) -> None:
    settings = EndpointSettings(serverless=Serverless(memory=2048, max_concurrency=5))
    plan = await serving.roll_out(serving.package("new"), settings=settings, instance_type=None)
    [variant] = ByHand(serving).described(plan.config)["ProductionVariants"]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    assert "InstanceType" not in variant


def test_given_settings_in_the_spec_when_a_live_endpoint_has_others_then_those_change_and_are_told_without_values() -> None:
    old = {"AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://old"}}, "ExplainerConfig": {"kept": 1}}
    former = former_of({"PrimaryContainer": {"Image": "i", "Environment": {"THRESHOLD": "0.7", "MODE": "fast"}}}, **old)
    plan = plan_of(settings=EVERYTHING)
    made = config_arguments(plan, former)
    assert {**IN_CONFIG, "ExplainerConfig": {"kept": 1}}.items() <= made.items()
    assert made["ProductionVariants"] == [{"VariantName": "main", "ModelName": plan.model, **SIZED, **IN_VARIANT}]
    model = model_arguments(plan, former, {"THRESHOLD"})
    assert IN_MODEL.items() <= model.items()
    assert model["PrimaryContainer"]["Environment"] == {"MODE": "fast", "THRESHOLD": "0.9"}
    [warning] = changed_by_spec(plan, former)
    assert warning.startswith("the spec's settings change Environment.THRESHOLD, VpcConfig, EnableNetworkIsolation, KmsKeyId")
    assert "0.9" not in warning


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (EndpointSettings(serverless=Serverless(memory=2048, max_concurrency=5)), "serverless"),
        (EndpointSettings(async_inference=AsyncInference(output="s3://answers/out")), "asyncInference"),
    ],
)
def test_given_settings_of_another_kind_than_the_live_endpoints_when_it_is_planned_then_it_asks_a_person(
    settings: EndpointSettings, key: str
) -> None:
    with pytest.raises(NeedsPersonError, match=f"the spec has {key}, and the live endpoint is of another kind"):
        config_arguments(plan_of(settings=settings), former_of({"PrimaryContainer": {"Image": "i"}}))


def test_given_settings_when_a_rollout_is_planned_then_its_names_follow_from_them() -> None:
    plain, written = plan_of(), plan_of(settings=EVERYTHING)
    assert {plain.model, plain.config}.isdisjoint({written.model, written.config})
    assert (written.model, written.config) == ("screening-prod-v3-8eedd6d7b6", "screening-prod-v3-72b2ebb643")


def plan_of(settings: EndpointSettings | None = None) -> EndpointPlan:
    package = ModelPackage(arn=f"{GROUP}/3", version=3, region="us-east-1")
    asked = PlanRollout(
        promotion_id="screening-1",
        package=package,
        target=Target(endpoint=ENDPOINT),
        region="us-east-1",
        variant=Variant(),
        strategy=AT_ONCE,
        settings=settings or EndpointSettings(),
    )
    return plan_rollout(asked, "by-hand")


def former_of(model: dict[str, Any], **config: Any) -> Former:
    variant = {"VariantName": "main", "ModelName": "by-hand", **SIZED}
    return Former(
        config={"ProductionVariants": [variant], **config}, config_tags={}, model=model, model_tags={}, variant=0, container=0
    )

"""Models, endpoint configurations and endpoints, call by call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EventStreamError
from slipway_sandbox.testing import fresh_account, wait_until

from sandbox.testkit.contract import Aws, contract
from sandbox.testkit.hosting import ROLE, push_server

IMAGE = "111111111111.dkr.ecr.us-east-1.amazonaws.com/model:1"
SIZED = {"InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}


def make_model(aws: Aws, name: str, image: str = IMAGE) -> str:
    """A model without an artifact."""
    container = {"Image": image}
    return aws.client("sagemaker").create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)["ModelArn"]


def make_config(aws: Aws, name: str, model: str, variant: dict[str, Any] | None = None, **more: Any) -> str:
    """A configuration of one variant."""
    variants = [{"VariantName": "AllTraffic", "ModelName": model, **(variant or SIZED)}]
    made = aws.client("sagemaker").create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants, **more)
    return made["EndpointConfigArn"]


class Served:
    """One test's model, configuration and endpoint that serve a real container; a sandbox only."""

    def __init__(self, aws: Aws, image: str) -> None:
        self.aws = aws
        self.sagemaker = aws.client("sagemaker")
        self.name = aws.name("endpoint")
        self.model = aws.name("model")
        self.bucket = aws.name("bucket")
        s3 = aws.client("s3")
        s3.create_bucket(Bucket=self.bucket)
        s3.put_object(Bucket=self.bucket, Key="plain/model.json", Body=b'{"name": "one"}')
        source = {"S3Uri": f"s3://{self.bucket}/plain/", "S3DataType": "S3Prefix", "CompressionType": "None"}
        container = {"Image": image, "ModelDataSource": {"S3DataSource": source}}
        self.sagemaker.create_model(ModelName=self.model, PrimaryContainer=container, ExecutionRoleArn=ROLE)
        make_config(aws, self.name, self.model)

    def create(self, config: str | None = None) -> str:
        """An endpoint in service; returns its ARN."""
        made = self.sagemaker.create_endpoint(EndpointName=self.name, EndpointConfigName=config or self.name)
        self.until("InService")
        return made["EndpointArn"]

    def until(self, status: str) -> None:
        """Wait for a status."""
        wait_until(lambda: self.described()["EndpointStatus"] == status, f"{status} of {self.name}")

    def described(self) -> dict[str, Any]:
        """The endpoint as it is now."""
        return self.sagemaker.describe_endpoint(EndpointName=self.name)


@pytest.fixture(scope="session")
def served_image(request: pytest.FixtureRequest) -> Callable[[Aws], str]:
    """The sample server's image, pushed once."""
    pushed: list[str] = []

    def image(aws: Aws) -> str:
        if aws.sandbox is None:
            pytest.skip("AWS has no sample image to serve")
        if not pushed:
            pushed.append(push_server(aws.sandbox, fresh_account()))
        return pushed[0]

    return image


@pytest.fixture
def served(aws: Aws, served_image: Callable[[Aws], str]) -> Served:
    """A model that really serves."""
    return Served(aws, served_image(aws))


@contract("sagemaker", "CreateModel", errors=("ValidationException",))
@contract("sagemaker", "DescribeModel", errors=("ValidationException",))
@contract("sagemaker", "ListModels", errors=("ValidationException",))
@contract("sagemaker", "DeleteModel", errors=("ValidationException",))
def test_models(aws: Aws) -> None:
    sagemaker, name = aws.client("sagemaker"), aws.name("model")
    arn = make_model(aws, name)
    shown = sagemaker.describe_model(ModelName=name)
    assert (shown["ModelArn"], shown["PrimaryContainer"]["Mode"], shown["EnableNetworkIsolation"]) == (arn, "SingleModel", False)
    assert [model["ModelName"] for model in sagemaker.list_models(NameContains=name)["Models"]] == [name]
    with aws.refused("ValidationException", match=f'Cannot create already existing model "{arn}"'):
        make_model(aws, name)
    with aws.refused("ValidationException", match="failed to satisfy constraint"):
        make_model(aws, "no_underscores")
    with aws.refused("ValidationException", match="less than or equal to 100"):
        sagemaker.list_models(MaxResults=101)
    sagemaker.delete_model(ModelName=name)
    with aws.refused("ValidationException", match=f'Could not find model "{arn}"'):
        sagemaker.describe_model(ModelName=name)
    with aws.refused("ValidationException", match=f'Could not find model "{arn}"'):
        sagemaker.delete_model(ModelName=name)


@contract("sagemaker", "CreateEndpointConfig", errors=("ValidationException",))
@contract("sagemaker", "DescribeEndpointConfig", errors=("ValidationException",))
@contract("sagemaker", "ListEndpointConfigs", errors=("ValidationException",))
@contract("sagemaker", "DeleteEndpointConfig", errors=("ValidationException",))
def test_endpoint_configs(aws: Aws) -> None:
    sagemaker, name, model = aws.client("sagemaker"), aws.name("config"), aws.name("model")
    make_model(aws, model)
    arn = make_config(aws, name, model)
    shown = sagemaker.describe_endpoint_config(EndpointConfigName=name)
    assert (shown["EndpointConfigArn"], shown["ProductionVariants"][0]["InitialVariantWeight"]) == (arn, 1.0)
    listed = sagemaker.list_endpoint_configs(NameContains=name)["EndpointConfigs"]
    assert [config["EndpointConfigName"] for config in listed] == [name]
    with aws.refused("ValidationException", match=f'Cannot create already existing endpoint configuration "{arn}"'):
        make_config(aws, name, model)
    with aws.refused("ValidationException", match="less than or equal to 100"):
        sagemaker.list_endpoint_configs(MaxResults=101)
    sagemaker.delete_endpoint_config(EndpointConfigName=name)
    with aws.refused("ValidationException", match=f'Could not find endpoint configuration "{arn}"'):
        sagemaker.describe_endpoint_config(EndpointConfigName=name)
    with aws.refused("ValidationException", match=f'Could not find endpoint configuration "{arn}"'):
        sagemaker.delete_endpoint_config(EndpointConfigName=name)


@contract("sagemaker", "CreateModel", errors=("ResourceLimitExceeded",))
@contract("sagemaker", "CreateEndpointConfig", errors=("ResourceLimitExceeded",))
def test_quotas_of_models_and_configs(aws: Aws) -> None:
    model, config = aws.name("model"), aws.name("config")
    make_model(aws, model)
    make_config(aws, config, model)
    with (
        aws.quota("sagemaker", "Number of models", 1),
        aws.refused("ResourceLimitExceeded", match="'Number of models' is 1 models, with current utilization of 1 models"),
    ):
        make_model(aws, aws.name("model"))
    with (
        aws.quota("sagemaker", "Number of endpoint configurations", 1),
        aws.refused("ResourceLimitExceeded", match="'Number of endpoint configurations' is 1"),
    ):
        make_config(aws, aws.name("config"), model)


SERVERLESS = {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}


def serverless(**more: int) -> dict[str, Any]:
    return {"ServerlessConfig": {**SERVERLESS["ServerlessConfig"], **more}}


@pytest.mark.parametrize(
    ("variant", "more", "complaint"),
    [
        (serverless(MemorySizeInMB=1500), {}, "MemorySizeInMB"),
        (serverless(MaxConcurrency=201), {}, "less than or equal to 200"),
        (serverless(ProvisionedConcurrency=6), {}, "ProvisionedConcurrency"),
        ({**SERVERLESS, "InstanceType": "ml.m5.large"}, {}, "serverless"),
        (
            SERVERLESS,
            {"AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://bucket/out"}}},
            "One or more endpoint features are not supported using this configuration",
        ),
        (SIZED, {"AsyncInferenceConfig": {"OutputConfig": {}}}, "S3OutputPath"),
        ({**SIZED, "InitialVariantWeight": 0.0}, {}, "InitialVariantWeight"),
    ],
)
@contract("sagemaker", "CreateEndpointConfig", errors=("ValidationException",))
def test_endpoint_configs_that_cannot_be(aws: Aws, variant: dict[str, Any], more: dict[str, Any], complaint: str) -> None:
    model = aws.name("model")
    make_model(aws, model)
    with aws.refused("ValidationException", match=complaint):
        make_config(aws, aws.name("config"), model, variant, **more)
    make_config(aws, aws.name("config"), model)


@contract("sagemaker", "CreateEndpointConfig", errors=("ValidationException",))
def test_endpoint_configs_with_shadow_variants(aws: Aws) -> None:
    sagemaker, model, name = aws.client("sagemaker"), aws.name("model"), aws.name("config")
    make_model(aws, model)
    shadow = {"VariantName": "Shadow", "ModelName": model, **SIZED}
    make_config(aws, name, model, ShadowProductionVariants=[shadow])
    shown = sagemaker.describe_endpoint_config(EndpointConfigName=name)["ShadowProductionVariants"]
    assert [variant["VariantName"] for variant in shown] == ["Shadow"]
    with aws.refused("ValidationException", match="exactly one production variant"):
        make_config(aws, aws.name("config"), model, ShadowProductionVariants=[shadow, {**shadow, "VariantName": "More"}])
    with aws.refused("ValidationException", match="unique"):
        make_config(aws, aws.name("config"), model, ShadowProductionVariants=[{**shadow, "VariantName": "AllTraffic"}])


@contract("sagemaker", "CreateEndpoint", errors=("ValidationException", "ResourceLimitExceeded"))
@contract("sagemaker", "DescribeEndpoint", errors=("ValidationException",))
@contract("sagemaker", "ListEndpoints", errors=("ValidationException",))
@contract("sagemaker", "UpdateEndpoint", errors=("ValidationException", "ResourceLimitExceeded"))
@contract("sagemaker", "UpdateEndpointWeightsAndCapacities", errors=("ValidationException", "ResourceLimitExceeded"))
@contract("sagemaker", "DeleteEndpoint", errors=("ValidationException",))
def test_endpoints(served: Served) -> None:
    aws, sagemaker, name = served.aws, served.sagemaker, served.name
    with aws.refused("ValidationException", match="Could not find endpoint configuration"):
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName="none")
    arn = served.create()
    with aws.refused("ValidationException", match=f'Cannot create already existing endpoint "{arn}"'):
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert [endpoint["EndpointName"] for endpoint in sagemaker.list_endpoints(StatusEquals="InService")["Endpoints"]] == [name]
    with aws.refused("ValidationException", match="StatusEquals|statusEquals"):
        sagemaker.list_endpoints(StatusEquals="Serving")
    desired = [{"VariantName": "AllTraffic", "DesiredWeight": 2.0, "DesiredInstanceCount": 2}]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=desired)
    with aws.refused("ValidationException", match=f'Cannot update in-progress endpoint "{arn}"'):
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=name)
    served.until("InService")
    assert served.described()["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    with aws.refused("ValidationException", match="Could not find variant"):
        sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name, DesiredWeightsAndCapacities=[{"VariantName": "Other", "DesiredWeight": 1.0}]
        )
    desired[0]["DesiredInstanceCount"] = 4
    with aws.quota("sagemaker", "ml.m5.large for endpoint usage", 2):
        with aws.refused("ResourceLimitExceeded", match="account-level service limit 'ml.m5.large for endpoint usage'"):
            sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=name)
        with aws.refused("ResourceLimitExceeded", match="a request delta of 1 Instances"):
            sagemaker.create_endpoint(EndpointName=f"{name}-2"[-63:], EndpointConfigName=name)
        with aws.refused("ResourceLimitExceeded", match="current utilization of 2 Instances and a request delta of 2 Inst"):
            sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=desired)
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=name, RetainAllVariantProperties=True)
    served.until("InService")
    sagemaker.delete_endpoint(EndpointName=name)
    with aws.refused("ValidationException", match="in-progress"):
        sagemaker.delete_endpoint(EndpointName=name)
    wait_until(lambda: not sagemaker.list_endpoints()["Endpoints"], "the endpoint's end")
    with aws.refused("ValidationException", match=f'Could not find endpoint "{arn}"'):
        sagemaker.describe_endpoint(EndpointName=name)


@contract("sagemaker-runtime", "InvokeEndpoint", errors=("ValidationError", "ModelError"))
@contract("sagemaker-runtime", "InvokeEndpointWithResponseStream", errors=("ValidationError", "ModelError", "ModelStreamError"))
@contract("sagemaker-runtime", "InvokeEndpointAsync", errors=("ValidationError",))
def test_invocations(served: Served) -> None:
    aws, name = served.aws, served.name
    runtime = aws.client("sagemaker-runtime")
    with aws.refused("ValidationError", match=f"Endpoint {name} of account {aws.account} not found"):
        runtime.invoke_endpoint(EndpointName=name, Body=b"1")
    served.create()
    answer = runtime.invoke_endpoint(EndpointName=name, Body=b"1", ContentType="text/csv", TargetVariant="AllTraffic")
    assert (answer["InvokedProductionVariant"], b'"one"' in answer["Body"].read()) == ("AllTraffic", True)
    with aws.refused("ValidationError", match="Variant Other"):
        runtime.invoke_endpoint(EndpointName=name, Body=b"1", TargetVariant="Other")
    with aws.refused("ValidationError", match="targetVariant"):
        runtime.invoke_endpoint(EndpointName=name, Body=b"1", TargetVariant="x" * 64)
    with aws.refused("ModelError", match="Received client error \\(400\\) from primary"):
        runtime.invoke_endpoint(EndpointName=name, Body=b"bad")
    events = list(runtime.invoke_endpoint_with_response_stream(EndpointName=name, Body=b"parts")["Body"])
    assert [event["PayloadPart"]["Bytes"] for event in events] == [b"one ", b"two ", b"three"]
    broken = runtime.invoke_endpoint_with_response_stream(EndpointName=name, Body=b"broken")["Body"]
    with pytest.raises(EventStreamError, match=r"\(ModelStreamError\).*ended early"):
        list(broken)
    aws.saw("sagemaker-runtime", "InvokeEndpointWithResponseStream", "ModelStreamError")
    with aws.refused("ModelError"):
        runtime.invoke_endpoint_with_response_stream(EndpointName=name, Body=b"bad")
    with aws.refused("ValidationError", match="not found"):
        runtime.invoke_endpoint_with_response_stream(EndpointName="none", Body=b"1")
    with aws.refused("ValidationError", match="asynchronous"):
        runtime.invoke_endpoint_async(EndpointName=name, InputLocation="s3://bucket/in")
    output = {"OutputConfig": {"S3OutputPath": f"s3://{served.bucket}/out"}}
    make_config(aws, f"{name}-later"[-63:].lstrip("-"), served.model, AsyncInferenceConfig=output)
    served.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=f"{name}-later"[-63:].lstrip("-"))
    served.until("InService")
    accepted = runtime.invoke_endpoint_async(EndpointName=name, Body=b"1")
    assert accepted["OutputLocation"].startswith(f"s3://{served.bucket}/out/")
    with aws.refused("ValidationError", match="asynchronous endpoint"):
        runtime.invoke_endpoint(EndpointName=name, Body=b"1")


@contract("sagemaker", "UpdateEndpoint", errors=("ValidationException",))
def test_asynchronous_endpoints_stay_so(served: Served) -> None:
    aws, sagemaker, name = served.aws, served.sagemaker, served.name
    output = {"OutputConfig": {"S3OutputPath": f"s3://{served.bucket}/out"}}
    config, more = aws.name("async"), aws.name("async")
    make_config(aws, config, served.model, AsyncInferenceConfig=output)
    make_config(
        aws, more, served.model, AsyncInferenceConfig={**output, "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 2}}
    )
    served.create(config)
    with aws.refused("ValidationException", match=f"AsyncInferenceConfig parameter cannot be removed from this endpoint {name}"):
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=name)
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=more)
    served.until("InService")
    assert served.described()["EndpointConfigName"] == more


@contract("sagemaker", "UpdateEndpoint", errors=("ValidationException",))
def test_endpoints_of_instances_do_not_become_serverless(served: Served) -> None:
    aws, config, more = served.aws, served.aws.name("serverless"), served.aws.name("sized")
    make_config(aws, config, served.model, SERVERLESS)
    make_config(aws, more, served.model)
    served.create(served.name)
    with aws.refused("ValidationException", match="serverless"):
        served.sagemaker.update_endpoint(EndpointName=served.name, EndpointConfigName=config)
    served.sagemaker.update_endpoint(EndpointName=served.name, EndpointConfigName=more)
    served.until("InService")
    assert served.described()["EndpointConfigName"] == more


VARIANT = "sagemaker:variant:DesiredInstanceCount"
TRACKING = {
    "TargetValue": 5.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    "ScaleOutCooldown": 0,
}


@contract("application-autoscaling", "RegisterScalableTarget", errors=("ValidationException",))
@contract("application-autoscaling", "DescribeScalableTargets", errors=("InvalidNextTokenException", "ValidationException"))
@contract("application-autoscaling", "DeregisterScalableTarget", errors=("ObjectNotFoundException", "ValidationException"))
@contract("application-autoscaling", "PutScalingPolicy", errors=("ObjectNotFoundException", "ValidationException"))
@contract("application-autoscaling", "DescribeScalingPolicies", errors=("InvalidNextTokenException", "ValidationException"))
@contract("application-autoscaling", "DeleteScalingPolicy", errors=("ObjectNotFoundException", "ValidationException"))
def test_autoscaling(served: Served) -> None:
    aws = served.aws
    scaling = aws.client("application-autoscaling")
    of = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{served.name}/variant/AllTraffic",
        "ScalableDimension": VARIANT,
    }
    listed = {"ServiceNamespace": "sagemaker"}
    with aws.refused("ValidationException", match="Could not find endpoint"):
        scaling.register_scalable_target(**of, MinCapacity=1, MaxCapacity=4)
    served.create()
    with aws.refused("ObjectNotFoundException", match="No scalable target registered for service namespace: sagemaker"):
        scaling.put_scaling_policy(
            **of, PolicyName="track", PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration=TRACKING
        )
    with aws.refused("ValidationException", match="Maximum capacity cannot be less than minimum capacity"):
        scaling.register_scalable_target(**of, MinCapacity=4, MaxCapacity=1)
    arn = scaling.register_scalable_target(**of, MinCapacity=1, MaxCapacity=4)["ScalableTargetARN"]
    scaling.register_scalable_target(**of, MaxCapacity=6)
    (target,) = scaling.describe_scalable_targets(**listed, ResourceIds=[of["ResourceId"]])["ScalableTargets"]
    assert (target["ScalableTargetARN"], target["MinCapacity"], target["MaxCapacity"]) == (arn, 1, 6)
    scaling.put_scaling_policy(
        **of, PolicyName="track", PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration=TRACKING
    )
    (policy,) = scaling.describe_scaling_policies(**listed)["ScalingPolicies"]
    assert (policy["PolicyName"], policy["PolicyType"]) == ("track", "TargetTrackingScaling")
    with aws.refused("ValidationException", match="exactly one of"):
        scaling.put_scaling_policy(
            **of,
            PolicyName="nothing",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={"TargetValue": 5.0},
        )
    for describe in (scaling.describe_scalable_targets, scaling.describe_scaling_policies):
        with aws.refused("InvalidNextTokenException"):
            describe(**listed, NextToken="no token")
        with aws.refused("ValidationException"):
            describe(ServiceNamespace="no-service")
    scaling.delete_scaling_policy(**of, PolicyName="track")
    with aws.refused("ObjectNotFoundException", match="No scaling policy found for service namespace: sagemaker"):
        scaling.delete_scaling_policy(**of, PolicyName="track")
    scaling.deregister_scalable_target(**of)
    with aws.refused("ObjectNotFoundException", match="No scalable target found for service namespace: sagemaker"):
        scaling.deregister_scalable_target(**of)
    wrong = {**of, "ScalableDimension": "ecs:service:DesiredCount"}
    with aws.refused("ValidationException", match="Unsupported service namespace"):
        scaling.deregister_scalable_target(**wrong)
    with aws.refused("ValidationException", match="Unsupported service namespace"):
        scaling.delete_scaling_policy(**wrong, PolicyName="track")


READS = {
    "TargetValue": 70.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBReadCapacityUtilization"},
}
STEPS = [
    {"MetricIntervalLowerBound": float(number), "MetricIntervalUpperBound": number + 1.0, "ScalingAdjustment": 1}
    for number in range(21)
]


@contract("application-autoscaling", "RegisterScalableTarget", errors=("LimitExceededException",))
@contract("application-autoscaling", "PutScalingPolicy", errors=("LimitExceededException",))
def test_quotas_of_autoscaling(aws: Aws) -> None:
    scaling, exceeded, service = aws.client("application-autoscaling"), "LimitExceededException", "application-autoscaling"
    first, second = (
        {
            "ServiceNamespace": "dynamodb",
            "ResourceId": f"table/none-{number}",
            "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
        }
        for number in range(2)
    )
    tracking = {"PolicyType": "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration": READS}
    with aws.quota(service, "Scalable targets per resource type", 1):
        scaling.register_scalable_target(**first, MinCapacity=1, MaxCapacity=2)
        scaling.register_scalable_target(**first, MaxCapacity=3)
        with aws.refused(exceeded, match="Scalable targets per resource type"):
            scaling.register_scalable_target(**second, MinCapacity=1, MaxCapacity=2)
    with aws.quota(service, "Scaling policies per scalable target", 1):
        for _ in range(2):
            scaling.put_scaling_policy(**first, PolicyName="one", **tracking)
        with aws.refused(exceeded, match="Scaling policies per scalable target"):
            scaling.put_scaling_policy(**first, PolicyName="two", **tracking)
    steps = {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": STEPS}
    with aws.refused(exceeded, match="Step adjustments per step scaling policy"):
        scaling.put_scaling_policy(**first, PolicyName="steps", PolicyType="StepScaling", StepScalingPolicyConfiguration=steps)

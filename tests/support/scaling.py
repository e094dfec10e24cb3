"""The automatic scaling of a team's endpoint."""

from __future__ import annotations

from typing import Any

from demo.team import Team

LIVE, LARGER = "ml.m5.large", "ml.m5.xlarge"
VARIANT = "AllTraffic"


def scaled_by_count(resource: str) -> dict[str, str]:
    """What names a variant's number of instances in calls of Application Auto Scaling."""
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": resource,
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }


def described_scaling(client: Any, resource: str) -> dict[str, Any]:
    """All that can be described of a variant's scaling, but for what AWS makes anew."""
    of = {"ServiceNamespace": "sagemaker", "ResourceId": resource}
    targets = client.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[resource])["ScalableTargets"]
    policies = client.describe_scaling_policies(**of)["ScalingPolicies"]
    actions = client.describe_scheduled_actions(**of)["ScheduledActions"]
    tags = [client.list_tags_for_resource(ResourceARN=each["ScalableTargetARN"])["Tags"] for each in targets]
    anew = {"CreationTime", "ScalableTargetARN", "PolicyARN", "ScheduledActionARN"}
    rows = [{name: value for name, value in row.items() if name not in anew} for row in (*targets, *policies, *actions)]
    return {"rows": sorted(rows, key=str), "tags": tags}


class Scaling:
    """A team's endpoint gets a scalable target with all that belongs to it, and has been scaled out by it.

    Args:
        team: Whose endpoint serves.
    """

    def __init__(self, team: Team) -> None:
        self._client: Any = team.client("application-autoscaling")
        self._sagemaker: Any = team.client("sagemaker")
        self._endpoint = team.endpoint
        self._resource = f"endpoint/{team.endpoint}/variant/{VARIANT}"
        of = scaled_by_count(self._resource)
        metric = {"PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}}
        self._client.register_scalable_target(**of, MinCapacity=2, MaxCapacity=12, Tags={"team": "risk"})
        self._client.put_scaling_policy(
            **of,
            PolicyName="requests",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={"TargetValue": 70.0, **metric},
        )
        self._client.put_scheduled_action(
            **of,
            ScheduledActionName="night",
            Schedule="cron(0 22 * * ? *)",
            ScalableTargetAction={"MinCapacity": 1, "MaxCapacity": 3},
        )
        desired = [{"VariantName": VARIANT, "DesiredInstanceCount": 6}]
        self._sagemaker.update_endpoint_weights_and_capacities(EndpointName=team.endpoint, DesiredWeightsAndCapacities=desired)
        self._sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=team.endpoint, WaiterConfig={"Delay": 1})

    def described(self) -> dict[str, Any]:
        """All that can be described of it, but for what AWS makes anew."""
        return described_scaling(self._client, self._resource)

    def variant(self) -> tuple[str, int]:
        """The instance type that serves, and how many there should be."""
        found = self._sagemaker.describe_endpoint(EndpointName=self._endpoint)
        config = self._sagemaker.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
        return config["ProductionVariants"][0]["InstanceType"], found["ProductionVariants"][0]["DesiredInstanceCount"]

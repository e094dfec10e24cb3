"""Endpoints that were made without Slipway, and what can be described of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from tests.activities.serving import Serving

ENDPOINT = "screening-prod"
SIZED = {"InstanceType": "ml.c5.xlarge", "InitialInstanceCount": 2}
ROLE = "arn:aws:iam::111111111111:role/by-hand"
TAGS = [{"Key": "team", "Value": "risk"}, {"Key": "cost", "Value": "42"}]


class ByHand:
    """An endpoint that was made without Slipway, and what is described of it."""

    def __init__(self, serving: Serving) -> None:
        self.serving, self.sagemaker = serving, serving.sagemaker
        serving.package("by-hand")  # puts the artifact there

    def container(self, **more: Any) -> dict[str, Any]:
        return {"Image": self.serving.image, "ModelDataUrl": f"s3://{self.serving.bucket}/by-hand.tar.gz", **more}

    def model(self, name: str = "by-hand", **more: Any) -> str:
        content = more if "Containers" in more else {"PrimaryContainer": self.container(), **more}
        self.sagemaker.create_model(**{"ModelName": name, "ExecutionRoleArn": ROLE, "Tags": TAGS, **content})
        return name

    def serve(self, *variants: Mapping[str, Any], **more: Any) -> None:
        """Create the config and the endpoint, and wait until it serves."""
        self.sagemaker.create_endpoint_config(
            EndpointConfigName="by-hand", ProductionVariants=list(variants), **{"Tags": TAGS, **more}
        )
        self.sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName="by-hand", Tags=TAGS)
        self.wait()

    def wait(self) -> None:
        """Wait until the endpoint serves and nothing changes it."""
        self.sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=ENDPOINT, WaiterConfig={"Delay": 1})

    def described(self, config: str) -> dict[str, Any]:
        """All that can be described of a config: its members and tags, and those of its models in place of their names."""
        found = self.sagemaker.describe_endpoint_config(EndpointConfigName=config)
        for variant in [*found["ProductionVariants"], *found.get("ShadowProductionVariants", [])]:
            model = self.sagemaker.describe_model(ModelName=variant["ModelName"])
            variant["ModelName"] = self._with_tags(model, "ModelArn", "ModelName")
        return self._with_tags(found, "EndpointConfigArn", "EndpointConfigName")

    def endpoint_tags(self) -> Any:
        """The endpoint's own tags."""
        arn = self.sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointArn"]
        return self.sagemaker.list_tags(ResourceArn=arn)["Tags"]

    def _with_tags(self, found: dict[str, Any], arn: str, name: str) -> dict[str, Any]:
        tags = {tag["Key"]: tag["Value"] for tag in self.sagemaker.list_tags(ResourceArn=found[arn])["Tags"]}
        tags = {key: value for key, value in tags.items() if not key.startswith("slipway-")}
        unlike = {arn, name, "CreationTime", "ResponseMetadata"}
        return {member: value for member, value in found.items() if member not in unlike} | {"tags": tags}


def with_package(before: dict[str, Any], arn: str, variant: int = 0, container: int | None = None) -> dict[str, Any]:
    """What is described after a rollout that changed the model alone."""
    after = copy.deepcopy(before)
    model = after["ProductionVariants"][variant]["ModelName"]
    replaced = model["PrimaryContainer"] if container is None else model["Containers"][container]
    for member in ("Image", "ModelDataUrl", "ModelPackageName"):
        replaced.pop(member, None)
    replaced["ModelPackageName"] = arn
    return after

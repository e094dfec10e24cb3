"""Packages and endpoints in an account of the sandbox, and shorthands for what a rollout does."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from slipway_sandbox.testing import SandboxProcess, TestImage, member, push_image

from activities.endpoints.activities import EndpointActivities
from activities.endpoints.messages import (
    EndpointPlan,
    EndpointVerdict,
    FollowEndpoint,
    PlanRollout,
    Preflight,
    RestoreEndpoint,
    RolloutEnd,
    Smoke,
    SmokeAnswer,
    UpdateEndpoint,
)
from activities.endpoints.plan import plan_rollout
from activities.evidence import EvidenceActivities, GatherEvidence
from activities.repositories import Repositories
from slipway.api import Evidence, ModelPackage, TaskdefCommit
from slipway.app.endpoint_settings import EndpointSettings
from slipway.app.spec import Gate, Target, Variant
from slipway.app.strategy import Canary, Strategy
from slipway.aws.clients import Aws
from tests.support.alarms import put_alarm
from tests.support.signed_images import origins_of
from tests.support.waiting import answered

ALARM = "screening-5xx"
PATIENCE = 60
CANARY = Strategy(canary=Canary(percent=50, wait=timedelta(minutes=5)), alarms=(ALARM,))


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds."""
    await answered(lambda: asyncio.to_thread(condition), bool, what, PATIENCE)


class Serving:
    """Packages and endpoints of an account, and what a rollout does to them."""

    def __init__(
        self,
        sandbox: SandboxProcess,
        account: str,
        deployment: Any,
        activities: EndpointActivities,
        run: Any,
        image: TestImage,
        repositories: Repositories,
    ) -> None:
        self.sandbox, self.account, self.deployment, self.activities, self.run = sandbox, account, deployment, activities, run
        self.repositories = repositories
        self.sagemaker = sandbox.client("sagemaker", account)
        self.cloudwatch = sandbox.client("cloudwatch", account)
        self.s3 = sandbox.client("s3", account)
        self.bucket = f"models-{account}"
        self.s3.create_bucket(Bucket=self.bucket)
        self.sagemaker.create_model_package_group(ModelPackageGroupName="screening")
        self.image = push_image(sandbox, account, "model", "v1", image).rpartition(":")[0] + f"@{image.digest}"
        self.put_alarm()

    def put_alarm(self, state: str = "OK") -> None:
        put_alarm(self.cloudwatch, ALARM, self.account, state)

    def package(self, name: str, approval: str = "Approved", accuracy: float = 0.95, **behaviour: Any) -> ModelPackage:
        """A registered model that answers its name, with a metrics report."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            info, content = member("model.json", json.dumps({"name": name, **behaviour}).encode())
            archive.addfile(info, io.BytesIO(content))
        report = {"binary_classification_metrics": {"accuracy": {"value": accuracy}}}
        self.s3.put_object(Bucket=self.bucket, Key=f"{name}.tar.gz", Body=packed.getvalue())
        self.s3.put_object(Bucket=self.bucket, Key=f"{name}.json", Body=json.dumps(report).encode())
        statistics = {"ContentType": "application/json", "S3Uri": f"s3://{self.bucket}/{name}.json"}
        arn = self.sagemaker.create_model_package(
            ModelPackageGroupName="screening",
            InferenceSpecification={
                "Containers": [{"Image": self.image, "ModelDataUrl": f"s3://{self.bucket}/{name}.tar.gz"}],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            ModelApprovalStatus=approval,
            ModelMetrics={"ModelQuality": {"Statistics": statistics}},
            CustomerMetadataProperties={"rows": "569", "author": "ana"},
        )["ModelPackageArn"]
        return ModelPackage(arn=arn, version=int(arn.rpartition("/")[2]), region="us-east-1")

    def plan(self, package: ModelPackage, former: str | None = None, strategy: Strategy = CANARY, **variant: Any) -> EndpointPlan:
        return plan_rollout(self.asked(package, strategy, **variant), former)

    def asked(
        self, package: ModelPackage, strategy: Strategy = CANARY, settings: EndpointSettings | None = None, **variant: Any
    ) -> PlanRollout:
        return PlanRollout(
            promotion_id="screening-1",
            package=package,
            target=Target(endpoint="screening-prod"),
            variant=Variant.model_validate({"instance_type": "ml.m5.large", "instance_count": 2} | variant),
            strategy=strategy,
            settings=settings or EndpointSettings(),
            region="us-east-1",
        )

    async def preflight(self, package: ModelPackage, strategy: Strategy = CANARY, **variant: Any) -> Preflight:
        return await self.run(self.activities.preflight, self.asked(package, strategy, **variant))

    async def update(self, plan: EndpointPlan, previous: str | None) -> None:
        await self.run(self.activities.prepare_endpoint, plan)
        await self.run(self.activities.update_endpoint, UpdateEndpoint(plan=plan, previous_config=previous))

    async def follow(self, plan: EndpointPlan) -> EndpointVerdict:
        return await self.run(self.activities.follow_endpoint, FollowEndpoint(plan=plan, timeout=timedelta(minutes=2)))

    async def roll_out(self, package: ModelPackage, strategy: Strategy = CANARY, **variant: Any) -> EndpointPlan:
        """What a promotion does with a live endpoint."""
        found = await self.preflight(package, strategy, **variant)
        await self.update(found.plan, found.current_config)
        assert (await self.follow(found.plan)).end is RolloutEnd.served
        return found.plan

    async def serve(self, name: str = "first", **behaviour: Any) -> EndpointPlan:
        """A new endpoint that serves a package."""
        plan = self.plan(self.package(name, **behaviour))
        await self.update(plan, None)
        assert (await self.follow(plan)).end is RolloutEnd.served
        return plan

    async def smoke(self, plan: EndpointPlan, files: dict[str, str] | None = None, **wanted: Any) -> SmokeAnswer:
        commit = self.deployment.push({"request.json": "{}", **(files or {})})
        app, json_type = self.deployment.app, "application/json"
        smoke = Smoke(plan=plan, app=app, commit=commit, payload="request.json", content_type=json_type, **wanted)
        return await self.run(self.activities.smoke_endpoint, smoke)

    async def restore(self, plan: EndpointPlan, previous: str | None) -> Any:
        return await self.run(
            self.activities.restore_endpoint, RestoreEndpoint(plan=plan, previous_config=previous, reason="test")
        )

    def fate(self, kind: str, reason: str | None = None) -> None:
        """What becomes of the next create or update."""
        body = {"endpoint": "screening-prod", "kind": kind, "reason": reason, "account": self.account}
        self.sandbox.control("POST", "sagemaker/dials", body)

    def served(self) -> str:
        return self.sagemaker.describe_endpoint(EndpointName="screening-prod")["EndpointConfigName"]

    def deployment_config(self) -> dict[str, Any]:
        """How the last update went."""
        return dict(self.sagemaker.describe_endpoint(EndpointName="screening-prod")["LastDeploymentConfig"])

    def calls(self, operation: str) -> int:
        return len([call for call in self.sandbox.calls("sagemaker", operation, self.account) if not call["error"]])


def gather(serving: Serving, package: ModelPackage, *gates: Gate) -> GatherEvidence:
    return GatherEvidence(
        promotion_id="screening-1",
        app=serving.deployment.app,
        package=package,
        gates=gates,
        targets=(Target(endpoint="screening-prod"), Target(endpoint="screening-new")),
        image=f"{serving.account}.dkr.ecr.us-east-1.amazonaws.com/screening@sha256:{'a' * 64}",
        taskdef=TaskdefCommit(commit="1" * 40, changed=True, file="taskdef.yaml", before="a", after="b"),
        steps=(),
    )


async def evidence_of(aws: Aws, serving: Serving, request: GatherEvidence) -> Evidence:
    return await serving.run(
        EvidenceActivities(aws, serving.repositories, origins_of(aws, serving.repositories)).gather_evidence, request
    )

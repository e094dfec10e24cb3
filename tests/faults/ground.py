"""Where the examples take place: a local AWS and Temporal with one account, one worker, and endpoints for each example."""

from __future__ import annotations

import io
import json
import sys
import tarfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from botocore.exceptions import ClientError
from slipway_sandbox.testing import fresh_account, member, push_image
from temporalio.client import Client

from demo.remote import Remote
from demo.stack import REGION, Stack
from demo.team import ROOT
from slipway.api import AppRef, PromotionRequest
from slipway.served import TAG
from slipway.temporal.payloads import data_converter
from slipway.temporal.queries import AskAgain
from tests.faults.schedule import Schedule
from tests.support.alarms import put_alarm
from tests.support.forked import ForkingCrew
from tests.support.model_server import model_server
from tests.support.scaling import LARGER, LIVE, VARIANT, described_scaling, scaled_by_count

SAMPLE_ACCOUNT = "222222222222"
NEW = "new"
"""What a model answers that serves what its promotion was started for."""
PATIENCE = 60.0


class Ground:
    """The servers, an account, and a worker.

    Args:
        folder: Holds everything.
    """

    def __init__(self, folder: Path) -> None:
        self.stack = Stack(folder, time_scale=600)
        self.account = fresh_account()
        self.trained = folder / "trained"
        self.trained.mkdir(parents=True)
        self.remote = Remote(self.stack.folder / "git" / "deploy.git")
        self.image = ""

    def __enter__(self) -> Self:
        self.stack.__enter__()
        more = {"TRAINED": str(self.trained), "PYTHONPATH": str(ROOT)}
        self.crew = ForkingCrew(self.stack, self.account, namespace="faults", credentials=more)
        self.crew.worker = self.crew.make_worker(sys.executable, "-m", "tests.faults.trained_worker")
        self.crew.__enter__()
        self.image = push_image(self.stack.sandbox, self.account, "model", "v1", model_server())
        self.client("ecs").create_cluster(clusterName="ml")
        self.client("s3").create_bucket(Bucket=self.bucket)
        self.remote.create({"docs": ROOT / "pipecd" / "smoke"})
        fails = {"Name": "End", "Type": "Fail", "Arguments": {"ErrorMessage": "it is over"}}
        definition = json.dumps({"Version": "2020-12-01", "Steps": [fails]})
        self.client("sagemaker").create_pipeline(
            PipelineName="screening-training",
            PipelineDefinition=definition,
            RoleArn=f"arn:aws:iam::{self.account}:role/pipeline",
            ClientRequestToken=uuid4().hex,
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.crew.__exit__(kind, error, trace)
        self.stack.__exit__(kind, error, trace)

    @property
    def bucket(self) -> str:
        return f"models-{self.account}"

    def trains(self, request: PromotionRequest, package: str) -> None:
        """Let the pipeline of a promotion be one that has made this package."""
        started = self.client("sagemaker").start_pipeline_execution(
            PipelineName="screening-training",
            PipelineExecutionDisplayName=request.promotion_id,
            ClientRequestToken=uuid4().hex,
        )
        made = {"package": package, "execution": started["PipelineExecutionArn"]}
        (self.trained / request.promotion_id).write_text(json.dumps(made))

    def client(self, service: str) -> Any:
        """A client of the account, which gets over most faults."""
        return self.stack.sandbox.client(service, self.account, REGION, attempts=5)

    async def connect(self) -> Client:
        """A client of the worker's namespace."""
        return await Client.connect(
            self.stack.temporal.address,
            namespace=self.crew.namespace,
            data_converter=data_converter,
            interceptors=[AskAgain()],
        )


class Scene:
    """What there is before an example's promotion starts: its app, its models and its endpoints.

    Args:
        ground: Where.
        schedule: The example.
    """

    def __init__(self, ground: Ground, schedule: Schedule) -> None:
        self.ground, self.schedule = ground, schedule
        self.name = uuid4().hex[:8]
        self.sagemaker, self.cloudwatch = ground.client("sagemaker"), ground.client("cloudwatch")
        self.group, self.alarm = f"group-{self.name}", f"alarm-{self.name}"
        self.endpoints = tuple(f"ep-{self.name}-{number}" for number in range(schedule.targets))
        self.formers: dict[str, str | None] = {}
        """What each endpoint served before; none where it was not there."""
        self.scaling: dict[str, Any] = {}
        self.since = 0
        """The last call that was made in setting all this up."""
        self._set_up()

    def _set_up(self) -> None:
        sagemaker = self.sagemaker
        sagemaker.create_model_package_group(ModelPackageGroupName=self.group)
        put_alarm(self.cloudwatch, self.alarm, self.name)
        champion = self._package("former", "Approved")
        there = self.endpoints[:-1] if self.schedule.new_target else self.endpoints
        self.formers = {endpoint: f"former-{endpoint}" if endpoint in there else None for endpoint in self.endpoints}
        for endpoint in there:
            self._serve(endpoint, champion)
        for endpoint in there:
            self.wait(endpoint)
        if there and self.schedule.scaled:
            self._scale(there[0])
        self.package = self._package(NEW, "PendingManualApproval", **self._behaviour())
        self.ground.remote.commit_files(self._files(), f"Add {self.name}")
        digest = f"sha256:{uuid4().hex}{uuid4().hex}"
        self.request = PromotionRequest(
            app=AppRef(repository=self.ground.remote.url, folder=self.name),
            image=f"{self._repository}@{digest}",
            requested_by="ci",
        )
        self.ground.trains(self.request, self.package)
        calls = self.ground.stack.sandbox.calls(account=self.ground.account)
        self.since = calls[-1]["number"]

    @property
    def _repository(self) -> str:
        return f"{self.ground.account}.dkr.ecr.{REGION}.amazonaws.com/screening-pipeline"

    def _behaviour(self) -> dict[str, Any]:
        match self.schedule.model:
            case "wrong":
                return {"name": "another"}
            case "fails":
                return {"status": 500}
            case "recovers":
                return {"failures": 1}
            case "crashes":
                return {"crashes": True}
            case "good":
                return {}

    def _package(self, label: str, approval: str, **behaviour: Any) -> str:
        key, s3 = f"{self.name}/{label}", self.ground.client("s3")
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            info, content = member("model.json", json.dumps({"name": label} | behaviour).encode())
            archive.addfile(info, io.BytesIO(content))
        s3.put_object(Bucket=self.ground.bucket, Key=f"{key}.tar.gz", Body=packed.getvalue())
        s3.put_object(Bucket=self.ground.bucket, Key=f"{key}.json", Body=json.dumps({"accuracy": {"value": 0.95}}).encode())
        statistics = {"ContentType": "application/json", "S3Uri": f"s3://{self.ground.bucket}/{key}.json"}
        return self.sagemaker.create_model_package(
            ModelPackageGroupName=self.group,
            InferenceSpecification={
                "Containers": [{"Image": self.ground.image, "ModelDataUrl": f"s3://{self.ground.bucket}/{key}.tar.gz"}],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            ModelApprovalStatus=approval,
            ModelMetrics={"ModelQuality": {"Statistics": statistics}},
        )["ModelPackageArn"]

    def _serve(self, endpoint: str, package: str) -> None:
        sagemaker, config = self.sagemaker, self.formers[endpoint]
        model = f"model-{endpoint}"
        sagemaker.create_model(ModelName=model, Containers=[{"ModelPackageName": package}])
        variant = {
            "VariantName": VARIANT,
            "ModelName": model,
            "InstanceType": LIVE,
            "InitialInstanceCount": self.schedule.instances,
        }
        sagemaker.create_endpoint_config(EndpointConfigName=config, ProductionVariants=[variant])
        arn = sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=config)["EndpointArn"]
        if self.schedule.marked:
            sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": TAG, "Value": config}])

    def _scale(self, endpoint: str) -> None:
        client, resource = self.ground.client("application-autoscaling"), f"endpoint/{endpoint}/variant/{VARIANT}"
        of = scaled_by_count(resource)
        metric = {"PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}}
        client.register_scalable_target(**of, MinCapacity=1, MaxCapacity=12)
        client.put_scaling_policy(
            **of,
            PolicyName="requests",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={"TargetValue": 70.0, **metric},
        )
        self.scaling = {endpoint: self.scaling_of(endpoint)}

    def scaling_of(self, endpoint: str) -> dict[str, Any]:
        """All that is described of an endpoint's automatic scaling."""
        return described_scaling(self.ground.client("application-autoscaling"), f"endpoint/{endpoint}/variant/{VARIANT}")

    def _files(self) -> dict[str, str]:
        sample = {name: (ROOT / "pipecd" / name).read_text() for name in ("app.pipecd.yaml", "taskdef.yaml")}
        files = {name: text.replace(SAMPLE_ACCOUNT, self.ground.account) for name, text in sample.items()}
        files |= {"promotion.yaml": json.dumps(self._spec()), "smoke.json": "{}"}
        return {f"{self.name}/{name}": text for name, text in files.items()}

    def _spec(self) -> dict[str, Any]:
        schedule = self.schedule
        manual = {"mode": "manual", "approvers": ["ana"]}
        return {
            "apiVersion": "slipway.dev/v1",
            "kind": "ModelPromotion",
            "metadata": {"name": "screening"},
            "spec": {
                "image": {"source": self._repository, "target": self._repository},
                "git": {"event": "sm-pipeline-pipecd-image-update"},
                "pipeline": {"name": "screening-training"},
                "model": {"packageGroup": self.group},
                "gates": [{"metric": "accuracy.value", "min": 0.5}],
                "approval": manual if schedule.manual else {"mode": "auto"},
                "rollout": {
                    "strategy": self._strategy(),
                    "variant": {"instanceType": LARGER if self.scaling else LIVE, "instanceCount": schedule.instances},
                    "smoke": {
                        "payload": "smoke.json",
                        "tries": schedule.tries,
                        "pause": "0s",
                        "values": [{"path": "model", "text": NEW}],
                    },
                    "onFailure": schedule.on_failure,
                    "waves": self._waves(),
                },
            },
        }

    def _strategy(self) -> dict[str, Any]:
        schedule = self.schedule
        made: dict[str, Any] = {"alarms": [self.alarm]} if schedule.has_alarms else {}
        made |= {"bake": "5m"} if schedule.has_bake else {}
        match schedule.kind:
            case "canary":
                return made | {"canary": {"percent": 50, "wait": "5m"}}
            case "linear":
                return made | {"linear": {"percent": 50, "wait": "5m"}}
            case "rolling":
                return made | {"rolling": {"percent": 50, "wait": "3m"}}
            case "at once":
                return made

    def _waves(self) -> list[dict[str, Any]]:
        left, waves = list(self.endpoints), list[dict[str, Any]]()
        for number, size in enumerate(self.schedule.waves):
            wave: dict[str, Any] = {"targets": [{"endpoint": left.pop(0)} for _ in range(size)]}
            wave |= {"maxConcurrency": self.schedule.at_once} if self.schedule.at_once else {}
            wave |= {"soak": "1s"} if number and self.schedule.soaks else {}
            waves.append(wave)
        return waves

    # --- What is there ---

    def described(self, endpoint: str) -> dict[str, Any] | None:
        """The endpoint; none where it is not there."""
        try:
            return self.sagemaker.describe_endpoint(EndpointName=endpoint)
        except ClientError as error:
            if "could not find" in str(error).lower():
                return None
            raise

    def share(self, endpoint: str) -> float | None:
        """The new model's part of an endpoint's traffic; none where no update is under way and the former config serves."""
        found = self.described(endpoint)
        if found is None:
            return None
        if found["EndpointConfigName"] != self.formers[endpoint]:
            return 1.0 if found["EndpointStatus"] != "Creating" else 0.0
        pending = found.get("PendingDeploymentSummary")
        return pending["ProductionVariants"][0].get("CurrentWeight", 0.0) if pending else None

    def answer(self, endpoint: str) -> str:
        """The name of the model that answers."""
        runtime = self.ground.client("sagemaker-runtime")
        answer = runtime.invoke_endpoint(EndpointName=endpoint, ContentType="application/json", Body=b"{}")
        return json.loads(answer["Body"].read())["model"]

    def wait(self, endpoint: str) -> None:
        """Wait until the endpoint is at rest."""
        deadline = time.monotonic() + PATIENCE
        while (found := self.described(endpoint)) and found["EndpointStatus"] not in {
            "InService",
            "Failed",
            "UpdateRollbackFailed",
        }:
            assert time.monotonic() < deadline, f"timeout waiting for {endpoint}: {found}"
            time.sleep(0.05)

    def tidy(self) -> None:
        """Take away what would go on running."""
        for endpoint in self.endpoints:
            self.wait(endpoint)
            if self.described(endpoint):
                self.sagemaker.delete_endpoint(EndpointName=endpoint)
        self.cloudwatch.delete_alarms(AlarmNames=[self.alarm])

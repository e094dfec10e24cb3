"""The same promotion as a careful person writes it in one script: boto3, httpx and git, from top to bottom.

It has the effects of a promotion that goes well, and nothing else. It does not look again before each effect, it tries nothing
again, and it undoes nothing. If it is killed, a person has to find out by hand how far it got.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx
import yaml

T = TypeVar("T")
LONGEST_WAIT = 300.0
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
RUNNING = {"Executing", "Stopping", "Creating", "Updating", "SystemUpdating", "RollingBack"}


@dataclass(frozen=True)
class Surroundings:
    """What the script is told.

    Args:
        client: A boto3 client by its service's name, shared by all runs as in a process that goes on.
        remote: The URL of the deployment repository.
        folder: The application's folder in it.
        environment: What git runs in.
        poll: Seconds between two looks.
    """

    client: Callable[[str], Any]
    remote: str
    folder: str
    environment: Mapping[str, str]
    poll: float


class BareScript:
    """One promotion.

    Args:
        around: What it is told.
        scratch: An empty folder for the clone.
        image: The image that CI pushed, by digest.
        name: Names the execution, model and config.
    """

    def __init__(self, around: Surroundings, scratch: Path, image: str, name: str) -> None:
        self._client = around.client
        self._around = around
        self._clone = scratch / "clone"
        self._app = self._clone / around.folder
        self._image = image
        self._name = name

    def run(self) -> str:
        """Promote; returns what the model answered."""
        self._git("clone", "--quiet", "--depth", "1", self._around.remote, str(self._clone))
        spec = self._read("promotion.yaml")["spec"]
        image = self._copy_image(spec["image"]["target"])
        self._write_image(image)
        started = self._run_task()
        execution = self._follow_execution(spec["pipeline"]["name"], started)
        package = self._find_package(execution)
        self._check_gates(package, spec)
        self._approve(package)
        self._roll_out(package, spec["rollout"])
        answer = self._ask(spec["rollout"])
        self._record(package, spec["rollout"])
        self._clean_up(spec["rollout"])
        return answer

    # --- Image ---

    def _copy_image(self, target: str) -> str:
        repository, _, digest = self._image.partition("@")
        source_host, _, source_name = repository.partition("/")
        target_host, _, target_name = target.partition("/")
        ecr = self._client("ecr")
        ecr.describe_images(registryId=account_of(source_host), repositoryName=source_name, imageIds=[{"imageDigest": digest}])
        ecr.describe_repositories(registryId=account_of(target_host), repositoryNames=[target_name])
        with self._registry(source_host) as source, self._registry(target_host) as there:
            answer = source.get(f"/v2/{source_name}/manifests/{digest}", headers={"Accept": MANIFEST}).raise_for_status()
            if f"sha256:{hashlib.sha256(answer.content).hexdigest()}" != digest:
                raise RuntimeError(f"{self._image} has other bytes")
            manifest = answer.json()
            if source.get(f"/v2/{source_name}/referrers/{digest}").raise_for_status().json()["manifests"]:
                raise RuntimeError(f"{self._image} has signatures or the like, which this script does not copy")
            for blob in (manifest["config"], *manifest["layers"]):
                copy_blob(source, source_name, there, target_name, blob["digest"], blob["size"])
            headers = {"Content-Type": answer.headers["Content-Type"]}
            tag = f"bare-{digest.partition(':')[2][:12]}"
            there.put(f"/v2/{target_name}/manifests/{tag}", content=answer.content, headers=headers).raise_for_status()
        return f"{target}@{digest}"

    def _registry(self, host: str) -> httpx.Client:
        answer = self._client("ecr").get_authorization_token(registryIds=[account_of(host)])["authorizationData"][0]
        user, _, password = base64.b64decode(answer["authorizationToken"]).decode().partition(":")
        return httpx.Client(base_url=answer["proxyEndpoint"], auth=(user, password), follow_redirects=True, timeout=60)

    # --- Task definition and task ---

    def _write_image(self, image: str) -> None:
        file = self._app / "taskdef.yaml"
        file.write_text(re.sub(r"(?m)^(\s*image: ).*$", rf"\g<1>{image}", file.read_text(), count=1))
        self._git("-C", str(self._clone), "commit", "--quiet", "--all", "--message", f"Run {image}")
        self._git("-C", str(self._clone), "push", "--quiet", "origin", "HEAD")

    def _run_task(self) -> Any:
        ecs = self._client("ecs")
        given = self._read("app.pipecd.yaml")["spec"]["input"]
        definition = ecs.register_task_definition(**self._read("taskdef.yaml"))["taskDefinition"]
        task = ecs.run_task(
            taskDefinition=definition["taskDefinitionArn"],
            cluster=given["clusterArn"],
            count=1,
            clientToken=self._name,
            launchType=given["launchType"],
            networkConfiguration={"awsvpcConfiguration": given["awsvpcConfiguration"]},
            overrides={
                "containerOverrides": [
                    {"name": container["name"], "environment": [{"name": "SLIPWAY_PROMOTION_ID", "value": self._name}]}
                    for container in definition["containerDefinitions"]
                ]
            },
        )["tasks"][0]

        def look() -> Any:
            found = ecs.describe_tasks(cluster=given["clusterArn"], tasks=[task["taskArn"]])["tasks"][0]
            return found if found["lastStatus"] == "STOPPED" else None

        stopped = self._until(look, "the task to stop")
        if any(container.get("exitCode") != 0 for container in stopped["containers"]):
            raise RuntimeError(f"the task failed: {stopped.get('stoppedReason')}")
        return task["createdAt"]

    # --- Pipeline and model ---

    def _follow_execution(self, pipeline: str, started: Any) -> str:
        sagemaker = self._client("sagemaker")

        def find() -> Any:
            answer = sagemaker.list_pipeline_executions(PipelineName=pipeline, CreatedAfter=started, SortOrder="Descending")
            found = answer["PipelineExecutionSummaries"]
            return next((each for each in found if each.get("PipelineExecutionDisplayName") == self._name), None)

        execution = self._until(find, "the execution")["PipelineExecutionArn"]

        def look() -> Any:
            sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution)
            found = sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution)
            return None if found["PipelineExecutionStatus"] in RUNNING else found

        ended = self._until(look, "the execution to end")
        if ended["PipelineExecutionStatus"] != "Succeeded":
            raise RuntimeError(f"the execution is {ended['PipelineExecutionStatus']}: {ended.get('FailureReason')}")
        return execution

    def _find_package(self, execution: str) -> dict[str, Any]:
        sagemaker = self._client("sagemaker")
        steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution)["PipelineExecutionSteps"]
        arn = next(step["Metadata"]["RegisterModel"]["Arn"] for step in steps if "RegisterModel" in step.get("Metadata", {}))
        return sagemaker.describe_model_package(ModelPackageName=arn)

    def _check_gates(self, package: dict[str, Any], spec: dict[str, Any]) -> None:
        report = self._report(package)
        rival = self._champion(spec["rollout"]["waves"][-1]["targets"][-1]["endpoint"])
        champion = self._report(rival) if rival else None
        for gate in spec["gates"]:
            value = number_at(report, gate["metric"])
            if value < gate.get("min", value):
                raise RuntimeError(f"{gate['metric']} is {value}")
            if champion and "maxRegression" in gate and value < number_at(champion, gate["metric"]) - gate["maxRegression"]:
                raise RuntimeError(f"{gate['metric']} is {value}, which is worse than before")

    def _champion(self, endpoint: str) -> dict[str, Any] | None:
        sagemaker = self._client("sagemaker")
        config = self._present_config(endpoint)
        if config is None:
            return None
        variant = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"][0]
        arn = sagemaker.describe_model(ModelName=variant["ModelName"])["PrimaryContainer"]["ModelPackageName"]
        return sagemaker.describe_model_package(ModelPackageName=arn)

    def _report(self, package: dict[str, Any]) -> dict[str, Any]:
        uri = urlsplit(str(package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]))
        return json.loads(self._client("s3").get_object(Bucket=uri.netloc, Key=uri.path.lstrip("/"))["Body"].read())

    def _approve(self, package: dict[str, Any]) -> None:
        self._client("sagemaker").update_model_package(
            ModelPackageArn=package["ModelPackageArn"], ModelApprovalStatus="Approved", ApprovalDescription="the gates are met"
        )

    # --- Rollout ---

    def _roll_out(self, package: dict[str, Any], rollout: dict[str, Any]) -> None:
        sagemaker = self._client("sagemaker")
        endpoint, variant = rollout["waves"][-1]["targets"][-1]["endpoint"], rollout["variant"]
        present = self._present_config(endpoint)
        alarms = rollout["strategy"].get("alarms", [])
        found = self._client("cloudwatch").describe_alarms(AlarmNames=alarms)["MetricAlarms"]
        if ringing := [alarm["AlarmName"] for alarm in found if alarm["StateValue"] == "ALARM"]:
            raise RuntimeError(f"{', '.join(ringing)} rings")
        sagemaker.create_model(
            ModelName=self._name,
            PrimaryContainer={"ModelPackageName": package["ModelPackageArn"]},
            ExecutionRoleArn=variant["executionRoleArn"],
        )
        sagemaker.create_endpoint_config(
            EndpointConfigName=self._name,
            ProductionVariants=[
                {
                    "VariantName": "AllTraffic",
                    "ModelName": self._name,
                    "InstanceType": variant["instanceType"],
                    "InitialInstanceCount": variant["instanceCount"],
                    "InitialVariantWeight": 1.0,
                }
            ],
        )
        if present is None:
            sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=self._name)
        else:
            deployment = deployment_config(rollout["strategy"])
            sagemaker.update_endpoint(
                EndpointName=endpoint,
                EndpointConfigName=self._name,
                RetainAllVariantProperties=True,
                DeploymentConfig=deployment,
            )

        def look() -> Any:
            found = sagemaker.describe_endpoint(EndpointName=endpoint)
            return None if found["EndpointStatus"] in RUNNING else found

        ended = self._until(look, "the endpoint to come to rest")
        served = self._champion(endpoint)
        if ended["EndpointStatus"] != "InService" or not served or served["ModelPackageArn"] != package["ModelPackageArn"]:
            raise RuntimeError(f"{endpoint} is {ended['EndpointStatus']}: {ended.get('FailureReason')}")

    def _present_config(self, endpoint: str) -> str | None:
        sagemaker = self._client("sagemaker")
        try:
            return sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
        except sagemaker.exceptions.ClientError as error:
            if "Could not find" not in str(error):
                raise
            return None

    def _ask(self, rollout: dict[str, Any]) -> str:
        answer = self._client("sagemaker-runtime").invoke_endpoint(
            EndpointName=rollout["waves"][-1]["targets"][-1]["endpoint"],
            ContentType=rollout["smoke"]["contentType"],
            Body=(self._app / rollout["smoke"]["payload"]).read_bytes(),
        )
        return answer["Body"].read().decode()

    # --- Records ---

    def _record(self, package: dict[str, Any], rollout: dict[str, Any]) -> None:
        sagemaker = self._client("sagemaker")
        endpoint = sagemaker.describe_endpoint(EndpointName=rollout["waves"][-1]["targets"][-1]["endpoint"])
        sagemaker.add_tags(ResourceArn=endpoint["EndpointArn"], Tags=[{"Key": "served-config", "Value": self._name}])
        sagemaker.update_model_package(
            ModelPackageArn=package["ModelPackageArn"],
            CustomerMetadataProperties=package.get("CustomerMetadataProperties", {}) | {f"served.{self._name}": self._image},
        )

    def _clean_up(self, rollout: dict[str, Any]) -> None:
        """Remove what earlier runs made, but for the last of it."""
        sagemaker = self._client("sagemaker")
        found = sagemaker.list_endpoint_configs(NameContains="bare-", SortBy="CreationTime", SortOrder="Descending")
        for config in found["EndpointConfigs"][1 + rollout.get("keep", 10) :]:
            sagemaker.delete_endpoint_config(EndpointConfigName=config["EndpointConfigName"])
            sagemaker.delete_model(ModelName=config["EndpointConfigName"])

    # --- Tools ---

    def _read(self, name: str) -> Any:
        return yaml.safe_load((self._app / name).read_text())

    def _git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], env=dict(self._around.environment), check=True, capture_output=True)

    def _until(self, look: Callable[[], T | None], what: str) -> T:
        deadline = time.monotonic() + LONGEST_WAIT
        while (found := look()) is None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"timeout after {LONGEST_WAIT:.0f} s waiting for {what}")
            time.sleep(self._around.poll)
        return found


def account_of(host: str) -> str:
    """The account of a registry in ECR."""
    return host.partition(".")[0]


def copy_blob(source: httpx.Client, name: str, target: httpx.Client, other: str, digest: str, size: int) -> None:
    """Copies one blob, unless it is there."""
    if target.head(f"/v2/{other}/blobs/{digest}").is_success:
        return
    upload = target.post(f"/v2/{other}/blobs/uploads/").raise_for_status()
    location = urljoin(str(upload.request.url), upload.headers["Location"])
    url = httpx.URL(location).copy_merge_params({"digest": digest})
    with source.stream("GET", f"/v2/{name}/blobs/{digest}") as blob:
        blob.raise_for_status()
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        target.put(url, content=blob.iter_bytes(1 << 18), headers=headers).raise_for_status()


def number_at(report: dict[str, Any], path: str) -> float:
    """The number at a path of names with dots between them."""
    found: Any = report
    for name in path.split("."):
        found = found[name]
    return float(found)


def deployment_config(strategy: dict[str, Any]) -> dict[str, Any]:
    """The `DeploymentConfig` of UpdateEndpoint for a canary."""
    canary = strategy["canary"]
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "CANARY",
                "WaitIntervalInSeconds": seconds(canary["wait"]),
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": canary["percent"]},
            },
            "TerminationWaitInSeconds": seconds(strategy["bake"]),
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in strategy.get("alarms", [])]},
    }


def seconds(duration: str) -> int:
    """The seconds of a duration such as `10m`."""
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]

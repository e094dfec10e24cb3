"""The sample team: what it has in AWS and in git before a promotion starts, and what its CI does."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from botocore.exceptions import ClientError

from activities.endpoints.plan import NEW_VARIANT
from demo.images import push, training_data
from demo.oci_layout import BuiltImage
from demo.remote import Remote
from demo.stack import CI_ACCOUNT, ML_ACCOUNT, REGION, Stack
from slipway.app.spec import ModelPromotion
from slipway.app.spec_reader import parse_spec

ROOT = Path(__file__).parent.parent
FOLDER = "screening"
"""The application's folder on the deployment branch."""
WORKER = f"arn:aws:iam::{ML_ACCOUNT}:role/slipway-worker"
"""Who may read CI's images, in the sample policy."""
PRICE_OF_A_MISS = 1.0
"""How many failed requests in a minute set off the 5xx alarm."""


class Team:
    """The sample application in accounts of its own.

    Args:
        stack: Where it lives.
        ci_account: The account that CI pushes images to.
        ml_account: The account of the pipeline and the endpoint.
    """

    def __init__(self, stack: Stack, ci_account: str = CI_ACCOUNT, ml_account: str = ML_ACCOUNT) -> None:
        self.stack = stack
        self.ci_account = ci_account
        self.ml_account = ml_account
        self.remote = Remote(stack.folder / "git" / f"deploy-{ml_account}.git")

    @property
    def spec(self) -> ModelPromotion:
        """The promotion's spec, as the deployment branch has it."""
        return parse_spec(self.remote.read(f"{FOLDER}/promotion.yaml"))

    @property
    def task_environment(self) -> dict[str, str]:
        """The environment that the task definition gives the pipeline image."""
        container = yaml.safe_load(self.remote.read(f"{FOLDER}/taskdef.yaml"))["containerDefinitions"][0]
        return {entry["name"]: entry["value"] for entry in container["environment"]}

    @property
    def endpoint(self) -> str:
        """The name of the last endpoint of the rollout, the one that its clients call."""
        return self.spec.spec.rollout.waves[-1].targets[-1].endpoint

    def client(self, service: str, account: str | None = None) -> Any:
        """A client of the team's own account, or of another."""
        return self.stack.sandbox.client(service, account or self.ml_account, REGION, attempts=3)

    def prepare(self, model_image: BuiltImage) -> None:
        """Make the deployment branch, repositories, buckets, cluster and alarms, and push the model image."""
        self._make_remote()
        image = self.spec.spec.image
        self._create_repository(self.ci_account, name_of(image.source))
        self.share_source(f"arn:aws:iam::{self.ml_account}:root")
        if image.target != image.source:
            self._create_repository(self.ml_account, name_of(image.target))
        model_repository, _, tag = name_of(self.task_environment["MODEL_IMAGE"]).partition(":")
        self._create_repository(self.ml_account, model_repository)
        self._push(model_image, self.client("ecr"), model_repository, tag)
        for uri in (self.task_environment["DATA_URI"], self.task_environment["OUTPUT_URI"]):
            self._create_bucket(urlsplit(uri).netloc)
        self.client("ecs").create_cluster(clusterName="ml")
        self.client("logs").create_log_group(logGroupName="/ecs/screening-pipeline")
        self.upload_data()
        self._put_alarms()

    def leave_task_to_piped(self, timeout: str = "30m") -> None:
        """Let piped run the task, as the deployment branch says from now on.

        Args:
            timeout: `task.timeout`.
        """
        spec, app = f"{FOLDER}/promotion.yaml", f"{FOLDER}/app.pipecd.yaml"
        ours, theirs = "launcher: slipway, timeout: 30m", f"launcher: pipecd, timeout: {timeout}"
        files = {
            spec: self.remote.read(spec).replace(ours, theirs),
            app: self.remote.read(app).replace("runStandaloneTask: false", "runStandaloneTask: true"),
        }
        self.remote.commit_files(files, "Let piped run the task")

    def share_source(self, reader: str) -> None:
        """Let a principal of the ML account read CI's images, by the sample policy."""
        policy = (ROOT / "deploy" / "iam" / "source-repository.json").read_text().replace(WORKER, reader)
        repository = name_of(self.spec.spec.image.source)
        self.client("ecr", self.ci_account).set_repository_policy(repositoryName=repository, policyText=policy)

    def push_pipeline_image(self, image: BuiltImage, tag: str, ecr: Any = None) -> str:
        """Push a pipeline image as CI does; returns its URI by digest.

        Args:
            image: The image.
            tag: The tag that it gets.
            ecr: The ECR client to push with; one of CI's account unless given.
        """
        source = self.spec.spec.image.source
        return f"{source}@{self._push(image, ecr or self.client('ecr', self.ci_account), name_of(source), tag)}"

    def upload_data(self) -> None:
        """Upload the training data: scikit-learn's breast-cancer cases."""
        location = urlsplit(self.task_environment["DATA_URI"])
        key = f"{location.path.strip('/')}/cases.csv"
        self.client("s3").put_object(Bucket=location.netloc, Key=key, Body=training_data(ROOT))

    def remove_data(self) -> None:
        """Delete the training data, as a wrong lifecycle rule would."""
        location = urlsplit(self.task_environment["DATA_URI"])
        self.client("s3").delete_object(Bucket=location.netloc, Key=f"{location.path.strip('/')}/cases.csv")

    def invoke(self) -> dict[str, Any]:
        """Ask the endpoint about one real case; returns the answer with the variant that gave it.

        Raises:
            ClientError: It did not answer.
        """
        answer = self.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=self.endpoint,
            ContentType="application/json",
            Body=(ROOT / "pipecd" / "smoke" / "request.json").read_bytes(),
        )
        return {"body": answer["Body"].read().decode(), "variant": answer["InvokedProductionVariant"]}

    def _make_remote(self) -> None:
        scratch = self.stack.folder / f"app-{self.ml_account}"
        shutil.copytree(ROOT / "pipecd", scratch, dirs_exist_ok=True)
        for file in (path for path in scratch.rglob("*.yaml") if path.is_file()):
            text = file.read_text().replace(CI_ACCOUNT, self.ci_account).replace(ML_ACCOUNT, self.ml_account)
            file.write_text(text)
        self.remote.create({FOLDER: scratch})

    def _create_repository(self, account: str, name: str) -> None:
        self.client("ecr", account).create_repository(repositoryName=name, imageTagMutability="MUTABLE")

    def _push(self, image: BuiltImage, ecr: Any, repository: str, tag: str) -> str:
        token = ecr.get_authorization_token()["authorizationData"][0]
        user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
        return push(image, token["proxyEndpoint"], user, password, repository, tag)

    def _create_bucket(self, name: str) -> None:
        try:
            self.client("s3").create_bucket(Bucket=name)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "BucketAlreadyOwnedByYou":
                raise

    def _put_alarms(self) -> None:
        for name in self.spec.spec.rollout.strategy.alarms:
            is_latency = "latency" in name
            self.client("cloudwatch").put_metric_alarm(
                AlarmName=name,
                Namespace="AWS/SageMaker",
                MetricName="ModelLatency" if is_latency else "Invocation5XXErrors",
                Dimensions=[
                    {"Name": "EndpointName", "Value": self.endpoint},
                    {"Name": "VariantName", "Value": self.spec.spec.rollout.variant.name or NEW_VARIANT},
                ],
                Statistic="Average" if is_latency else "Sum",
                Period=60,
                EvaluationPeriods=1,
                # ModelLatency is in microseconds.
                Threshold=5_000_000.0 if is_latency else PRICE_OF_A_MISS,
                ComparisonOperator="GreaterThanOrEqualToThreshold",
                TreatMissingData="notBreaching",
            )


def name_of(image: object) -> str:
    """What follows the registry's host in an image's URI."""
    return str(image).partition("/")[2]

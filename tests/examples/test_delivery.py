"""The tutorial's app: its files fit each other, its page shows them as they are, and its model trains and answers."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import yaml
from slipway_sandbox.testing import SandboxProcess, push_image, python_image, wait_until

from demo.stack import BINARIES
from slipway.api import AppRef
from slipway.app.lint import read_app
from slipway.app.spec_reader import parse_spec
from slipway.policy.check import entry_for, require_app
from slipway.policy.source import parse_policy

ROOT = Path(__file__).parents[2]
APP = ROOT / "examples" / "delivery"
ROLE = "arn:aws:iam::333333333333:role/delivery-pipeline"


def test_given_the_app_when_it_is_linted_then_nothing_is_wrong() -> None:
    linted = subprocess.run([BINARIES / "slipway", "lint", APP / "deploy"], capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout) == (0, "0 errors, 0 warnings\n")


def test_given_the_policy_of_the_tutorial_then_it_allows_what_the_app_names() -> None:
    policy = parse_policy((APP / "policy.yaml").read_bytes().replace(b"~", b"/home/ana"), "policy.yaml")
    app = AppRef(repository="file:///home/ana/tutorial/deploy.git", branch="main", folder="delivery")
    found = read_app(lambda path: (APP / "deploy" / path).read_bytes()).app
    assert found is not None
    require_app(entry_for(policy, app), app, found)
    assert policy.apps[0].approval.identity == "signed"


def test_given_the_tutorial_then_it_shows_the_spec_of_the_app() -> None:
    (shown,) = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / "tutorial.md").read_text(), re.MULTILINE | re.DOTALL)
    assert shown == (APP / "deploy" / "promotion.yaml").read_text()


def test_given_the_app_when_its_pipeline_runs_then_the_gate_finds_its_metric_and_the_model_is_registered(
    sandbox: SandboxProcess, account: str
) -> None:
    programs = {name: (APP / "image" / name).read_text() for name in ("train", "evaluate", "serve")}
    image = push_image(
        sandbox, account, "delivery", "v1", python_image(programs, imports=("csv", "gzip", "json", "statistics", "tarfile"))
    )
    s3, sagemaker = sandbox.client("s3", account), sandbox.client("sagemaker", account)
    bucket = f"delivery-{account}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="data/data.csv", Body=(APP / "data.csv").read_bytes())
    definition = (APP / "image" / "pipeline.json").read_text()
    sagemaker.create_pipeline(PipelineName="delivery-training", PipelineDefinition=definition, RoleArn=ROLE)
    parameters = [{"Name": name, "Value": value} for name, value in {"Image": image, "Bucket": bucket, "Role": ROLE}.items()]
    run = sagemaker.start_pipeline_execution(PipelineName="delivery-training", PipelineParameters=parameters)

    def status() -> str:
        return sagemaker.describe_pipeline_execution(PipelineExecutionArn=run["PipelineExecutionArn"])["PipelineExecutionStatus"]

    wait_until(lambda: status() != "Executing", "the pipeline's end")
    steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=run["PipelineExecutionArn"])["PipelineExecutionSteps"]
    assert not [step["FailureReason"] for step in steps if "FailureReason" in step]

    (package,) = sagemaker.list_model_packages(ModelPackageGroupName="delivery")["ModelPackageSummaryList"]
    described = sagemaker.describe_model_package(ModelPackageName=package["ModelPackageArn"])
    _, _, key = described["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"].removeprefix("s3://").partition("/")
    found = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    (gate,) = parse_spec((APP / "deploy" / "promotion.yaml").read_text()).spec.gates
    for part in gate.metric.split("."):
        found = found[part]
    assert gate.max is not None
    assert 0 < found < gate.max


def test_given_the_task_definition_then_it_runs_a_program_of_the_image() -> None:
    (container,) = yaml.safe_load((APP / "deploy" / "taskdef.yaml").read_text())["containerDefinitions"]
    (program,) = container["command"]
    assert (APP / "image" / program).stat().st_mode & 0o111

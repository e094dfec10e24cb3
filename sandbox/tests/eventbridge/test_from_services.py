"""The events of the sandbox's own services, from what really happens to a queue, with the members that AWS documents."""

import contextlib
import json
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess, build_image, push_image

from sandbox.testkit.ecs import TaskDesk
from sandbox.testkit.jobs import JobDesk

from .conftest import Queue, queue_with

ROLE = "arn:aws:iam::111111111111:role/any"
SEVERITIES = {"CRITICAL": 1, "LOW": 2}


@pytest.fixture
def heard(sandbox: SandboxProcess, account: str) -> Queue:
    """A queue that hears all that services say in the account."""
    return queue_with(sandbox, account, {"source": [{"prefix": "aws."}]})


def until(queue: Queue, kind: str, **detail: Any) -> dict[str, Any]:
    """The next event of a kind whose detail has these members."""
    while True:
        event = queue.next(20)
        if event["detail-type"] == kind and detail.items() <= event["detail"].items():
            return event


def test_given_an_image_when_it_is_pushed_scanned_and_deleted_then_ecr_says_so(
    sandbox: SandboxProcess, account: str, heard: Queue
) -> None:
    findings = [{"name": f"CVE-{number}", "severity": "LOW" if number else "CRITICAL"} for number in range(3)]
    sandbox.control("POST", "ecr/scan-findings", {"account": account, "repository": "app", "findings": findings})
    image, ecr = build_image([]), sandbox.client("ecr", account)
    push_image(sandbox, account, "app", "v1", image)
    ecr.start_image_scan(repositoryName="app", imageId={"imageTag": "v1"})

    pushed, scanned = until(heard, "ECR Image Action"), until(heard, "ECR Image Scan")
    ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])

    about = {"repository-name": "app", "image-digest": image.digest}
    assert pushed["detail"] == {"result": "SUCCESS", "action-type": "PUSH", "image-tag": "v1", **about}
    assert (pushed["source"], pushed["resources"]) == ("aws.ecr", [])
    counts = {"finding-severity-counts": SEVERITIES}
    assert scanned["detail"] == {"scan-status": "COMPLETE", "image-tags": ["v1"], **counts, **about}
    assert scanned["resources"] == [f"arn:aws:ecr:us-east-1:{account}:repository/app"]
    assert until(heard, "ECR Image Action")["detail"]["action-type"] == "DELETE"


def test_given_enhanced_scanning_when_a_push_is_scanned_then_amazon_inspector_says_so(
    sandbox: SandboxProcess, account: str, heard: Queue
) -> None:
    everything = [{"filter": "*", "filterType": "WILDCARD"}]
    rules = [{"scanFrequency": "CONTINUOUS_SCAN", "repositoryFilters": everything}]
    sandbox.client("ecr", account).put_registry_scanning_configuration(scanType="ENHANCED", rules=rules)
    push_image(sandbox, account, "app", "v1", build_image([]))

    scanned = until(heard, "Inspector2 Scan")

    arn = f"arn:aws:ecr:us-east-1:{account}:repository/app"
    assert (scanned["source"], scanned["resources"], scanned["detail"]["repository-name"]) == ("aws.inspector2", [arn], arn)
    assert (scanned["detail"]["scan-status"], scanned["detail"]["finding-severity-counts"]) == (
        "INITIAL_SCAN_COMPLETE",
        {"TOTAL": 0},
    )


def test_given_a_task_when_it_ends_then_ecs_says_how(sandbox: SandboxProcess, account: str, heard: Queue) -> None:
    desk = TaskDesk(sandbox, account)
    arn = desk.start(desk.register(desk.container("exit 3")), startedBy="me")

    detail = until(heard, "ECS Task State Change", lastStatus="STOPPED")["detail"]

    assert (detail["taskArn"], detail["clusterArn"], detail["startedBy"]) == (arn, desk.cluster, "me")
    assert (detail["stopCode"], detail["containers"][0]["exitCode"]) == ("EssentialContainerExited", 3)
    assert detail["stoppedAt"].endswith("Z")
    assert detail["version"] > 1


def test_given_a_job_when_it_fails_then_sagemaker_says_why(sandbox: SandboxProcess, account: str, heard: Queue) -> None:
    desk = JobDesk(sandbox, account)
    desk.train(f"{account}.dkr.ecr.us-east-1.amazonaws.com/nowhere:v1")

    event = until(heard, "SageMaker Training Job State Change", TrainingJobStatus="Failed")

    assert event["resources"] == [event["detail"]["TrainingJobArn"]]
    assert "FailureReason" in event["detail"]
    assert isinstance(event["detail"]["CreationTime"], int)


def test_given_a_package_when_it_is_approved_then_sagemaker_says_so(sandbox: SandboxProcess, account: str, heard: Queue) -> None:
    sagemaker = sandbox.client("sagemaker", account)
    sagemaker.create_model_package_group(ModelPackageGroupName="screening")
    arn = sagemaker.create_model_package(ModelPackageGroupName="screening")["ModelPackageArn"]
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")

    event = until(heard, "SageMaker Model Package State Change", ModelApprovalStatus="Approved")

    assert event["resources"] == [arn]
    about = {"ModelPackageArn": arn, "ModelPackageGroupName": "screening", "ModelPackageVersion": 1}
    assert {**about, "ModelPackageStatus": "Completed"}.items() <= event["detail"].items()


def test_given_an_execution_when_its_step_fails_then_sagemaker_says_so_of_both(
    sandbox: SandboxProcess, account: str, heard: Queue
) -> None:
    sagemaker = sandbox.client("sagemaker", account)
    steps = [{"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "enough"}}]
    definition = json.dumps({"Version": "2020-12-01", "Steps": steps})
    sagemaker.create_pipeline(PipelineName="p", PipelineDefinition=definition, RoleArn=ROLE, ClientRequestToken="t" * 32)
    execution = sagemaker.start_pipeline_execution(PipelineName="p", PipelineExecutionDisplayName="promotion-1")

    of = "SageMaker Model Building Pipeline Execution"
    step = until(heard, f"{of} Step Status Change", currentStepStatus="Failed")
    whole = until(heard, f"{of} Status Change", currentPipelineExecutionStatus="Failed")

    arn = execution["PipelineExecutionArn"]
    assert step["resources"] == whole["resources"] == [whole["detail"]["pipelineArn"], arn]
    assert (step["detail"]["stepName"], step["detail"]["failureReason"]) == ("Stop", "enough")
    assert (whole["detail"]["previousPipelineExecutionStatus"], whole["detail"]["pipelineExecutionDisplayName"]) == (
        "Executing",
        "promotion-1",
    )


def test_given_an_endpoint_that_cannot_be_when_it_is_made_then_sagemaker_says_so_and_its_alarms_are_heard(
    sandbox: SandboxProcess, account: str, heard: Queue
) -> None:
    sagemaker, cloudwatch = sandbox.client("sagemaker", account), sandbox.client("cloudwatch", account)
    nowhere = {"Image": f"{account}.dkr.ecr.us-east-1.amazonaws.com/nowhere:v1"}
    model = sagemaker.create_model(ModelName="m", PrimaryContainer=nowhere, ExecutionRoleArn=ROLE)["ModelArn"]
    variant = {"VariantName": "A", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    config = sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])["EndpointConfigArn"]
    endpoint = sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")["EndpointArn"]

    assert until(heard, "SageMaker Model State Change")["resources"] == [model]
    assert until(heard, "SageMaker Endpoint Config State Change")["resources"] == [config]
    failed = until(heard, "SageMaker Endpoint State Change", EndpointStatus="FAILED")
    assert (failed["resources"], failed["detail"]["EndpointConfigName"]) == ([endpoint], "c")

    watched = {"Namespace": "My/App", "MetricName": "Errors", "Statistic": "Sum", "Period": 60, "TreatMissingData": "ignore"}
    cloudwatch.put_metric_alarm(
        AlarmName="a", EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold", **watched
    )
    changed = alarm_event(cloudwatch, heard)
    assert changed["source"] == "aws.cloudwatch"
    assert (changed["detail"]["alarmName"], changed["detail"]["state"]["reason"]) == ("a", "by hand")
    assert changed["detail"]["state"]["value"] != changed["detail"]["previousState"]["value"]


def alarm_event(cloudwatch: Any, heard: Queue) -> dict[str, Any]:
    """Turn an alarm on and off until somebody looks: a change between two looks is not seen."""
    for number in range(30):
        cloudwatch.set_alarm_state(AlarmName="a", StateValue="OK" if number % 2 else "ALARM", StateReason="by hand")
        with contextlib.suppress(KeyError):
            return heard.next(2)
    raise AssertionError("no alarm was heard of")

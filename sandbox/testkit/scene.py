"""An account in the midst of its work, for tests and pictures of the page: something of everything, some of it failed.

Example:
    scene = Scene(sandbox, account)
    scene.play()
    scene.shift_traffic()
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slipway_sandbox.testing import SandboxProcess, build_image, push_image, shell_layer, wait_until

from sandbox.testkit.ecs import TaskDesk
from sandbox.testkit.hosting import CANARY, Hosted, push_server
from sandbox.testkit.pipelines import PipelineDesk

PIPELINE = "screening-training"
ENDPOINT = "screening"
ALARM = "screening-5xx"
CLUSTER = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30}
PARAMETERS = {"Image": None, "Bucket": None, "Accuracy": "0.93", "Training": "true", "Pause": "0"}
"""The pipeline's, with their defaults."""
OUTPUT = {
    "Std:Join": {"On": "", "Values": ["s3://", {"Get": "Parameters.Bucket"}, "/runs/", {"Get": "Execution.PipelineExecutionId"}]}
}
REPORT = "/opt/ml/processing/evaluation"
BROKEN = (
    "echo epoch 1 loss 0.61; echo ValueError: column age has 14 empty cells; "
    "echo 'the data is incomplete: age' > /opt/ml/output/failure; exit 1"
)
"""A training that says why it fails."""


def script(*parts: object) -> dict[str, Any]:
    """How a job of a shell image is told what to run."""
    return {"ContainerEntrypoint": ["sh", "-c"], "ContainerArguments": [{"Std:Join": {"On": "", "Values": list(parts)}}]}


def processing(name: str, *parts: object, **more: Any) -> dict[str, Any]:
    """A processing step that runs a script."""
    arguments: dict[str, Any] = {
        "AppSpecification": {"ImageUri": {"Get": "Parameters.Image"}, **script(*parts)},
        "ProcessingResources": {"ClusterConfig": CLUSTER},
        "RoleArn": {"Get": "Parameters.RoleArn"},
    }
    return {"Name": name, "Type": "Processing", "Arguments": arguments, **more}


def definition(role: str) -> dict[str, Any]:
    """The pipeline: it prepares, checks and trains, evaluates, and registers what is good enough."""
    train: dict[str, Any] = {
        "AlgorithmSpecification": {
            "TrainingImage": {"Get": "Parameters.Image"},
            "TrainingInputMode": "File",
            **script(
                "sleep ", {"Get": "Parameters.Pause"}, "; echo weights > /opt/ml/model/weights; ", {"Get": "Parameters.Training"}
            ),
        },
        "OutputDataConfig": {"S3OutputPath": OUTPUT},
        "ResourceConfig": CLUSTER,
        "StoppingCondition": {"MaxRuntimeInSeconds": 86400},
        "RoleArn": {"Get": "Parameters.RoleArn"},
    }
    evaluate = processing(
        "Evaluate",
        'echo \'{"accuracy": ',
        {"Get": "Parameters.Accuracy"},
        f"}}' > {REPORT}/report.json; cat {REPORT}/report.json",
        DependsOn=["Train"],
        PropertyFiles=[{"PropertyFileName": "Report", "OutputName": "evaluation", "FilePath": "report.json"}],
    )
    output = {"S3Uri": OUTPUT, "LocalPath": REPORT, "S3UploadMode": "EndOfJob"}
    evaluate["Arguments"]["ProcessingOutputConfig"] = {"Outputs": [{"OutputName": "evaluation", "S3Output": output}]}
    accuracy = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.Report"}, "Path": "accuracy"}}
    container = {"Image": {"Get": "Parameters.Image"}, "ModelDataUrl": {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}}
    inference = {"Containers": [container], "SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}
    register = {
        "ModelPackageGroupName": ENDPOINT,
        "ModelApprovalStatus": "PendingManualApproval",
        "SkipModelValidation": "None",
        "InferenceSpecification": inference,
    }
    check = {
        "Conditions": [{"Type": "GreaterThanOrEqualTo", "LeftValue": accuracy, "RightValue": 0.9}],
        "IfSteps": [{"Name": "Register", "Type": "RegisterModel", "Arguments": register}],
        "ElseSteps": [{"Name": "TooLow", "Type": "Fail", "Arguments": {"ErrorMessage": "the accuracy is below 0.9"}}],
    }
    parameters = [{"Name": "RoleArn", "Type": "String", "DefaultValue": role}]
    parameters += [
        {"Name": name, "Type": "String", **({"DefaultValue": value} if value else {})} for name, value in PARAMETERS.items()
    ]
    return {
        "Version": "2020-12-01",
        "Parameters": parameters,
        "Steps": [
            processing("Prepare", "echo 569 rows"),
            processing("CheckFeatures", "echo 30 features, none of them new"),
            {"Name": "Train", "Type": "Training", "Arguments": train, "DependsOn": ["Prepare", "CheckFeatures"]},
            evaluate,
            {"Name": "GoodEnough", "Type": "Condition", "Arguments": check},
        ],
    }


class Scene:
    """One account that trains and serves.

    Args:
        sandbox: Where it is.
        account: The account, which nobody else uses.
    """

    def __init__(self, sandbox: SandboxProcess, account: str) -> None:
        self.sandbox = sandbox
        self.account = account
        self.desk = PipelineDesk(sandbox, account)
        self.tasks = TaskDesk(sandbox, account)
        self.hosted = Hosted(sandbox, account, push_server(sandbox, account))

    def play(self) -> None:
        """Train three times, of which the first fails and the last goes on; run a task that fails, and one that does not."""
        image = push_image(self.sandbox, self.account, "screening-pipeline", "v7", build_image([shell_layer()]))
        self.desk.client.create_model_package_group(ModelPackageGroupName=ENDPOINT)
        self.desk.create(definition(self.desk.role), PIPELINE)
        given = {"Image": image, "Bucket": self.hosted.bucket}
        for name, more in (("candidate-5", {"Training": BROKEN}), ("candidate-6", {})):
            self.desk.finish(self.desk.start(PIPELINE, given | more, PipelineExecutionDisplayName=name))
        going = self.desk.start(PIPELINE, given | {"Pause": "86400"}, PipelineExecutionDisplayName="candidate-7")
        wait_until(lambda: self.desk.steps(going).get("Train", {}).get("StepStatus") == "Executing", "the training")
        self.tasks.finish("echo compiling the pipeline; echo started candidate-7")
        self.tasks.finish("echo compiling the pipeline; echo 'KeyError: MODEL_IMAGE is not set' >&2; exit 2")

    def shift_traffic(self) -> None:
        """Serve a model, and bring a quarter of the traffic to its successor, where it stays for ten simulated hours."""
        sagemaker = self.hosted.sagemaker
        self.hosted.model("screening-v6")
        self.hosted.model("screening-v7")
        self._put_alarm()
        sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName="screening-v6")
        self._until(lambda shown: shown["EndpointStatus"] == "InService", "the endpoint to be in service")
        routing = {"Type": "CANARY", "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25}, "WaitIntervalInSeconds": 3600}
        sagemaker.update_endpoint(
            EndpointName=ENDPOINT,
            EndpointConfigName="screening-v7",
            DeploymentConfig={
                "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": 600},
                "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": ALARM}]},
            },
        )
        self._until(lambda shown: self._share(shown) == CANARY, "a quarter of the traffic to be shifted")
        for _ in range(40):
            self.hosted.runtime.invoke_endpoint(EndpointName=ENDPOINT, Body="1,2", ContentType="text/csv")

    @staticmethod
    def _share(shown: dict[str, Any]) -> float:
        pending = shown.get("PendingDeploymentSummary", {}).get("ProductionVariants", [{}])
        return float(pending[0].get("CurrentWeight", 0))

    def _until(self, condition: Callable[[dict[str, Any]], bool], what: str) -> None:
        describe = self.hosted.sagemaker.describe_endpoint
        wait_until(lambda: condition(describe(EndpointName=ENDPOINT)), what)

    def _put_alarm(self) -> None:
        self.hosted.cloudwatch.put_metric_alarm(
            AlarmName=ALARM,
            Namespace="AWS/SageMaker",
            MetricName="Invocation5XXErrors",
            Dimensions=[{"Name": "EndpointName", "Value": ENDPOINT}, {"Name": "VariantName", "Value": "AllTraffic"}],
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1.0,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            TreatMissingData="notBreaching",
        )

"""Builds the training pipeline's definition with the SageMaker SDK, without an account and without a network.

What differs between accounts (image, role, buckets) is a pipeline parameter; what a data scientist tunes is `settings.json`,
compiled into the definition. The same sources give the same bytes, so the image that carries the definition is reproducible.

The SDK takes seconds to import and weighs hundreds of megabytes: it runs in the image's build stage only.
"""

# The SDK's types are partly absent, and where present they leave out what it accepts: parameters in place of strings, and
# properties by name. The definition's tests judge what it makes.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false, reportMissingParameterType=false, reportMissingTypeArgument=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false

import argparse
import json
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# The SDK makes clients while it is imported and while a pipeline is built. They need a region; none is called, given these.
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"

import boto3
from sagemaker.core.config.config_manager import SageMakerConfig
from sagemaker.core.model_metrics import MetricsSource, ModelMetrics
from sagemaker.core.processing import Processor
from sagemaker.core.shapes import (
    OutputDataConfig,
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
    StoppingCondition,
)
from sagemaker.core.training.configs import Compute, InputData
from sagemaker.core.workflow.conditions import ConditionGreaterThanOrEqualTo
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterFloat, ParameterString
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.model_step import ModelStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import ProcessingStep, TrainingStep
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train import ModelTrainer

PIPELINE_NAME = "screening-training"
HERE = Path(__file__).parent
SECONDS_PER_JOB = 3600
PLACEHOLDER_ROLE = "arn:aws:iam::000000000000:role/placeholder"
METRICS = ("accuracy", "auc", "precision", "recall", "f1")


class ScreeningPipeline:
    """The screening classifier's DAG: preprocess, train, evaluate, then register the model or fail.

    Args:
        settings: What `settings.json` holds.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._session = offline_session()
        self.instance_type = ParameterString(name="InstanceType", default_value=settings["instanceType"])
        self.data_uri = ParameterString(name="DataUri")
        self.threshold = ParameterFloat(name="AccuracyThreshold", default_value=settings["accuracyThreshold"])
        self.group = ParameterString(name="ModelPackageGroup")
        self.approval = ParameterString(
            name="ApprovalStatus", default_value="PendingManualApproval", enum_values=["PendingManualApproval", "Approved"]
        )
        self.image = ParameterString(name="ModelImage")
        self.role = ParameterString(name="RoleArn")
        self.output_uri = ParameterString(name="OutputUri")

    def compile(self) -> dict[str, Any]:
        """The definition as SageMaker Pipelines reads it (schema 2020-12-01)."""
        preprocess = self._preprocess()
        train = self._train(preprocess)
        report = PropertyFile(name="Evaluation", output_name="evaluation", path="evaluation.json")
        evaluate = self._evaluate(preprocess, train, report)
        accuracy = metric_of(evaluate, report, "accuracy")
        good_enough = ConditionStep(
            name="CheckAccuracy",
            conditions=[ConditionGreaterThanOrEqualTo(left=accuracy, right=self.threshold)],
            if_steps=[self._register(train, evaluate, report)],
            else_steps=[self._refuse(accuracy)],
        )
        pipeline = Pipeline(
            name=PIPELINE_NAME,
            parameters=[
                self.instance_type,
                self.data_uri,
                self.threshold,
                self.group,
                self.approval,
                self.image,
                self.role,
                self.output_uri,
            ],
            steps=[preprocess, train, evaluate, good_enough],
            sagemaker_session=self._session,
        )
        return json.loads(pipeline.definition())

    def _preprocess(self) -> ProcessingStep:
        settings = self._settings
        arguments = ["--seed", str(settings["seed"]), "--test-share", str(settings["testShare"])]
        for column in settings["dropColumns"]:
            arguments += ["--drop-column", column]
        return ProcessingStep(
            name="Preprocess",
            step_args=self._processor("screening.preprocess").run(
                inputs=[processing_input("data", self.data_uri)],
                outputs=[self._processing_output("Preprocess", name) for name in ("train", "validation", "test")],
                arguments=arguments,
            ),
        )

    def _train(self, preprocess: ProcessingStep) -> TrainingStep:
        trainer = ModelTrainer(
            training_image=self.image,
            role=PLACEHOLDER_ROLE,
            base_job_name="screening",
            compute=Compute(instance_type=self.instance_type, instance_count=1, volume_size_in_gb=30),
            stopping_condition=StoppingCondition(max_runtime_in_seconds=SECONDS_PER_JOB),
            hyperparameters={
                "regularization": str(self._settings["regularization"]),
                "max-iterations": str(self._settings["maxIterations"]),
                "seed": str(self._settings["seed"]),
            },
            output_data_config=OutputDataConfig(s3_output_path=self._output_of("Train")),
            sagemaker_session=self._session,
        )
        channels = [
            InputData(channel_name=channel, data_source=output_uri(preprocess, channel), content_type="text/csv")
            for channel in ("train", "validation")
        ]
        return TrainingStepWithRole(name="Train", step_args=trainer.train(input_data_config=channels), role=self.role)

    def _evaluate(self, preprocess: ProcessingStep, train: TrainingStep, report: PropertyFile) -> ProcessingStep:
        return ProcessingStep(
            name="Evaluate",
            step_args=self._processor("screening.evaluate").run(
                inputs=[
                    processing_input("model", model_artifact(train)),
                    processing_input("test", output_uri(preprocess, "test")),
                ],
                outputs=[self._processing_output("Evaluate", "evaluation")],
            ),
            property_files=[report],
        )

    def _register(self, train: TrainingStep, evaluate: ProcessingStep, report: PropertyFile) -> ModelStep:
        """Registers the model with its metrics, and its metrics once more as properties that a list of packages shows.

        `dependencies={}` says that there is no code to pack beside the model. The SDK's default (`{"auto": True}`) makes
        `register` look up the account's default bucket, its one network call.
        """
        builder = ModelBuilder(
            image_uri=self.image,
            s3_model_data_url=model_artifact(train),
            role_arn=self.role,
            instance_type=self._settings["instanceType"],
            dependencies={},
            sagemaker_session=self._session,
        )
        statistics = MetricsSource(
            content_type="application/json",
            s3_uri=Join(on="/", values=[output_uri(evaluate, "evaluation"), "evaluation.json"]),
        )
        step_args = builder.register(
            model_package_group_name=self.group,
            content_types=["application/json", "text/csv"],
            response_types=["application/json"],
            inference_instances=["ml.t2.medium", "ml.m5.large", "ml.m5.xlarge"],
            transform_instances=["ml.m5.large"],
            approval_status=self.approval,
            model_metrics=ModelMetrics(model_statistics=statistics),
            customer_metadata_properties={name: Join(on="", values=[metric_of(evaluate, report, name)]) for name in METRICS},
        )
        return ModelStep(name="RegisterModel", step_args=step_args)

    def _refuse(self, accuracy: JsonGet) -> FailStep:
        return FailStep(
            name="AccuracyTooLow",
            error_message=Join(
                on=" ",
                values=["The model's accuracy", accuracy, "is below the threshold", self.threshold, "so it is not registered."],
            ),
        )

    def _processor(self, module: str) -> Processor:
        return Processor(
            image_uri=self.image,
            role=self.role,
            entrypoint=["python3", "-m", module],
            instance_type=self.instance_type,
            instance_count=1,
            max_runtime_in_seconds=SECONDS_PER_JOB,
            sagemaker_session=self._session,
        )

    def _processing_output(self, step: str, name: str) -> ProcessingOutput:
        return ProcessingOutput(
            output_name=name,
            s3_output=ProcessingS3Output(
                s3_uri=self._output_of(step, name), local_path=f"/opt/ml/processing/{name}", s3_upload_mode="EndOfJob"
            ),
        )

    def _output_of(self, *parts: str) -> Join:
        """A folder of this execution alone, so that two executions never write over each other."""
        return Join(on="/", values=[self.output_uri, ExecutionVariables.PIPELINE_EXECUTION_ID, *parts])


class TrainingStepWithRole(TrainingStep):
    """A training step whose role is a pipeline parameter.

    SageMaker allows that; the SDK's `ModelTrainer` takes a plain string only.
    """

    def __init__(self, *, name: str, step_args: Any, role: ParameterString) -> None:
        super().__init__(name=name, step_args=step_args)
        self._role = role

    @property
    def arguments(self) -> Any:
        """The request of `CreateTrainingJob`, with the parameter in the placeholder's place."""
        return {**super().arguments, "RoleArn": self._role}


def trust(_settings: object) -> None:
    """Takes the SDK's settings as they are: it checks them against their whole schema at each look-up, most of its time."""


def offline_session() -> PipelineSession:
    """An SDK session that can build requests and cannot send one: its credentials are none, and its telemetry is off."""
    SageMakerConfig.validate_sagemaker_config = staticmethod(trust)
    session = boto3.Session(aws_access_key_id="none", aws_secret_access_key="none")  # noqa: S106 - placeholders, so that no credentials of this machine are looked up
    modules = {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}
    return PipelineSession(boto_session=session, sagemaker_config={"SchemaVersion": "1.0", "SageMaker": modules})


def processing_input(name: str, uri: Any) -> ProcessingInput:
    """One folder of S3 at `/opt/ml/processing/input/<name>`."""
    source = ProcessingS3Input(
        s3_uri=uri, local_path=f"/opt/ml/processing/input/{name}", s3_data_type="S3Prefix", s3_input_mode="File"
    )
    return ProcessingInput(input_name=name, s3_input=source)


def output_uri(step: ProcessingStep, name: str) -> Any:
    """Where a processing step puts the output of that name."""
    return step.properties.ProcessingOutputConfig.Outputs[name].S3Output.S3Uri


def model_artifact(train: TrainingStep) -> Any:
    """The training job's `model.tar.gz`."""
    return train.properties.ModelArtifacts.S3ModelArtifacts


def metric_of(step: ProcessingStep, report: PropertyFile, name: str) -> JsonGet:
    """One number of the evaluation, read when the pipeline runs."""
    return JsonGet(step_name=step.name, property_file=report, json_path=f"binary_classification_metrics.{name}.value")


def main() -> int:
    """Writes the definition to `--output`, or prints it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=Path, default=HERE / "settings.json")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="Running within a PipelineSession")  # that no job starts is the point
    definition = ScreeningPipeline(json.loads(options.settings.read_text(encoding="utf-8"))).compile()
    text = json.dumps(definition, indent=1, sort_keys=True) + "\n"
    if options.output is None:
        sys.stdout.write(text)
    else:
        options.output.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

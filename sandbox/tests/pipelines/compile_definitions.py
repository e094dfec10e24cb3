"""Compiles pipeline definitions with the SageMaker SDK, one for each kind of step: the test data in `sdk/`.

    python sandbox/tests/pipelines/compile_definitions.py

writes them again. The SDK takes seconds to import and hundreds of megabytes to install, so that the tests read the files.
"""

# The SDK's types are partly absent, and where present they leave out what it accepts: parameters in place of strings.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

import argparse
import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

# The SDK makes clients while it is imported. They need a region; none is called.
os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"

import boto3
from sagemaker.core.config.config_manager import SageMakerConfig
from sagemaker.core.lambda_helper import Lambda
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
from sagemaker.core.transformer import Transformer
from sagemaker.core.workflow.conditions import (
    ConditionEquals,
    ConditionGreaterThan,
    ConditionGreaterThanOrEqualTo,
    ConditionIn,
    ConditionLessThan,
    ConditionLessThanOrEqualTo,
    ConditionNot,
    ConditionOr,
)
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterBoolean, ParameterFloat, ParameterInteger, ParameterString
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.callback_step import CallbackOutput, CallbackOutputTypeEnum, CallbackStep
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.lambda_step import LambdaOutput, LambdaOutputTypeEnum, LambdaStep
from sagemaker.mlops.workflow.model_step import ModelStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.retry import (
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
)
from sagemaker.mlops.workflow.step_dependency import StepDependency, TriggerCondition
from sagemaker.mlops.workflow.steps import CacheConfig, ProcessingStep, TrainingStep, TransformStep
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train import ModelTrainer

FOLDER = Path(__file__).parent / "sdk"
ROLE = "arn:aws:iam::000000000000:role/placeholder"
INSTANCE = "ml.m5.large"
Build = Callable[[PipelineSession], tuple[Sequence[Any], Sequence[Any]]]

image = ParameterString(name="Image")
output_uri = ParameterString(name="OutputUri")
accuracy = ParameterFloat(name="Accuracy", default_value=0.9)
JOB_PARAMETERS = [image, output_uri, accuracy]


def trust(_settings: object) -> None:
    """Takes the SDK's settings as they are: it checks them against their whole schema at each look-up, most of its time."""


def session() -> PipelineSession:
    """An SDK session that can build requests and cannot send one: its credentials are none, and its telemetry is off."""
    SageMakerConfig.validate_sagemaker_config = staticmethod(trust)
    made = boto3.Session(aws_access_key_id="none", aws_secret_access_key="none")
    modules = {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}
    return PipelineSession(
        boto_session=made, default_bucket="placeholder", sagemaker_config={"SchemaVersion": "1.0", "SageMaker": modules}
    )


def output_of(*parts: str) -> Join:
    """A folder of the execution's own."""
    return Join(on="/", values=[output_uri, ExecutionVariables.PIPELINE_EXECUTION_ID, *parts])


def policies() -> list[Any]:
    """One retry policy of each kind."""
    return [
        StepRetryPolicy(
            exception_types=[StepExceptionTypeEnum.SERVICE_FAULT, StepExceptionTypeEnum.THROTTLING],
            interval_seconds=10,
            backoff_rate=2.0,
            expire_after_mins=5,
        ),
        SageMakerJobStepRetryPolicy(
            exception_types=[SageMakerJobExceptionTypeEnum.RESOURCE_LIMIT],
            failure_reason_types=[
                SageMakerJobExceptionTypeEnum.INTERNAL_ERROR,
                SageMakerJobExceptionTypeEnum.CAPACITY_ERROR,
            ],
            interval_seconds=30,
            backoff_rate=2.0,
            max_attempts=3,
        ),
    ]


def train(sagemaker: PipelineSession, **more: Any) -> TrainingStep:
    """A training step."""
    trainer = ModelTrainer(
        training_image=image,
        role=ROLE,
        base_job_name="shell",
        compute=Compute(instance_type=INSTANCE, instance_count=1, volume_size_in_gb=30),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=3600),
        hyperparameters={"epochs": "3"},
        output_data_config=OutputDataConfig(s3_output_path=output_of("train")),
        sagemaker_session=sagemaker,
    )
    channel = InputData(channel_name="train", data_source=Join(on="/", values=[output_uri, "data"]))
    return TrainingStep(name="Train", step_args=trainer.train(input_data_config=[channel]), **more)


def evaluate(sagemaker: PipelineSession, trained: TrainingStep, report: PropertyFile, **more: Any) -> ProcessingStep:
    """A processing step that writes a report about a model."""
    processor = Processor(
        image_uri=image,
        role=ROLE,
        entrypoint=["sh", "-c"],
        instance_type=INSTANCE,
        instance_count=1,
        max_runtime_in_seconds=3600,
        env={"ACCURACY": Join(on="", values=[accuracy])},
        sagemaker_session=sagemaker,
    )
    script = (
        "ls /opt/ml/processing/input/model/model.tar.gz && "
        'echo "{\\"metrics\\": {\\"accuracy\\": $ACCURACY}}" > /opt/ml/processing/evaluation/evaluation.json'
    )
    arguments = processor.run(
        inputs=[
            ProcessingInput(
                input_name="model",
                s3_input=ProcessingS3Input(
                    s3_uri=trained.properties.ModelArtifacts.S3ModelArtifacts,
                    local_path="/opt/ml/processing/input/model",
                    s3_data_type="S3Prefix",
                    s3_input_mode="File",
                ),
            )
        ],
        outputs=[
            ProcessingOutput(
                output_name="evaluation",
                s3_output=ProcessingS3Output(
                    s3_uri=output_of("evaluation"), local_path="/opt/ml/processing/evaluation", s3_upload_mode="EndOfJob"
                ),
            )
        ],
        arguments=[script],
    )
    return ProcessingStep(name="Evaluate", step_args=arguments, property_files=[report], **more)


def builder(sagemaker: PipelineSession, trained: TrainingStep) -> ModelBuilder:
    """What registers or creates a trained model."""
    return ModelBuilder(
        image_uri=image,
        s3_model_data_url=trained.properties.ModelArtifacts.S3ModelArtifacts,
        role_arn=ROLE,
        instance_type=INSTANCE,
        dependencies={},
        sagemaker_session=sagemaker,
    )


def jobs(sagemaker: PipelineSession) -> tuple[Sequence[Any], Sequence[Any]]:
    """Training, Processing, Condition with every operator, RegisterModel and Fail; parameters of each type, and caching."""
    approval = ParameterString(name="Approval", default_value="Approved", enum_values=["Approved", "PendingManualApproval"])
    least = ParameterInteger(name="LeastPercent", default_value=75)
    strict = ParameterBoolean(name="Strict", default_value=True)
    group = ParameterString(name="Group", default_value="Shells")
    trained = train(sagemaker, cache_config=CacheConfig(enable_caching=True, expire_after="P30D"), retry_policies=policies())
    report = PropertyFile(name="Evaluation", output_name="evaluation", path="evaluation.json")
    evaluated = evaluate(
        sagemaker,
        trained,
        report,
        cache_config=CacheConfig(enable_caching=True, expire_after="T12H"),
        description="How good it is",
    )
    found = JsonGet(step_name=evaluated.name, property_file=report, json_path="metrics.accuracy")
    statistics = MetricsSource(
        content_type="application/json",
        s3_uri=Join(
            on="/", values=[evaluated.properties.ProcessingOutputConfig.Outputs["evaluation"].S3Output.S3Uri, "evaluation.json"]
        ),
    )
    registered = ModelStep(
        name="Register",
        step_args=builder(sagemaker, trained).register(
            model_package_group_name=group,
            content_types=["text/csv"],
            response_types=["text/csv"],
            inference_instances=[INSTANCE],
            transform_instances=[INSTANCE],
            approval_status=approval,
            model_metrics=ModelMetrics(model_statistics=statistics),
            customer_metadata_properties={"accuracy": Join(on="", values=[found])},
        ),
        retry_policies=[StepRetryPolicy(exception_types=[StepExceptionTypeEnum.THROTTLING], max_attempts=2)],
    )
    refused = FailStep(
        name="TooLow", error_message=Join(on=" ", values=["accuracy", found, "of", ExecutionVariables.PIPELINE_NAME])
    )
    check = ConditionStep(
        name="Check",
        conditions=[
            ConditionGreaterThan(left=found, right=0.5),
            ConditionGreaterThanOrEqualTo(left=found, right=0.8),
            ConditionLessThan(left=found, right=1),
            ConditionLessThanOrEqualTo(left=least, right=75),
            ConditionEquals(left=strict, right=True),
            ConditionIn(value=approval, in_values=["Approved", "PendingManualApproval"]),
            ConditionNot(expression=ConditionEquals(left=group, right="")),
            ConditionOr(conditions=[ConditionEquals(left=least, right=0), ConditionGreaterThan(left=least, right=10)]),
        ],
        if_steps=[registered],
        else_steps=[refused],
    )
    return [*JOB_PARAMETERS, approval, least, strict, group], [trained, evaluated, check]


def transform(sagemaker: PipelineSession) -> tuple[Sequence[Any], Sequence[Any]]:
    """Model and Transform."""
    trained = train(sagemaker)
    model = ModelStep(name="Create", step_args=builder(sagemaker, trained).build())
    transformer = Transformer(
        model_name=model.properties.ModelName,
        instance_count=1,
        instance_type=INSTANCE,
        accept="text/csv",
        assemble_with="Line",
        strategy="SingleRecord",
        output_path=output_of("transform"),
        sagemaker_session=sagemaker,
    )
    arguments = transformer.transform(data=Join(on="/", values=[output_uri, "data"]), content_type="text/csv", split_type="Line")
    transformed = TransformStep(
        name="Transform", step_args=arguments, cache_config=CacheConfig(enable_caching=True, expire_after="30d")
    )
    return JOB_PARAMETERS, [trained, model, transformed]


def callback(_: PipelineSession) -> tuple[Sequence[Any], Sequence[Any]]:
    """Callback with outputs of each type, and a condition on one of them."""
    queue = ParameterString(name="QueueUrl")
    approved = CallbackOutput(output_name="approved", output_type=CallbackOutputTypeEnum.Boolean)
    count = CallbackOutput(output_name="count", output_type=CallbackOutputTypeEnum.Integer)
    share = CallbackOutput(output_name="share", output_type=CallbackOutputTypeEnum.Float)
    who = CallbackOutput(output_name="who", output_type=CallbackOutputTypeEnum.String)
    ask = CallbackStep(
        name="Ask",
        sqs_queue_url=queue,
        inputs={"execution": ExecutionVariables.PIPELINE_EXECUTION_ID, "threshold": 0.5},
        outputs=[approved, count, share, who],
    )
    outputs = ask.properties.Outputs
    said = FailStep(name="Say", error_message=Join(on=" ", values=[outputs["who"], outputs["count"], outputs["share"]]))
    check = ConditionStep(
        name="IsApproved", conditions=[ConditionEquals(left=outputs["approved"], right=True)], if_steps=[], else_steps=[said]
    )
    return [queue], [ask, check]


def function(_: PipelineSession) -> tuple[Sequence[Any], Sequence[Any]]:
    """Lambda with outputs of each type, and one of them in another function's input."""
    arn = ParameterString(name="FunctionArn")
    word = ParameterString(name="Word", default_value="hello")
    outputs = [
        LambdaOutput(output_name="text", output_type=LambdaOutputTypeEnum.String),
        LambdaOutput(output_name="length", output_type=LambdaOutputTypeEnum.Integer),
        LambdaOutput(output_name="half", output_type=LambdaOutputTypeEnum.Float),
        LambdaOutput(output_name="long", output_type=LambdaOutputTypeEnum.Boolean),
    ]
    first = LambdaStep(
        name="First",
        lambda_func=Lambda(function_arn=arn),
        inputs={"word": word},
        outputs=outputs,
        cache_config=CacheConfig(enable_caching=True, expire_after="T16m"),
    )
    second = LambdaStep(
        name="Second",
        lambda_func=Lambda(function_arn=arn),
        inputs={"word": first.properties.Outputs["text"], "length": first.properties.Outputs["length"]},
        outputs=outputs,
    )
    return [arn, word], [first, second]


def triggers(sagemaker: PipelineSession) -> tuple[Sequence[Any], Sequence[Any]]:
    """A step that runs because another failed, and one that runs whatever becomes of it."""
    queue = ParameterString(name="QueueUrl")
    trained = train(sagemaker)
    steps = [
        CallbackStep(name=name, sqs_queue_url=queue, inputs={}, outputs=[], depends_on=[StepDependency(trained, trigger)])
        for name, trigger in (
            ("OnFailure", TriggerCondition.FAILED),
            ("Always", TriggerCondition.ANY),
            ("OnSuccess", TriggerCondition.COMPLETED),
        )
    ]
    return [*JOB_PARAMETERS, queue], [trained, *steps]


DEFINITIONS: Mapping[str, Build] = {
    "jobs": jobs,
    "transform": transform,
    "callback": callback,
    "function": function,
    "triggers": triggers,
}


def compile_all() -> dict[str, dict[str, Any]]:
    """All definitions by name."""
    compiled: dict[str, dict[str, Any]] = {}
    for name, build in DEFINITIONS.items():
        sagemaker = session()
        parameters, steps = build(sagemaker)
        pipeline = Pipeline(name=name, parameters=list(parameters), steps=list(steps), sagemaker_session=sagemaker)
        compiled[name] = json.loads(pipeline.definition())
    return compiled


def main() -> None:
    """Write them all."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    options.output.mkdir(parents=True, exist_ok=True)
    for name, definition in compile_all().items():
        text = json.dumps(definition, indent=1, sort_keys=True) + "\n"
        (options.output / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""What the SageMaker SDK's own resources wait for, in a process that knows AWS by its environment alone.

Arguments: an image that can train and serve, a bucket, and the file to write the result of each wait into, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from sagemaker.core.resources import Endpoint, EndpointConfig, Model, ModelPackageGroup, Pipeline, PipelineExecution, TrainingJob
from sagemaker.core.shapes import (
    AlgorithmSpecification,
    ContainerDefinition,
    OutputDataConfig,
    ProductionVariant,
    ResourceConfig,
    StoppingCondition,
)

ROLE = "arn:aws:iam::123456789012:role/sdk"
FAIL = {"Version": "2020-12-01", "Steps": [{"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "enough"}}]}


def train(image: str, bucket: str) -> Any:
    """A training job, waited for."""
    job: Any = TrainingJob.create(
        training_job_name="sdk",
        role_arn=ROLE,
        algorithm_specification=AlgorithmSpecification(training_image=image, training_input_mode="File"),
        hyper_parameters={"factor": "3"},
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/models"),
        resource_config=ResourceConfig(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=10),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=3600),
    )
    job.wait(poll=1, timeout=120)
    return job


def serve(image: str, artifact: str) -> Any:
    """An endpoint, waited for."""
    Model.create(
        model_name="sdk", primary_container=ContainerDefinition(image=image, model_data_url=artifact), execution_role_arn=ROLE
    )
    variant = ProductionVariant(
        variant_name="main", model_name="sdk", instance_type="ml.m5.large", initial_instance_count=1, initial_variant_weight=1
    )
    EndpointConfig.create(endpoint_config_name="sdk", production_variants=[variant])
    endpoint: Any = Endpoint.create(endpoint_name="sdk", endpoint_config_name="sdk")
    endpoint.wait_for_status("InService", poll=1, timeout=120)
    return endpoint


def look_at(endpoint: Any) -> str:
    """Its status, or what the service says of an endpoint that is gone."""
    try:
        endpoint.refresh()
    except ClientError as error:
        return error.response.get("Error", {}).get("Message", "")
    return endpoint.endpoint_status


def run_pipeline() -> Any:
    """An execution that fails, waited for."""
    Pipeline.create(pipeline_name="sdk", client_request_token="s" * 32, role_arn=ROLE, pipeline_definition=json.dumps(FAIL))
    client = Pipeline.get_sagemaker_client()  # pyright: ignore[reportUnknownMemberType]
    started = client.start_pipeline_execution(PipelineName="sdk", ClientRequestToken="e" * 32)
    execution: Any = PipelineExecution.get(pipeline_execution_arn=started["PipelineExecutionArn"])
    execution.wait_for_status("Failed", poll=1, timeout=60)
    return execution


def main() -> None:
    """Wait for one of each."""
    image, bucket, result = sys.argv[1:]
    group: Any = ModelPackageGroup.create(model_package_group_name="sdk")
    group.wait_for_status("Completed", poll=1, timeout=60)
    job = train(image, bucket)
    endpoint = serve(image, job.model_artifacts.s3_model_artifacts)
    answer = endpoint.invoke(body="7")
    endpoint.delete()
    endpoint.wait_for_delete(poll=1, timeout=60)
    waited = {
        "job": job.training_job_status,
        "endpoint": look_at(endpoint),
        "answer": answer.body.read().decode(),
        "execution": run_pipeline().pipeline_execution_status,
    }
    Path(result).write_text(json.dumps(waited))


if __name__ == "__main__":
    main()

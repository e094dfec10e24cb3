"""Starts a pipeline of functions, as SageMaker's SDK compiles `@step`: training jobs whose names are other ones each time."""

from __future__ import annotations

import argparse
import base64
import json
import sys
import uuid
from typing import Any

import boto3


def main() -> None:
    """Take the settings from the command line, make the pipeline and start it, and say nothing of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--settings", required=True)
    text = base64.b64decode(parser.parse_args().settings).decode()
    settings = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    load = step(settings, "load")
    fit = step(settings, "fit", load["Name"])
    check = step(settings, "check", fit["Name"])
    definition: dict[str, Any] = {"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": [load, fit, check]}
    session: Any = boto3.session.Session()
    sagemaker = session.client("sagemaker", region_name=settings["region"])
    described = {"PipelineDefinition": json.dumps(definition), "RoleArn": settings["role"]}
    sagemaker.create_pipeline(PipelineName=settings["pipeline"], **described)
    sagemaker.start_pipeline_execution(PipelineName=settings["pipeline"])
    sys.stdout.write("\x1b[32mINFO\x1b[0m pipeline started\n")


def step(settings: dict[str, str], function: str, *after: str) -> dict[str, Any]:
    """One function as a training job."""
    return {
        "Name": f"{function}-{uuid.uuid4()}",
        "DisplayName": function,
        "Description": function,
        "Type": "Training",
        **({"DependsOn": list(after)} if after else {}),
        "Arguments": {
            "AlgorithmSpecification": {
                "TrainingImage": settings["image"],
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["train"],
                "ContainerArguments": ["--function", function],
            },
            "OutputDataConfig": {"S3OutputPath": f"s3://{settings['bucket']}/functions/{function}"},
            "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30},
            "StoppingCondition": {"MaxRuntimeInSeconds": 86400},
            "RoleArn": settings["role"],
        },
    }


if __name__ == "__main__":
    main()

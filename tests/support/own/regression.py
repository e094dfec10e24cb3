"""A pipeline of the shape of AWS's samples of regression, as the SDK's version 2 compiles it."""

from __future__ import annotations

import json
from typing import Any


def join(*values: Any) -> dict[str, Any]:
    return {"Std:Join": {"On": "/", "Values": list(values)}}


def shells_pipeline(account: str) -> str:
    """Prepare, train, evaluate, and register or fail on the mean squared error: as the SDK's version 2 compiles it."""
    image, role, bucket = (
        f"{account}.dkr.ecr.us-east-1.amazonaws.com/jobs:v1",
        f"arn:aws:iam::{account}:role/shells",
        f"shells-{account}",
    )
    resources = {
        "InstanceType": "ml.m5.xlarge",
        "InstanceCount": {"Get": "Parameters.ProcessingInstanceCount"},
        "VolumeSizeInGB": 30,
    }

    def processing(name: str, program: str, inputs: dict[str, Any], outputs: list[str], **more: Any) -> dict[str, Any]:
        arguments = {
            "ProcessingResources": {"ClusterConfig": resources},
            "AppSpecification": {"ImageUri": image, "ContainerEntrypoint": [program]},
            "RoleArn": role,
            "ProcessingInputs": [
                {
                    "InputName": key,
                    "AppManaged": False,
                    "S3Input": {
                        "S3Uri": uri,
                        "LocalPath": f"/opt/ml/processing/{key}",
                        "S3DataType": "S3Prefix",
                        "S3InputMode": "File",
                        "S3DataDistributionType": "FullyReplicated",
                        "S3CompressionType": "None",
                    },
                }
                for key, uri in inputs.items()
            ],
            "ProcessingOutputConfig": {
                "Outputs": [
                    {
                        "OutputName": key,
                        "AppManaged": False,
                        "S3Output": {
                            "S3Uri": join("s3:/", bucket, "shells", {"Get": "Execution.PipelineExecutionId"}, name, key),
                            "LocalPath": f"/opt/ml/processing/{key}",
                            "S3UploadMode": "EndOfJob",
                        },
                    }
                    for key in outputs
                ]
            },
        }
        return {"Name": name, "Type": "Processing", "Arguments": arguments, **more}

    def output(step: str, name: str) -> dict[str, str]:
        return {"Get": f"Steps.{step}.ProcessingOutputConfig.Outputs['{name}'].S3Output.S3Uri"}

    artifact = {"Get": "Steps.TrainShells.ModelArtifacts.S3ModelArtifacts"}
    train = {
        "Name": "TrainShells",
        "Type": "Training",
        "Arguments": {
            "AlgorithmSpecification": {"TrainingInputMode": "File", "TrainingImage": image},
            "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/train"},
            "StoppingCondition": {"MaxRuntimeInSeconds": 86400},
            "ResourceConfig": {
                "VolumeSizeInGB": 30,
                "InstanceCount": 1,
                "InstanceType": {"Get": "Parameters.TrainingInstanceType"},
            },
            "RoleArn": role,
            "InputDataConfig": [
                {
                    "DataSource": {
                        "S3DataSource": {
                            "S3DataType": "S3Prefix",
                            "S3Uri": output("PrepareShells", "train"),
                            "S3DataDistributionType": "FullyReplicated",
                        }
                    },
                    "ContentType": "text/csv",
                    "ChannelName": "train",
                }
            ],
            "HyperParameters": {"objective": "reg:linear", "num_round": "50"},
            "ProfilerConfig": {"S3OutputPath": f"s3://{bucket}/train", "DisableProfiler": False},
        },
    }
    evaluation = {"PropertyFileName": "ShellsReport", "OutputName": "evaluation", "FilePath": "evaluation.json"}
    container = {"Image": image, "ModelDataUrl": artifact, "Environment": {}}
    register = {
        "Name": "RegisterShells-RegisterModel",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": "ShellsGroup",
            "ModelMetrics": {
                "ModelQuality": {
                    "Statistics": {
                        "ContentType": "application/json",
                        "S3Uri": join(output("EvaluateShells", "evaluation"), "evaluation.json"),
                    }
                },
                "Bias": {},
                "Explainability": {},
            },
            "InferenceSpecification": {
                "Containers": [container],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
                "SupportedRealtimeInferenceInstanceTypes": ["ml.t2.medium", "ml.m5.large"],
                "SupportedTransformInstanceTypes": ["ml.m5.large"],
            },
            "ModelApprovalStatus": {"Get": "Parameters.ModelApprovalStatus"},
        },
    }
    mse = {
        "Std:JsonGet": {
            "PropertyFile": {"Get": "Steps.EvaluateShells.PropertyFiles.ShellsReport"},
            "Path": "regression_metrics.mse.value",
        }
    }
    too_high = {"Std:Join": {"On": " ", "Values": ["MSE is over", {"Get": "Parameters.MseThreshold"}]}}
    condition = {
        "Name": "CheckShells",
        "Type": "Condition",
        "Arguments": {
            "Conditions": [{"Type": "LessThanOrEqualTo", "LeftValue": mse, "RightValue": {"Get": "Parameters.MseThreshold"}}],
            "IfSteps": [register],
            "ElseSteps": [{"Name": "FailShells", "Type": "Fail", "Arguments": {"ErrorMessage": too_high}}],
        },
    }
    definition = {
        "Version": "2020-12-01",
        "Metadata": {},
        "Parameters": [
            {"Name": "ProcessingInstanceCount", "Type": "Integer", "DefaultValue": 1},
            {"Name": "TrainingInstanceType", "Type": "String", "DefaultValue": "ml.m5.xlarge"},
            {"Name": "ModelApprovalStatus", "Type": "String", "DefaultValue": "PendingManualApproval"},
            {"Name": "InputDataUrl", "Type": "String", "DefaultValue": f"s3://{bucket}/data/rows.csv"},
            {"Name": "MseThreshold", "Type": "Float", "DefaultValue": 6.0},
        ],
        "PipelineExperimentConfig": {
            "ExperimentName": {"Get": "Execution.PipelineName"},
            "TrialName": {"Get": "Execution.PipelineExecutionId"},
        },
        "Steps": [
            processing("PrepareShells", "prepare", {"input": {"Get": "Parameters.InputDataUrl"}}, ["train", "test"]),
            train,
            processing(
                "EvaluateShells",
                "evaluate",
                {"model": artifact, "test": output("PrepareShells", "test")},
                ["evaluation"],
                PropertyFiles=[evaluation],
            ),
            condition,
        ],
    }
    return json.dumps(definition)

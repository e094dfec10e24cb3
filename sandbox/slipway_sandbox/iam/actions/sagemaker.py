"""SageMaker's actions, and those of its runtime. Its ARNs spell names in lower case, except those of jobs."""

from __future__ import annotations

import re

from slipway_sandbox.core.calls import Need
from slipway_sandbox.iam.actions.asked import Asked, passes, tags_of

SERVICE = "sagemaker.amazonaws.com"
KINDS = {
    "Model": ("model/{ModelName}",),
    "EndpointConfig": ("endpoint-config/{EndpointConfigName}",),
    "Endpoint": ("endpoint/{EndpointName}",),
    "ModelPackageGroup": ("model-package-group/{ModelPackageGroupName}",),
    "ModelPackageGroupPolicy": ("model-package-group/{ModelPackageGroupName}",),
    "ModelPackage": ("model-package/{ModelPackageName}", "{ModelPackageArn}"),
    "TrainingJob": ("training-job/{TrainingJobName}",),
    "ProcessingJob": ("processing-job/{ProcessingJobName}",),
    "TransformJob": ("transform-job/{TransformJobName}",),
    "HyperParameterTuningJob": ("hyper-parameter-tuning-job/{HyperParameterTuningJobName}",),
    "Pipeline": ("pipeline/{PipelineName}",),
    "PipelineExecution": ("{PipelineExecutionArn}",),
    "PipelineVersion": ("{PipelineArn}",),
    "InferenceComponent": ("inference-component/{InferenceComponentName}",),
    "AutoMLJobV2": ("automl-job/{AutoMLJobName}",),
}
"""Resources by what follows Create, Describe, Update, Delete, Stop, Put or Get in an operation's name."""
VERBS = ("Create", "Describe", "Update", "Delete", "Stop", "Put", "Get")
OTHERS = {
    "CreateEndpoint": ("endpoint/{EndpointName}", "endpoint-config/{EndpointConfigName}"),
    "UpdateEndpoint": ("endpoint/{EndpointName}", "endpoint-config/{EndpointConfigName}"),
    "UpdateEndpointWeightsAndCapacities": ("endpoint/{EndpointName}",),
    "BatchDescribeModelPackage": ("{ModelPackageArnList}",),
    "StartPipelineExecution": ("pipeline/{PipelineName}",),
    "ListPipelineExecutions": ("pipeline/{PipelineName}",),
    "ListPipelineVersions": ("pipeline/{PipelineName}",),
    "RetryPipelineExecution": ("{PipelineExecutionArn}",),
    "ListPipelineExecutionSteps": ("{PipelineExecutionArn}",),
    "ListPipelineParametersForExecution": ("{PipelineExecutionArn}",),
    "DescribePipelineDefinitionForExecution": ("{PipelineExecutionArn}",),
    "ListModelPackages": ("model-package/{ModelPackageGroupName}/*",),
    "SendPipelineExecutionStepSuccess": ("pipeline/*/execution/*",),
    "SendPipelineExecutionStepFailure": ("pipeline/*/execution/*",),
    "AddTags": ("{ResourceArn}",),
    "ListTags": ("{ResourceArn}",),
    "DeleteTags": ("{ResourceArn}",),
    "InvokeEndpoint": ("endpoint/{EndpointName}",),
    "InvokeEndpointAsync": ("endpoint/{EndpointName}",),
    "InvokeEndpointWithResponseStream": ("endpoint/{EndpointName}",),
}
ABOUT_PACKAGES = frozenset({"CreateModelPackage", "ListModelPackages"})
"""Operations that name a group, and are about its packages."""
GROUP = re.compile(r"(.*):model-package-group/([^/]+)")
ACTIONS = {"InvokeEndpointWithResponseStream": "InvokeEndpoint"}
ROLES = {
    "CreateModel": "ExecutionRoleArn",
    "CreateTrainingJob": "RoleArn",
    "CreateProcessingJob": "RoleArn",
    "CreatePipeline": "RoleArn",
    "UpdatePipeline": "RoleArn",
    "CreateEndpointConfig": "ExecutionRoleArn",
    "CreateAutoMLJobV2": "RoleArn",
}
CONDITIONS = {
    "sagemaker:instancetypes": (
        "ProductionVariants.InstanceType",
        "ResourceConfig.InstanceType",
        "ProcessingResources.ClusterConfig.InstanceType",
        "TransformResources.InstanceType",
    ),
    "sagemaker:modelarn": ("ProductionVariants.ModelName",),
    "sagemaker:modelapprovalstatus": ("ModelApprovalStatus",),
    "sagemaker:modellifecycle:stage": ("ModelLifeCycle.Stage",),
    "sagemaker:modellifecycle:stagestatus": ("ModelLifeCycle.StageStatus",),
    "sagemaker:targetmodel": ("TargetModel",),
    "sagemaker:vpcsubnets": ("VpcConfig.Subnets", "NetworkConfig.VpcConfig.Subnets"),
    "sagemaker:vpcsecuritygroupids": ("VpcConfig.SecurityGroupIds", "NetworkConfig.VpcConfig.SecurityGroupIds"),
    "sagemaker:networkisolation": ("EnableNetworkIsolation", "NetworkConfig.EnableNetworkIsolation"),
    "sagemaker:maxruntimeinseconds": ("StoppingCondition.MaxRuntimeInSeconds",),
    "sagemaker:volumekmskey": ("ResourceConfig.VolumeKmsKeyId", "KmsKeyId"),
    "sagemaker:pipelineversionid": ("PipelineVersionId",),
}
"""Where a call has the values of SageMaker's own condition keys."""
TAGGED = frozenset({"DeleteEndpointConfig", "DeleteModel"})
"""Calls about one thing whose tags are looked up."""


def needs(asked: Asked) -> list[Need]:
    """What a call of SageMaker needs."""
    action = f"sagemaker:{ACTIONS.get(asked.operation, asked.operation)}"
    resources = tuple(_lower(arn) for arn in asked.arns("sagemaker", *_templates(asked.operation)))
    if asked.operation in ABOUT_PACKAGES:
        resources = tuple(_packages_of(arn) for arn in resources)
    role = ROLES.get(asked.operation)
    found = [Need(action, resources, _context(asked) | _resource_tags(asked)), *(passes(asked, SERVICE, role) if role else ())]
    if asked.operation.startswith("Create") and tags_of(asked.request.get("Tags")):
        found.append(Need("sagemaker:AddTags", resources[:1], {"sagemaker:taggingaction": (asked.operation,)}))
    return found


def _resource_tags(asked: Asked) -> dict[str, tuple[str, ...]]:
    """The tags of what a call removes, which policies may ask for."""
    if asked.operation not in TAGGED:
        return {}
    [arn] = asked.arns("sagemaker", *_templates(asked.operation))
    tags = tags_of(asked.lookup(asked.caller, "sagemaker", "ListTags", {"ResourceArn": arn}).get("Tags"))
    return {f"{prefix}:resourcetag/{key}".lower(): (value,) for key, value in tags.items() for prefix in ("aws", "sagemaker")}


def _packages_of(arn: str) -> str:
    """All packages of a group, where a call names the group by its ARN."""
    found = GROUP.fullmatch(arn)
    return f"{found[1]}:model-package/{found[2]}/*" if found else arn


def _templates(operation: str) -> tuple[str, ...]:
    if operation in OTHERS:
        return OTHERS[operation]
    verb = next((verb for verb in VERBS if operation.startswith(verb)), "")
    if operation == "CreateModelPackage":
        return ("model-package/{ModelPackageGroupName}/*", "model-package/{ModelPackageName}")
    return KINDS.get(operation.removeprefix(verb), ())


def _context(asked: Asked) -> dict[str, tuple[str, ...]]:
    found = {key: tuple(value for path in paths for value in asked.values(path)) for key, paths in CONDITIONS.items()}
    metadata = asked.request.get("CustomerMetadataProperties")
    for key, value in tags_of(metadata).items():
        found[f"sagemaker:customermetadataproperties/{key}".lower()] = (value,)
    models = found["sagemaker:modelarn"]
    found["sagemaker:modelarn"] = tuple(_lower(asked.arn("sagemaker", f"model/{name}")) for name in models)
    return {key: values for key, values in found.items() if values}


def _lower(arn: str) -> str:
    return arn if "-job/" in arn else arn.lower()

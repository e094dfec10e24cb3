"""The spec's settings of endpoints, as arguments of SageMaker's calls. Pure."""

from __future__ import annotations

from typing import Any

from slipway.app.endpoint_settings import AsyncInference, DataCapture, EndpointSettings


def of_model(settings: EndpointSettings) -> dict[str, Any]:
    """Arguments of CreateModel."""
    vpc = settings.vpc
    return _written(
        VpcConfig=vpc and {"SecurityGroupIds": [*vpc.security_groups], "Subnets": [*vpc.subnets]},
        EnableNetworkIsolation=settings.network_isolation,
    )


def of_config(settings: EndpointSettings) -> dict[str, Any]:
    """Arguments of CreateEndpointConfig."""
    return _written(
        KmsKeyId=settings.kms_key,
        DataCaptureConfig=settings.data_capture and _capture(settings.data_capture),
        AsyncInferenceConfig=settings.async_inference and _asynchronous(settings.async_inference),
    )


def of_variant(settings: EndpointSettings) -> dict[str, Any]:
    """Members of a production variant."""
    serverless, download, startup = settings.serverless, settings.download_timeout, settings.startup_timeout
    return _written(
        VolumeSizeInGB=settings.volume_size,
        ModelDataDownloadTimeoutInSeconds=download and int(download.total_seconds()),
        ContainerStartupHealthCheckTimeoutInSeconds=startup and int(startup.total_seconds()),
        ServerlessConfig=serverless
        and _written(
            MemorySizeInMB=serverless.memory,
            MaxConcurrency=serverless.max_concurrency,
            ProvisionedConcurrency=serverless.provisioned_concurrency,
        ),
    )


def _capture(capture: DataCapture) -> dict[str, Any]:
    return _written(
        EnableCapture=True,
        InitialSamplingPercentage=capture.percent,
        DestinationS3Uri=capture.destination,
        KmsKeyId=capture.kms_key,
        CaptureOptions=[{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    )


def _asynchronous(config: AsyncInference) -> dict[str, Any]:
    topics = _written(SuccessTopic=config.success_topic, ErrorTopic=config.error_topic)
    output = _written(
        S3OutputPath=config.output,
        S3FailurePath=config.failures,
        KmsKeyId=config.kms_key,
        NotificationConfig=topics or None,
    )
    client = _written(MaxConcurrentInvocationsPerInstance=config.max_concurrency)
    return _written(OutputConfig=output, ClientConfig=client or None)


def _written(**members: Any) -> dict[str, Any]:
    """The members that have a value."""
    return {name: value for name, value in members.items() if value is not None}

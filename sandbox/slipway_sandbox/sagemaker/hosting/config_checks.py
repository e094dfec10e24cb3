"""What an endpoint configuration may ask for.

The rules are those of the SageMaker API reference (CreateEndpointConfig, ProductionVariant, ProductionVariantServerlessConfig)
and of "Serverless Inference: feature exclusions", "Shadow variants" and "Asynchronous inference" in the developer guide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slipway_sandbox.core.errors import AwsError, validation_error
from slipway_sandbox.sagemaker.hosting.models import Model

MEMORY_STEP = 1024
UNSUPPORTED = "One or more endpoint features are not supported using this configuration"
"""What AWS says where features exclude each other, without saying which; what follows it here does."""


def check_config(request: dict[str, Any]) -> None:
    """Refuse a CreateEndpointConfig request that makes no sense by itself.

    Raises:
        AwsError: `ValidationException`, mostly.
    """
    variants: list[dict[str, Any]] = request["ProductionVariants"]
    shadows: list[dict[str, Any]] = request.get("ShadowProductionVariants", [])
    _check_names([*variants, *shadows])
    for variant in [*variants, *shadows]:
        _check_variant(variant)
    if shadows:
        _check_shadows(request, variants, shadows)
    if any("ServerlessConfig" in variant for variant in variants):
        _check_serverless(request, variants)
    if sum(variant.get("InitialVariantWeight", 1.0) for variant in variants) <= 0:
        raise validation_error("At least one production variant must have an InitialVariantWeight greater than 0.")
    if "AsyncInferenceConfig" in request:
        _check_async(request, variants)


def check_models(name: str, request: dict[str, Any], models: dict[str, Model]) -> None:
    """Refuse models that do not go with the configuration.

    Raises:
        AwsError: `ValidationException`.
    """
    marketplace = any(container.marketplace for model in models.values() for container in model.containers)
    if marketplace and "AsyncInferenceConfig" in request:
        raise validation_error("Marketplace images are not supported when specifying an AsyncInferenceConfig.")
    for variant in request["ProductionVariants"]:
        if "ServerlessConfig" not in variant:
            continue
        model = models[variant["VariantName"]]
        if len(model.containers) > 1:
            raise validation_error(f"{UNSUPPORTED}: {name} is serverless, and its model {model.name} is an inference pipeline.")
        if marketplace or model.isolated or "VpcConfig" in model.request:
            raise validation_error(
                f"{UNSUPPORTED}: {name} is serverless, and its model {model.name} comes from AWS Marketplace, is isolated from "
                "the network, or has a VpcConfig."
            )


def _check_names(variants: Sequence[dict[str, Any]]) -> None:
    names = [variant["VariantName"] for variant in variants]
    if len(set(names)) < len(names):
        raise validation_error(f"Variant names must be unique within an endpoint configuration, but they are {names}.")


def _check_variant(variant: dict[str, Any]) -> None:
    name = variant["VariantName"]
    if "ModelName" not in variant:
        raise AwsError(
            "NotImplemented", f"The sandbox does not run inference components: production variant {name} needs a ModelName.", 501
        )
    if "ServerlessConfig" in variant:
        _check_serverless_variant(name, variant)
        return
    if "ManagedInstanceScaling" in variant:
        raise validation_error("ManagedInstanceScaling is only supported for inference component endpoints.")
    needed = ("InitialInstanceCount",) if "InstancePools" in variant else ("InstanceType", "InitialInstanceCount")
    missing = [field for field in needed if field not in variant]
    if missing:
        raise validation_error(f"{' and '.join(missing)} must be specified for production variant {name}.")


def _check_serverless_variant(name: str, variant: dict[str, Any]) -> None:
    if "InstanceType" in variant or "InitialInstanceCount" in variant:
        raise validation_error(f"Production variant {name} is serverless and cannot have an instance type or count.")
    config = variant["ServerlessConfig"]
    if config["MemorySizeInMB"] % MEMORY_STEP:
        raise validation_error(
            f"MemorySizeInMB of production variant {name} must be one of 1024, 2048, 3072, 4096, 5120 and 6144, "
            f"not {config['MemorySizeInMB']}."
        )
    check_concurrency(name, config)


def check_concurrency(name: str, config: dict[str, Any]) -> None:
    """Refuse more provisioned concurrency than there may be requests at all.

    Raises:
        AwsError: `ValidationException`.
    """
    if config.get("ProvisionedConcurrency", 0) > config["MaxConcurrency"]:
        raise validation_error(
            f"ProvisionedConcurrency ({config['ProvisionedConcurrency']}) of production variant {name} must be less than or "
            f"equal to MaxConcurrency ({config['MaxConcurrency']})."
        )


def _check_shadows(request: dict[str, Any], variants: Sequence[dict[str, Any]], shadows: Sequence[dict[str, Any]]) -> None:
    if len(variants) != 1 or len(shadows) != 1:
        raise validation_error(
            "An endpoint configuration with ShadowProductionVariants must have exactly one production variant and one shadow "
            f"variant; this one has {len(variants)} and {len(shadows)}."
        )
    if "AsyncInferenceConfig" in request or any("ServerlessConfig" in variant for variant in [*variants, *shadows]):
        raise validation_error(f"{UNSUPPORTED}: shadow variants work on instances that answer at once.")


def _check_serverless(request: dict[str, Any], variants: Sequence[dict[str, Any]]) -> None:
    if len(variants) > 1:
        raise validation_error(f"{UNSUPPORTED}: a serverless endpoint has one production variant.")
    excluded = [name for name in ("AsyncInferenceConfig", "DataCaptureConfig", "VpcConfig") if name in request]
    if excluded or request.get("EnableNetworkIsolation"):
        raise validation_error(f"{UNSUPPORTED}: serverless and {', '.join(excluded) or 'EnableNetworkIsolation'}.")


def _check_async(request: dict[str, Any], variants: Sequence[dict[str, Any]]) -> None:
    if len(variants) > 1:
        raise validation_error(f"{UNSUPPORTED}: an asynchronous endpoint has one production variant.")
    output = request["AsyncInferenceConfig"]["OutputConfig"]
    if "S3OutputPath" not in output:
        raise validation_error("S3OutputPath must be specified in the OutputConfig of an AsyncInferenceConfig.")

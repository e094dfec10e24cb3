"""SageMaker hosting: models, endpoint configurations, endpoints with their fleets, metrics and alarms, and the runtime."""

from slipway_sandbox.sagemaker.hosting.wiring import Hosting

__all__ = ["Hosting"]

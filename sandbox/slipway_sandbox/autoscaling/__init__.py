"""Application Auto Scaling: targets, policies, and target tracking of SageMaker's variants."""

from slipway_sandbox.autoscaling.quotas import AutoscalingQuotas
from slipway_sandbox.autoscaling.room import AutoscalingRoom
from slipway_sandbox.autoscaling.targets import ScalableTargets
from slipway_sandbox.autoscaling.tracking import Variants

__all__ = ["AutoscalingQuotas", "AutoscalingRoom", "ScalableTargets", "Variants"]

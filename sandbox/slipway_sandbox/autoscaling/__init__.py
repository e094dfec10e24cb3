"""Application Auto Scaling: targets, policies and scheduled actions as records. Nothing is scaled."""

from slipway_sandbox.autoscaling.quotas import AutoscalingQuotas
from slipway_sandbox.autoscaling.room import AutoscalingRoom
from slipway_sandbox.autoscaling.schedules import ScheduleRoom
from slipway_sandbox.autoscaling.targets import ScalableTargets

__all__ = ["AutoscalingQuotas", "AutoscalingRoom", "ScalableTargets", "ScheduleRoom"]

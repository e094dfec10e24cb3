"""ECS: clusters, task definitions, and tasks whose containers really run."""

from slipway_sandbox.ecs.wiring import Ecs

__all__ = ["Ecs"]

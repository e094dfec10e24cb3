"""ECS: clusters, task definitions, and tasks whose containers really run."""

from slipway_sandbox.ecs.service import Ecs

__all__ = ["Ecs"]

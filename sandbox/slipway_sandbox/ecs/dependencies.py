"""The order in which containers start and stop. Failures have the wording of ECS's own agent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from slipway_sandbox.ecs.model import TaskContainer

GRAPH = "dependency graph: "


class NeverReadyError(Exception):
    """A container will never start; the text says why."""


def is_ready(container: TaskContainer, others: Mapping[str, TaskContainer], is_late: Callable[[TaskContainer], bool]) -> bool:
    """Whether all that a container depends on has come far enough.

    Args:
        container: The container that is to start.
        others: The task's containers by name.
        is_late: Whether another's `startTimeout` is over.

    Raises:
        NeverReadyError: It never will.
    """
    # Each is looked at, even when one before it is not met yet: it may say that there is no point in waiting.
    dependencies = container.definition.get("dependsOn", [])
    met = [_is_met(container, others[each["containerName"]], each["condition"], is_late) for each in dependencies]
    return all(met)


def _is_met(target: TaskContainer, other: TaskContainer, condition: str, is_late: Callable[[TaskContainer], bool]) -> bool:
    unresolved = f"{GRAPH}failed to resolve container ordering dependency [{other.name}] for target [{target.name}]"
    if other.finished_at and not other.started_at:
        raise NeverReadyError(f"{unresolved} because dependency will never start")
    if condition == "START":
        return other.started_at is not None
    if condition == "HEALTHY" and other.started_at and not other.finished_at:
        # Health checks are not run: what runs counts as healthy.
        return True
    if other.finished_at:
        if condition == "COMPLETE" or (condition == "SUCCESS" and other.exit_code == 0):
            return True
        raise NeverReadyError(f"{unresolved} as dependency did not exit successfully.")
    if is_late(other):
        raise NeverReadyError(f"{GRAPH}container ordering dependency [{other.name}] for target [{target.name}] has timed out.")
    return False


def stop_rounds(containers: Iterable[TaskContainer]) -> list[list[TaskContainer]]:
    """Containers in the order in which they are to be stopped: each after those that depend on it."""
    rounds: list[list[TaskContainer]] = []
    left: Sequence[TaskContainer] = list(containers)
    while left:
        needed = {each["containerName"] for container in left for each in container.definition.get("dependsOn", [])}
        # Definitions with cycles are refused, so some container is always free.
        rounds.append([container for container in left if container.name not in needed])
        left = [container for container in left if container.name in needed]
    return rounds

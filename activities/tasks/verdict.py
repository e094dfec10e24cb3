"""Whether a stopped task succeeded; if not, why, with the last lines of its log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from activities.logs import Stream, last_lines, log_excerpt
from activities.tasks.messages import ContainerExit, TaskVerdict
from slipway.aws.clients import Aws, region_of
from slipway.errors import NeedsPersonError, cap

if TYPE_CHECKING:
    from types_boto3_ecs.type_defs import ContainerDefinitionOutputTypeDef, TaskTypeDef

PLATFORM_STOPS = frozenset({"SpotInterruption", "TerminationNotice", "InfrastructureHealth"})
_TRANSIENT_REASONS = re.compile(
    r"timeout waiting for (network interface|ephemeralstorage) provisioning|cannotpullcontainererror.*(i/o timeout|\beof\b)",
    re.IGNORECASE | re.DOTALL,
)
"""Reasons why a task failed to start that may be gone the next time."""


RUN_AGAIN = "retry"
RUN_AGAIN_BY_PIPED = "sync the application in PipeCD and retry, which waits for the task that piped runs then"


async def judge_task(aws: Aws, task: TaskTypeDef, run_again: str = RUN_AGAIN) -> TaskVerdict:
    """The verdict on a stopped task.

    Success is: every essential container ran and exited with 0, and the task stopped because of that. A missing exit code means
    that the container never ran. A task that the platform ended is no failure either, and the verdict says so.

    Args:
        aws: Where to find AWS.
        task: As ECS describes it.
        run_again: What an operator does to have the task run again.

    Raises:
        NeedsPersonError: The task failed; with exit codes, reasons and the last lines of its logs.
    """
    definitions = await definitions_of(aws, task.get("taskArn", ""), task.get("taskDefinitionArn", ""))
    exits = exits_of(task)
    ended_by_platform = cap(end_of(task, exits)) if is_platforms(task, exits) else None
    if not ended_by_platform and is_failure(task, exits, definitions):
        log = await last_lines(aws, region_of(task.get("taskArn", "")), streams_of(task.get("taskArn", ""), definitions))
        raise failure_of(task, exits, log, run_again)
    return TaskVerdict(
        arn=task.get("taskArn", ""), containers=exits, ended_by_platform=ended_by_platform, stopped_at=task.get("stoppedAt")
    )


async def has_succeeded(aws: Aws, task: TaskTypeDef) -> bool:
    """Whether a stopped task succeeded."""
    definitions = await definitions_of(aws, task.get("taskArn", ""), task.get("taskDefinitionArn", ""))
    exits = exits_of(task)
    return not is_platforms(task, exits) and not is_failure(task, exits, definitions)


def exits_of(task: TaskTypeDef) -> tuple[ContainerExit, ...]:
    """How each container ended."""
    return tuple(
        ContainerExit(name=found.get("name", ""), exit_code=found.get("exitCode"), reason=found.get("reason", ""))
        for found in task.get("containers", [])
    )


def is_failure(
    task: TaskTypeDef, exits: Sequence[ContainerExit], definitions: Sequence[ContainerDefinitionOutputTypeDef]
) -> bool:
    """Whether a task that the platform did not end failed."""
    return task.get("stopCode") != "EssentialContainerExited" or failed(exits, definitions)


def is_platforms(task: TaskTypeDef, exits: Sequence[ContainerExit]) -> bool:
    """Whether the platform ended the task, or failed to start it for a reason that passes."""
    if task.get("stopCode") == "TaskFailedToStart":
        reasons = [task.get("stoppedReason", ""), *(found.reason for found in exits)]
        return any(_TRANSIENT_REASONS.search(reason) for reason in reasons)
    return task.get("stopCode") in PLATFORM_STOPS


def failed(exits: Sequence[ContainerExit], definitions: Sequence[ContainerDefinitionOutputTypeDef]) -> bool:
    """Whether an essential container did not exit with 0. Containers are essential unless their definition says otherwise."""
    essential = {found.get("name", "") for found in definitions if found.get("essential", True)}
    codes = {found.name: found.exit_code for found in exits}
    return any(codes.get(name) != 0 for name in essential) or not essential


def failure_of(task: TaskTypeDef, exits: Sequence[ContainerExit], log: Sequence[str], run_again: str) -> NeedsPersonError:
    """What an operator needs to fix the task."""
    if all(found.exit_code is None for found in exits):
        remedy = f"nothing ran: check that the image can be pulled and that the roles allow it, then {run_again}"
    else:
        remedy = f"fix what the log says, then {run_again}; or abort"
    return NeedsPersonError(f"running the task {task.get('taskArn', '')}", end_of(task, exits) + log_excerpt(log), remedy)


def end_of(task: TaskTypeDef, exits: Sequence[ContainerExit]) -> str:
    """How the task ended, in ECS's words."""
    ends = ", ".join(describe_exit(found) for found in exits) or "no container ran"
    return f"{task.get('stopCode', 'stopped')}: {task.get('stoppedReason', '')}; {ends}"


def describe_exit(found: ContainerExit) -> str:
    """How a container ended, in words."""
    code = "never ran" if found.exit_code is None else f"exit code {found.exit_code}"
    return f"container {found.name} {code}" + (f" ({found.reason})" if found.reason else "")


def streams_of(task: str, definitions: Sequence[ContainerDefinitionOutputTypeDef]) -> list[Stream]:
    """Where the logs of a task's containers are: ECS names a stream `<prefix>/<container>/<task id>`."""
    task_id = task.rpartition("/")[2]
    streams: list[Stream] = []
    for found in definitions:
        options = found.get("logConfiguration", {}).get("options", {})
        group, prefix = options.get("awslogs-group"), options.get("awslogs-stream-prefix")
        if group and prefix:
            streams.append(Stream(group, f"{prefix}/{found.get('name', '')}/{task_id}", options.get("awslogs-region")))
    return streams


async def definitions_of(aws: Aws, task: str, definition: str) -> Sequence[ContainerDefinitionOutputTypeDef]:
    """The containers of a task, by the ARNs of the task and of its definition."""
    ecs = aws.ecs(region_of(task))
    answer = await aws.call(f"reading the task definition {definition}", ecs.describe_task_definition, taskDefinition=definition)
    return answer["taskDefinition"].get("containerDefinitions", [])

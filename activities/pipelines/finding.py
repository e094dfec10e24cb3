"""Which execution of a pipeline a promotion's task started: the witnesses, in the order in which they are believed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from activities.logs import all_lines
from activities.pipelines.messages import Execution, FindExecution
from activities.tasks.messages import StartedTask
from activities.tasks.verdict import definitions_of, streams_of
from slipway.aws.clients import Aws, region_of
from slipway.errors import NeedsPersonError
from slipway.text import pluralize

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import UserContextTypeDef

BY_NAME = "its display name"
BY_LOG = "its ARN in the task's log"
BY_IDENTITY = "the identity that created it, the task's"
BY_TIME = "no other having begun while the task ran"
BY_OPERATOR = "an operator's word"
ASKED = 20
"""Executions that are asked for who created them."""
_ARN = re.compile(r"arn:[a-z0-9-]+:sagemaker:[a-z0-9-]+:\d{12}:pipeline/[A-Za-z0-9-]+/execution/[A-Za-z0-9]+")

_HASH = re.compile(r"-[0-9a-f]{12}(-\d{1,3})?$")
"""How a promotion's id ends."""


@dataclass(frozen=True)
class ListedExecution:
    """An execution as its pipeline lists it."""

    arn: str
    name: str
    started: datetime
    status: str = ""


class Witnesses:
    """Looks for one promotion's execution among those that its pipeline lists.

    Args:
        aws: Where to find AWS.
        request: What is looked for.
    """

    def __init__(self, aws: Aws, request: FindExecution) -> None:
        self._aws = aws
        self._request = request
        self._unread: str | None = None
        """Why the task's log could not be read."""

    async def find(self, listed: Sequence[ListedExecution], *, settled: bool) -> Execution | None:
        """The promotion's execution; none if none is seen yet.

        Args:
            listed: The pipeline's executions, the newest first.
            settled: Whether all that the task started is listed by now: only then it counts that there is no other.

        Raises:
            NeedsPersonError: Several are equally likely.
        """
        request, task = self._request, self._request.task
        if request.named:
            named = next((found for found in listed if found.arn == request.named), None)
            return self._checked(named) if named else None
        if by_name := next((found for found in listed if found.name == request.promotion_id), None):
            return self._execution(by_name, BY_NAME)
        if task is None:
            return None
        began = await self._began(listed, task)
        if not began:
            return None
        logged = await self._logged(task)
        if by_log := [found for found in began if found.arn in logged]:
            return self._execution(self._only(by_log, "are in the task's log"), BY_LOG)
        if by_identity := await self._created_by(task, began):
            return self._execution(self._only(by_identity, "were created by the task"), BY_IDENTITY)
        if not settled:
            return None
        if request.for_undo:
            raise self._unproved(began)
        return self._execution(self._only(began, "began while the task ran"), BY_TIME)

    def none(self, listed: Sequence[ListedExecution]) -> NeedsPersonError:
        """The error for an execution that is not there."""
        request = self._request
        if request.named:
            said = f"the pipeline lists no execution {request.named} of the last weeks"
            return NeedsPersonError(self.tried, said, "name one that `aws sagemaker list-pipeline-executions` lists")
        names = ", ".join([found.name for found in listed][:10]) or "none"
        said = f"no execution has this display name, and none began while the task ran; found: {names}"
        remedy = (
            "see in the task's log whether it starts an execution of this pipeline; then retry. If one is the task's after all: "
            f"slipway retry {request.promotion_id} --execution <arn>. An execution whose PipelineExecutionDisplayName is the "
            "task's SLIPWAY_PROMOTION_ID is always found"
        )
        return NeedsPersonError(self.tried, said + self._log_remark, remedy)

    @property
    def tried(self) -> str:
        """What is tried, for errors."""
        return f"looking for the execution {self._request.promotion_id} of the pipeline {self._request.pipeline}"

    @property
    def _log_remark(self) -> str:
        return f"; the task's log could not be read: {self._unread}" if self._unread else ""

    def _execution(self, found: ListedExecution, witness: str) -> Execution:
        return Execution(arn=found.arn, region=self._request.region, display_name=found.name, witness=witness)

    def _checked(self, named: ListedExecution) -> Execution:
        """The execution that an operator named.

        Raises:
            NeedsPersonError: It began before the task.
        """
        task = self._request.task
        if task and named.started < task.started_at:
            said = f"{named.arn} began at {shown(named.started)}, and the task was started at {shown(task.started_at)}"
            raise NeedsPersonError(self.tried, said, "name one that began after the task was started")
        return self._execution(named, BY_OPERATOR)

    def _only(self, found: Sequence[ListedExecution], what: str) -> ListedExecution:
        """The one that is found.

        Raises:
            NeedsPersonError: There are several.
        """
        if len(found) == 1:
            return found[0]
        said = f"{len(found)} executions {what}: {', '.join(each.arn for each in found[:5])}{self._log_remark}"
        raise NeedsPersonError(
            self.tried, said, f"name the one that the task started: slipway retry {self._request.promotion_id} --execution <arn>"
        )

    def _unproved(self, began: Sequence[ListedExecution]) -> NeedsPersonError:
        """What is begun is stopped only where it is proved whose it is."""
        arns = ", ".join(found.arn for found in began[:5])
        said = (
            f"{pluralize(len(began), 'execution')} began while the task ran, and nothing proves whose: {arns}{self._log_remark}"
        )
        retry = f"slipway retry {self._request.promotion_id} --execution <arn>"
        return NeedsPersonError(
            self.tried, said, f"see whether one of them is the task's. If one is, it is stopped by: {retry}; if none is, abort"
        )

    async def _began(self, listed: Sequence[ListedExecution], task: StartedTask) -> list[ListedExecution]:
        """The executions that began while the task ran, but those that another promotion's task named."""
        later = [found for found in listed if found.started >= task.started_at]
        if not later:
            return []
        end = task.stopped_at or await self._end_of(task)
        mine = self._request.promotion_id
        return [found for found in later if (end is None or found.started <= end) and not is_anothers(found.name, mine)]

    async def _end_of(self, task: StartedTask) -> datetime | None:
        """When the task stopped; none where it runs, or ECS has forgotten it."""
        describe = self._aws.ecs(region_of(task.arn)).describe_tasks
        answer = await self._aws.call(f"looking at the task {task.arn}", describe, cluster=task.cluster, tasks=[task.arn])
        return answer["tasks"][0].get("stoppedAt") if answer["tasks"] else None

    async def _logged(self, task: StartedTask) -> set[str]:
        """The ARNs of executions in the log of the task's containers. A log that nobody may read is no reason to stop here."""
        found: set[str] = set()
        if not task.definition:
            return found
        region = region_of(task.arn)
        try:
            for stream in streams_of(task.arn, await definitions_of(self._aws, task.arn, task.definition)):
                async for line in all_lines(self._aws, region, stream):
                    found.update(_ARN.findall(line))
        except NeedsPersonError as error:
            self._unread = error.report.answered
        return found

    async def _created_by(self, task: StartedTask, began: Sequence[ListedExecution]) -> list[ListedExecution]:
        """Those that the task created, where AWS says who did. ECS names a task's session after the task."""
        if len(began) > ASKED:
            return []
        session = task.arn.rpartition("/")[2]
        describe = self._aws.sagemaker(self._request.region).describe_pipeline_execution
        found: list[ListedExecution] = []
        for each in began:
            answer = await self._aws.call(f"looking at who created {each.arn}", describe, PipelineExecutionArn=each.arn)
            if is_session(answer.get("CreatedBy", {}), session):
                found.append(each)
        return found


def is_anothers(name: str, promotion_id: str) -> bool:
    """Whether an execution's display name is the id of another promotion of the same app."""
    app = _HASH.sub("", promotion_id)
    return name != promotion_id and name.startswith(f"{app}-") and _HASH.sub("", name) == app


def shown(time: datetime) -> str:
    """A time as people read it."""
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def is_session(created_by: UserContextTypeDef | Mapping[str, Any], session: str) -> bool:
    """Whether AWS names a role's session of this name as the creator."""
    identity = created_by.get("IamIdentity", {})
    arn, principal = identity.get("Arn", ""), identity.get("PrincipalId", "")
    return (":assumed-role/" in arn and arn.rpartition("/")[2] == session) or principal.rpartition(":")[2] == session

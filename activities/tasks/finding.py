"""Which task piped ran for the image of a promotion: piped's tags say for which commit, git what that commit brings.

Where the worker may ask PipeCD, it is a second witness: it says how the deployment is that ran the task, or that ran none.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from activities.tasks.messages import FindTask, FoundTask
from activities.tasks.piped import Brings, PipedTask, Tasks, by_piped
from activities.tasks.verdict import has_succeeded
from activities.tasks.witness import DeploymentWitness, Heard
from slipway.app.durations import format_duration
from slipway.app.lint import App
from slipway.aws.clients import Aws
from slipway.errors import NeedsPersonError
from slipway.git.repository import Repository
from slipway.git.rules import app_file
from slipway.pipecd.client import DeploymentState, PipecdApi
from slipway.text import pluralize

if TYPE_CHECKING:
    from types_boto3_ecs.type_defs import TaskTypeDef

NAMED = 5
"""Tasks that a message names."""


class TaskSearch:
    """Looks for the task that piped runs for one promotion.

    Args:
        aws: Where to find AWS.
        repository: The deployment repository.
        request: What is looked for.
        app: The application's files at the promotion's commit.
        pipecd: PipeCD's API, where the worker may ask it.
    """

    def __init__(self, aws: Aws, repository: Repository, request: FindTask, app: App, pipecd: PipecdApi | None = None) -> None:
        self._aws = aws
        self._repository = repository
        self._request = request
        self._app = app
        self._known: Tasks | None = None
        # What is stopped is stopped whatever PipeCD says.
        self._witness = DeploymentWitness(pipecd, request.origin.app, app) if pipecd and not request.for_undo else None
        self._heard: Heard | None = None
        self._unconfirmed = ""

    @property
    def progress(self) -> str:
        """What PipeCD said at the last look; empty where it was not asked."""
        return self._heard.progress if self._heard else ""

    async def find(self, listed: Sequence[TaskTypeDef]) -> FoundTask | None:
        """The task; none if none is seen yet, or PipeCD has not begun its deployment.

        Args:
            listed: The tasks of the family on the cluster.

        Raises:
            NeedsPersonError: piped ran several, or has gone on to a later commit that brings another image; or PipeCD says
                that the deployment failed, or otherwise than the task's tags.
        """
        tasks, self._unconfirmed = await self._tasks(), ""
        if self._witness:
            self._heard = await self._witness.ask(tasks, self._request.former)
        task = await self._by_tags(tasks, listed)
        if self._witness is None or self._heard is None or self._heard.silence:
            return task.found(told=self.progress) if task else None
        if task is None:
            await self._check_deployed(self._witness, self._heard)
            return None
        return await self._confirmed(task, self._witness, self._heard)

    async def _confirmed(self, task: PipedTask, witness: DeploymentWitness, heard: Heard) -> FoundTask | None:
        """The task with its deployment; none while PipeCD has yet to begin that, or rolls it back.

        Raises:
            NeedsPersonError: PipeCD contradicts the tags, or says that the deployment failed.
        """
        deployment = heard.deployment_of(task)
        if self._request.named:
            return task.found(deployment.id, deployment.line) if deployment else task.found(told=heard.contradiction(task))
        remedy = f"{self._to_name(task.arn)} follows it all the same; or abort"
        if wrong := heard.contradiction(task):
            raise NeedsPersonError(self.tried, f"of the task {task.arn}: {wrong}", f"find out who ran it; {remedy}")
        if deployment and deployment.state.has_run:
            return task.found(deployment.id, deployment.line)
        ran = f"piped ran the task {task.arn}, and"
        if deployment and deployment.state.has_failed:
            said = f"{ran} {await witness.failure(deployment)}"
            raise NeedsPersonError(self.tried, said, f"see the deployment in PipeCD; {remedy}")
        self._unconfirmed = f"{ran} {deployment.sentence if deployment else heard.told}"
        return None

    async def _check_deployed(self, witness: DeploymentWitness, heard: Heard) -> None:
        """Checks that a task may still come.

        Raises:
            NeedsPersonError: The deployment has failed, or PipeCD leaves the application alone.
        """
        if heard.newest and heard.newest.state.has_failed:
            remedy = (
                "see the deployment in PipeCD, fix the cause, and sync the application there; retry once the new "
                "deployment is there, or abort"
            )
            said = f"no task of it is seen: {await witness.failure(heard.newest)}"
            raise NeedsPersonError(self.tried, said, remedy)
        if heard.application and heard.application.is_disabled and not heard.newest:
            raise NeedsPersonError(self.tried, heard.told, "enable the application in PipeCD, then retry; or abort")

    async def _by_tags(self, tasks: Tasks, listed: Sequence[TaskTypeDef]) -> PipedTask | None:
        """The task by its tags.

        Raises:
            NeedsPersonError: piped ran several, or has gone on to a later commit that brings another image.
        """
        former = self._request.former
        piped = [each for task in listed if (each := by_piped(task))]
        if self._request.for_undo:
            return self._to_stop([each for each in piped if await tasks.may_be_own(each)])
        own = [each for each in piped if await tasks.is_own(each)]
        if self._request.named:
            return self._named(own)
        again = next((each for each in own if former and each.arn == former.arn), None)
        if again and await self._may_do(again):
            return again
        new = [each for each in own if former is None or each.created_at > former.started_at]
        if len(new) > 1:
            raise self._several(new, f"name the one to follow: {self._to_name('<arn>')}; or abort")
        if not new:
            await self._check_later(tasks, piped)
        return new[0] if new else None

    def _to_stop(self, own: Sequence[PipedTask]) -> PipedTask | None:
        """The task that runs, else the newest one; none where piped has run none.

        Raises:
            NeedsPersonError: Several run.
        """
        running = [each for each in own if not each.has_stopped]
        if len(running) > 1:
            raise self._several(running, "see which of them are this promotion's, and stop those in ECS")
        return max(running or own, key=lambda each: each.created_at, default=None)

    def _named(self, own: Sequence[PipedTask]) -> PipedTask:
        """The task that an operator named.

        Raises:
            NeedsPersonError: It is none that piped ran for the promotion.
        """
        named = self._request.named
        if found := next((each for each in own if each.arn == named), None):
            return found
        ids = ", ".join(each.arn for each in own[:NAMED]) or "none"
        raise NeedsPersonError(self.tried, f"{named} is none of those that piped ran for it: {ids}", "name one of these")

    async def none(self, listed: Sequence[TaskTypeDef]) -> NeedsPersonError:
        """The error for a task that is not there."""
        tasks = await self._tasks()
        told = f"; {self._heard.told}" if self._heard else ""
        head = await self._repository.head(self._request.origin.app.branch)
        if await tasks.brings(head) is Brings.other:
            return self._superseded(head, f"and piped deploys the newest commit{told}")
        waited = f"in {format_duration(self._request.within)} (spec.task.timeout)"
        if self._unconfirmed:
            remedy = (
                f"see the deployment's log in PipeCD; retry looks again, {self._to_name('<arn>')} follows the task all the same"
            )
            return NeedsPersonError(self.tried, f"{self._unconfirmed} {waited}", f"{remedy}; or abort")
        said = f"piped ran none {waited}{await self._seen(tasks, listed)}{told}"
        return NeedsPersonError(self.tried, said, self._to_do)

    @property
    def _to_do(self) -> str:
        """What an operator can do where there is no task."""
        newest = self._heard.newest if self._heard else None
        if newest and newest.state is DeploymentState.SUCCESS:
            return (
                "piped takes a call that ECS accepted for success, also where ECS then placed no task: see the cluster's "
                "capacity and network; sync the application in PipeCD; then retry, or abort"
            )
        return (
            "look in PipeCD whether the application has a deployment of this commit, and whether that failed, was skipped or "
            "waits; sync the application there if it has none; then retry, or abort"
        )

    def _to_name(self, task: str) -> str:
        """The command by which an operator names a task."""
        return f"slipway retry {self._request.origin.promotion_id} --task {task}"

    @property
    def tried(self) -> str:
        """What is tried, for errors."""
        place = f"the family {self._app.taskdef['family']} on {self._app.pipecd.ecs.cluster_arn}"
        return f"looking for the task that piped runs for the commit {self._request.commit[:12]}, of {place}"

    async def _tasks(self) -> Tasks:
        if self._known is None:
            origin, since = self._request.origin, await self._brought_by()
            self._known = Tasks(self._aws, self._repository, origin, self._app, since)
        return self._known

    async def _brought_by(self) -> str:
        """The commit that brought the image. Where the image was there already, the request names only the head of then."""
        origin, commit = self._request.origin, self._request.commit
        if not await self._repository.contains(origin.app.branch, commit):
            return origin.commit  # it was taken off the branch, and nothing of it will be deployed
        path = app_file(origin.app.folder, self._app.pipecd.ecs.task_definition_file)
        change = await self._repository.last_change(commit, path)
        return change.commit if change else commit

    async def _may_do(self, former: PipedTask) -> bool:
        """Whether the task of before is still the one: it runs, or has succeeded."""
        return not former.has_stopped or await has_succeeded(self._aws, former.task)

    async def _check_later(self, tasks: Tasks, piped: Collection[PipedTask]) -> None:
        """Checks that piped has not gone by the image.

        Raises:
            NeedsPersonError: It ran or deployed a later commit that brings another image, which still is the newest.
        """
        later = [each for each in piped if await tasks.brings(each.commit) is Brings.other]
        deployed = self._heard.later[:1] if self._heard and not self._heard.newest else ()
        if not later and not deployed:
            return
        head = await self._repository.head(self._request.origin.app.branch)
        if await tasks.brings(head) is not Brings.other:
            return
        if later:
            last = max(later, key=lambda each: each.created_at)
            raise self._superseded(last.commit, f"and piped ran the task {last.id} for that")
        for deployment in deployed:
            raise self._superseded(deployment.commit, f"and {deployment.sentence}")

    def _superseded(self, commit: str, so: str) -> NeedsPersonError:
        said = f"the later commit {commit[:12]} brings another image, {so}"
        remedy = "abort; or, if this image is to be trained after all, commit it to the branch again, and retry"
        return NeedsPersonError(self.tried, said, remedy)

    def _several(self, found: Sequence[PipedTask], remedy: str) -> NeedsPersonError:
        named = ", ".join(f"{each.arn} (of {each.commit[:12]})" for each in found[:NAMED])
        heard = self._heard or Heard()
        told = "".join(f"; {each}" for each in (heard.silence, *(each.sentence for each in heard.own[:NAMED])) if each)
        said = f"piped ran {len(found)}: {named}{told}"
        return NeedsPersonError(self.tried, said, remedy)

    async def _seen(self, tasks: Tasks, listed: Sequence[TaskTypeDef]) -> str:
        """What is there that was passed over."""
        parts: list[str] = []
        piped = [each for task in listed if (each := by_piped(task))]
        if former := self._request.former:
            parts.append(f"none is newer than the task {former.arn.rpartition('/')[2]}, which did not succeed")
        foreign = [each for each in piped if await tasks.brings(each.commit) is Brings.image and not await tasks.runs_image(each)]
        if foreign:
            ids = ", ".join(each.id for each in foreign[:NAMED])
            parts.append(f"a revision with another image was run for it ({ids}): another one of the family came between")
        if others := len(listed) - len(piped):
            parts.append(f"{pluralize(others, 'task')} of the family without piped's tags")
        return "".join(f"; {part}" for part in parts)

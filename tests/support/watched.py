"""Scenarios in which piped's event watcher writes the image, and nobody calls `slipway start`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from slipway_sandbox.testing import build_image, layer_of, member, push_image
from temporalio.service import RPCError, RPCStatusCode

from demo.oci_layout import BuiltImage
from demo.remote import BRANCH
from demo.stack import Stack
from demo.team import FOLDER, name_of
from slipway.temporal.connect import PROMOTION
from slipway.temporal.start import promotion
from slipway.temporal.watches import WatchHandle
from slipway.watch import WatchedBranch, WatchStatus
from tests.support.event_watcher import Event, EventWatcher
from tests.support.owned import OwnedScenario
from tests.support.scenario import COMMIT, PATIENCE
from tests.support.waiting import answered

EVENT = "sm-pipeline-pipecd-image-update"


class WatchedScenario(OwnedScenario):
    """A team whose spec leaves the writing to piped, and whose worker has a policy that names the repository."""

    def __init__(self, stack: Stack, model_image: BuiltImage) -> None:
        super().__init__(stack, model_image)
        self.given_lenient_gates()
        self.given_its_file("promotion.yaml", f"event: {EVENT}", f"writer: pipecd\n    event: {EVENT}")
        image = self.team.spec.spec.image
        self.given_its_file("taskdef.yaml", image.target, image.source)

    def given_that_piped_runs_what_it_writes(self) -> Self:
        """The spec leaves the task to piped as well, and nothing is copied."""
        image = self.team.spec.spec.image
        self.given_its_file("promotion.yaml", f"target: {image.target}", f"target: {image.source}")
        self.given_that_piped_runs_the_task()
        self.given_the_policy(accounts=[self.team.ml_account, self.team.ci_account])
        return self

    async def given_a_watch(self) -> Self:
        """The worker has looked at the branch once: what is there now is not promoted."""
        await self.until_watch(lambda status: FOLDER in status.seen.apps, "the first look")
        return self

    def given_a_tagged_image(self, tag: str) -> str:
        """CI has pushed an image that does nothing; the value of its event."""
        source = self.team.spec.spec.image.source
        image = build_image([layer_of(member("app", tag.encode()))], command=["app"])
        push_image(self.stack.sandbox, self.team.ci_account, name_of(source), tag, image)
        return f"{source}:{tag}"

    async def when_ci_registers(self, value: str) -> str | None:
        """CI registers an event, as `actions-event-register` does; piped's commit."""
        watcher = EventWatcher(self.team.remote.path, FOLDER)
        event = Event(EVENT, value, labels={"app": "screening"}, contexts={"run": "42"}, commit_hash=COMMIT)
        return await asyncio.to_thread(watcher.handle, event)

    async def then_one_is_started(self) -> str:
        """The id of the only promotion of the namespace, as soon as there is one."""
        await self._until_listed()
        [promotion_id] = await self.promotions()
        self._handle = promotion(await self.connect(), promotion_id)
        return promotion_id

    async def promotions(self) -> list[str]:
        """Every promotion of the namespace."""
        client = await self.connect()
        return [found.id async for found in client.list_workflows(f"WorkflowType = '{PROMOTION}'")]

    async def watch(self) -> WatchHandle:
        """The watch of the team's branch."""
        branch = WatchedBranch(repository=self.team.remote.url, branch=BRANCH)
        return (await self.connect()).get_workflow_handle(branch.watch_id)

    async def until_watch(self, condition: Callable[[WatchStatus], bool], what: str) -> WatchStatus:
        """What the watch says, as soon as the condition holds for it."""
        handle = await self.watch()

        async def look() -> WatchStatus | None:
            """The worker answers for its health a moment before it starts the watch."""
            try:
                return await handle.query("watch", result_type=WatchStatus)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                return None

        status = await answered(look, lambda status: status is not None and condition(status), what, PATIENCE)
        assert status
        return status

    async def _until_listed(self) -> None:
        await answered(self.promotions, bool, "a promotion", PATIENCE)

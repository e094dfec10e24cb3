"""Watches one deployment branch for images that piped's event watcher writes, and starts a promotion of each.

It holds nothing while nothing happens: one activity follows the branch, and ends when there is news. What it found is in the
history before a promotion is started, and a promotion's id follows from app and digest: a worker that dies in between loses
nothing, and starts nothing twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ActivityError, ApplicationError, WorkflowAlreadyStartedError, is_cancelled_exception
from temporalio.workflow import ContinueAsNewVersioningBehavior, ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.branch_news import BranchNews, FoundImage
    from activities.branches import BranchActivities, FollowBranch
    from slipway.errors import FailureReport, RefusedError, cap
    from slipway.temporal.connect import PROMOTION
    from slipway.temporal.failures import report_of
    from slipway.temporal.start import how_to_start
    from slipway.text import code_span, markdown, one_line
    from slipway.watch import WatchedBranch, WatchInput, WatchStatus

from workflows.activity_options import shown, watching
from workflows.new_run import NewRun
from workflows.payloads import SIZE_LIMIT, read, refusal

FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=1)
"""Between two looks at a branch that cannot be read."""
NOTES = 20
"""How many notes are kept; the oldest go."""
NOTE_LIMIT = 600
NO_BRANCH = WatchInput(repository="unknown")
"""What is watched where that cannot be read."""


@workflow.defn
class WatchWorkflow:
    """Runs for as long as the branch is watched."""

    @workflow.init
    def __init__(self, *payloads: Any) -> None:
        given, self._refusal = read_input(payloads)
        self._branch = WatchedBranch(repository=given.repository, branch=given.branch)
        self._seen = given.seen
        self._notes = given.notes
        self._problem = ""
        self._pause = FIRST_PAUSE
        self._asked = False
        self._new_run = NewRun()

    @workflow.run
    async def run(self, *payloads: Any) -> None:
        """Watch without an end.

        Raises:
            ApplicationError: Its input names no branch, or another one than its id.
        """
        del payloads  # the constructor has them
        if self._refusal:
            raise self._refusal
        self._show()
        while not self._new_run.is_due():
            await self._look()
        seen = WatchInput(**self._branch.model_dump(), seen=self._seen, notes=self._notes)
        workflow.continue_as_new(seen, initial_versioning_behavior=ContinueAsNewVersioningBehavior.AUTO_UPGRADE)

    @workflow.signal
    def look(self, *payloads: Any) -> None:
        """Look at the branch now, as where a webhook tells of a push. What is sent with it does not matter."""
        del payloads
        self._asked = True

    @workflow.query
    def watch(self) -> WatchStatus:
        """What is watched, and what came of it."""
        return WatchStatus(**self._branch.model_dump(), seen=self._seen, problem=self._problem, notes=self._notes)

    async def _look(self) -> None:
        """Follow the branch until there is news, it cannot be read, or somebody asks for a look."""
        self._asked = False
        following = workflow.start_activity_method(
            BranchActivities.follow_branch,
            FollowBranch(branch=self._branch, seen=self._seen),
            **shown(watching(), f"follow {self._branch.branch}"),
        )
        await workflow.wait_condition(lambda: self._asked or following.done())
        if not following.done():
            following.cancel()
            return
        try:
            news = await following
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            await self._wait_after(report_of(error))
            return
        self._problem, self._pause = "", FIRST_PAUSE
        await self._take(news)

    async def _wait_after(self, failure: FailureReport) -> None:
        self._problem = str(failure)
        self._show()
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._asked, timeout=self._pause, timeout_summary="look again")
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    async def _take(self, news: BranchNews) -> None:
        for found in news.found:
            await self._start(found)
        for note in news.notes:
            self._note(note)
        self._seen = news.seen
        self._show()

    async def _start(self, found: FoundImage) -> None:
        request, promotion_id = found.request, found.request.promotion_id
        brought = f"{found.held} of {found.commit[:12]} by {request.requested_by} (claimed)"
        superseded = f"superseded, and not promoted: {', '.join(found.superseded)}" if found.superseded else ""
        details = f"brought to {code_span(request.app.branch)} by {code_span(found.commit)}"
        try:
            # Without this workflow it goes on: it is nobody's part.
            await workflow.start_child_workflow(
                PROMOTION,
                request,
                id=promotion_id,
                parent_close_policy=ParentClosePolicy.ABANDON,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                **how_to_start(request, details, markdown(superseded)),
            )
        except WorkflowAlreadyStartedError:
            again = "`slipway start … --again` promotes it once more"
            self._note(f"nothing was started for {brought}: {promotion_id} is the promotion of this digest; {again}")
            return
        self._note(f"started {promotion_id} for {brought}{f'; {superseded}' if superseded else ''}")

    def _note(self, text: str) -> None:
        noted = f"{workflow.now():%Y-%m-%dT%H:%M:%SZ} {cap(one_line(text), NOTE_LIMIT)}"
        self._notes = (*self._notes, noted)[-NOTES:]

    def _show(self) -> None:
        workflow.set_current_details("\n\n".join(self._lines()))

    def _lines(self) -> Iterator[str]:
        branch, seen = self._branch, self._seen
        upto = code_span(seen.commit[:12] or "nothing yet")
        yield f"**{code_span(branch.branch)}** of {code_span(branch.repository)}, seen up to {upto}"
        yield f"piped writes the images of: {', '.join(map(code_span, seen.apps)) or 'no application'}"
        if self._problem:
            yield f"**cannot be looked at:** {markdown(self._problem)}"
        for each in seen.open:
            yield f"**{code_span(each.folder)} waits:** {markdown(each.why)}"
        yield from map(markdown, reversed(self._notes))


def read_input(payloads: Sequence[Any]) -> tuple[WatchInput, ApplicationError | None]:
    """What a watch was started with, and why it is refused; none where it is not.

    One branch has one watch: two would start nothing twice, and look twice.
    """
    goes_on = workflow.info().continued_run_id is not None
    try:
        given = read(payloads, WatchInput, limit=None if goes_on else SIZE_LIMIT)
        wanted = given.watch_id
    except ApplicationError as error:
        return NO_BRANCH, error
    except RefusedError as error:
        return NO_BRANCH, refusal(str(error))
    if (found := workflow.info().workflow_id) != wanted:
        return NO_BRANCH, refusal(f"the watch of this branch is {wanted}, but it was started as {cap(one_line(found), 100)}")
    return given, None

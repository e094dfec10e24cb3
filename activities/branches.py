"""Follows deployment branches on which piped's event watcher writes images. Reads only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from temporalio import activity

from activities.branch_news import BranchLook, BranchNews
from activities.repositories import Repositories
from activities.waiting import deadline_after, follower
from slipway.api import AppRef, Message
from slipway.aws.clients import Aws
from slipway.aws.looking import Described, Source, one_by_one
from slipway.aws.polling import Pollers
from slipway.watch import SeenBranch, WatchedBranch

LASTS = timedelta(hours=1)
"""How long one call follows a branch on which nothing happens."""
SELDOM = 20
"""How many times as long the pause between two looks is where piped writes no image of the branch."""
AGAIN = 10
"""The same for applications whose image could not be promoted."""


class FollowBranch(Message):
    """Input of `follow_branch`."""

    branch: WatchedBranch
    seen: SeenBranch


class BranchActivities:
    """Watches branches.

    Args:
        aws: Where to find registries.
        repositories: The repositories that this worker may use.
        interval: Seconds between two looks at a branch.
    """

    def __init__(self, aws: Aws, repositories: Repositories, interval: float) -> None:
        self._aws = aws
        self._repositories = repositories
        self._interval = interval
        self._often = Pollers(self._heads_of, interval)
        self._seldom = Pollers(self._heads_of, interval * SELDOM)

    @activity.defn
    @follower
    async def follow_branch(self, request: FollowBranch) -> BranchNews:
        """Waits until there is something new on the branch, or the time is over. Reads only.

        The first look is at once. If it is killed, the retry looks from the same commit on, and finds the same.

        Raises:
            RefusedError: The policy does not name the branch, or it is not there.
        """
        branch, seen = request.branch, request.seen
        end = deadline_after(LASTS)
        poller = (self._often if seen.apps else self._seldom).at(branch.repository)
        head = await self._head(branch.repository, branch.branch)
        while True:
            news = await BranchLook(self._aws, self._repositories, branch, seen, head).news()
            if news != BranchNews(seen=seen) or datetime.now(UTC) >= end:
                return news
            again = datetime.now(UTC) + timedelta(seconds=self._interval * AGAIN) if seen.open else end
            head = await poller.until(branch.branch, done=lambda head: head != seen.commit, deadline=min(again, end))

    def _heads_of(self, repository: str | None) -> Source[str]:
        return Described(one_by_one(lambda branch: self._head(repository or "", branch)))

    async def _head(self, repository: str, branch: str) -> str:
        opened = await self._repositories.open(AppRef(repository=repository, branch=branch))
        return await opened.head(branch)

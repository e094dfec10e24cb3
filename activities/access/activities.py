"""Asks, without any effect, whether the accounts that a promotion touches let each other in."""

from __future__ import annotations

from collections.abc import AsyncIterator

from temporalio import activity

from activities.access.artifacts import check_artifacts
from activities.access.groups import check_group
from activities.access.messages import CheckAccess
from activities.access.pulls import check_pull, check_pulls_of_package
from activities.access.roles import Place, identity, places_of, role_findings
from activities.packages import describe_package
from activities.repositories import Repositories, app_at
from slipway.app.lint import App
from slipway.app.regions import region_of_app
from slipway.aws.clients import Aws
from slipway.findings import Finding, FindingList, Level


class AccessActivities:
    """What other accounts have to allow, looked at before anything is changed and before people are asked.

    Args:
        aws: Where to find AWS.
        repositories: Where the application's files are read from.
    """

    def __init__(self, aws: Aws, repositories: Repositories) -> None:
        self._aws = aws
        self._repositories = repositories

    @activity.defn
    async def check_access(self, request: CheckAccess) -> FindingList:
        """Looks at the roles of the targets, the package group, and who may pull and read what. Reads only.

        A check that cannot be made is a warning.

        Raises:
            TransientError: AWS does not answer.
        """
        origin = request.origin
        app = await app_at(await self._repositories.open(origin.app), origin.app, origin.commit)
        found = [finding async for finding in self._look(request, app)]
        return FindingList(findings=tuple(dict.fromkeys(found)))

    async def _look(self, request: CheckAccess, app: App) -> AsyncIterator[Finding]:
        region = region_of_app(app.spec, app.pipecd.ecs)
        worker = await identity(self._aws, region)
        places = places_of(app.spec.spec, worker, region)
        usable: list[Place] = []
        for place in places:
            refused = await role_findings(self._aws, place, worker)
            for finding in refused:
                yield finding
            if not any(finding.level is Level.refuse for finding in refused):
                usable.append(place)
        async for finding in check_group(self._aws, app.spec.spec.model, worker, usable, request.package):
            yield finding
        if request.package is None:
            async for finding in check_pull(self._aws, app, worker):
                yield finding
            return
        package = await describe_package(self._aws, request.package.arn)
        async for finding in check_pulls_of_package(self._aws, package, usable):
            yield finding
        async for finding in check_artifacts(self._aws, package, worker, usable):
            yield finding

"""Asks, without any effect, whether the accounts that a promotion touches let each other in."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import activity

from activities.access.artifacts import check_artifacts
from activities.access.groups import check_group
from activities.access.messages import CheckAccess
from activities.access.pulls import check_pull, check_pulls_of_package
from activities.access.roles import Place, Worker, identity, places_of, role_findings
from activities.endpoints.served import Looks
from activities.repositories import Repositories, app_at
from slipway.api import ModelPackage
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
        found = await look_at_accounts(Looks(self._aws), app, request.package)
        return FindingList(findings=found.findings)


@dataclass(frozen=True)
class AccountsFound:
    """What was found of the accounts that an application's files name."""

    worker: Worker
    findings: tuple[Finding, ...]
    closed: frozenset[str]
    """The roles that cannot be assumed: nothing can be asked there."""


async def look_at_accounts(looks: Looks, app: App, package: ModelPackage | None) -> AccountsFound:
    """What the accounts that an application's files name do not allow each other. It assumes the roles of the targets.

    Args:
        looks: The look that this one is a part of.
        app: The application's files, which the policy allows.
        package: The package to roll out; none before there is one.
    """
    aws, region = looks.aws, region_of_app(app.spec, app.pipecd.ecs)
    worker = await identity(aws, region)
    found: list[Finding] = []
    usable: list[Place] = []
    closed: set[str] = set()
    for place in places_of(app.spec.spec, worker, region):
        refused = await role_findings(aws, place, worker)
        found += refused
        if place.role_arn and any(finding.level is Level.refuse for finding in refused):
            closed.add(place.role_arn)
        else:
            usable.append(place)
    found += [finding async for finding in check_group(looks, app.spec.spec.model, worker, usable, package)]
    if package is None:
        found += [finding async for finding in check_pull(aws, app, worker)]
    else:
        described = await looks.package(package.arn)
        found += [finding async for finding in check_pulls_of_package(aws, described, usable)]
        found += [finding async for finding in check_artifacts(aws, described, worker, usable)]
    return AccountsFound(worker, tuple(dict.fromkeys(found)), frozenset(closed))

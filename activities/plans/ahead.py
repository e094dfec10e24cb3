"""What would stop a rollout: the accounts that its application names, and each of its targets. Reads only."""

from __future__ import annotations

from dataclasses import replace

from activities.access.activities import look_at_accounts
from activities.collecting import Collector
from activities.endpoints.served import Looks
from activities.evidence_size import fitting_findings
from activities.origin import Origin
from activities.plans.targets import TargetFound, TargetLook
from activities.repositories import app_at
from slipway.api import ModelPackage
from slipway.app.gates import GateBar
from slipway.app.going_back import spec_of_rollback
from slipway.app.lint import App
from slipway.app.regions import region_of_app
from slipway.findings import FindingList
from slipway.git.repository import Repository


async def app_of(repository: Repository, origin: Origin) -> App:
    """The application's files at the promotion's commit. The spec is as it is used."""
    app = await app_at(repository, origin.app, origin.commit)
    going_back = origin.request.rollback
    return replace(app, spec=spec_of_rollback(app.spec, going_back.endpoint)) if going_back else app


async def accounts_and_targets(
    looks: Looks, origin: Origin, app: App, package: ModelPackage | None, found: Collector
) -> tuple[tuple[TargetFound, ...], tuple[GateBar, ...]]:
    """What is found at the targets, and the bars of the gates, where there is no package that they are held against.

    Args:
        looks: The look that this one is a part of.
        origin: The promotion.
        app: The application's files, which the policy allows.
        package: The package to roll out; none before there is one.
        found: Keeps what is found of the accounts and the gates.
    """
    accounts = await look_at_accounts(looks, app, package)
    found.add(*accounts.findings)
    look = TargetLook(looks, app.spec.spec, region_of_app(app.spec, app.pipecd.ecs), origin.promotion_id)
    targets = await look.all(package, accounts)
    return targets, await look.bars(targets, found) if package is None else ()


async def what_would_stop(looks: Looks, origin: Origin, app: App, package: ModelPackage) -> FindingList:
    """What would stop the rollout of a package, or may.

    Args:
        looks: The look that this one is a part of.
        origin: The promotion.
        app: The application's files, which the policy allows.
        package: The package.

    Raises:
        TransientError: AWS does not answer.
    """
    found = Collector()
    targets, _ = await accounts_and_targets(looks, origin, app, package, found)
    found.add(*(each for target in targets for each in target.obstacles))
    return FindingList(findings=fitting_findings(found.findings))

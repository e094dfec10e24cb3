"""Whether the model package group lets the worker and the targets' roles in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from activities.access.lookups import Denied, asked, not_looked_at
from activities.access.roles import Place, Worker
from activities.endpoints.served import Looks
from slipway.api import ModelPackage
from slipway.app.spec import SPEC_FILE, Model, group_name
from slipway.aws.clients import Aws, region_of
from slipway.aws.policies import could_allow, statement
from slipway.findings import Finding, Level
from slipway.policy.check import account_of

WHERE = f"{SPEC_FILE}: spec.model.packageGroup"
READ = "sagemaker:DescribeModelPackage"
OF_WORKER = (READ, "sagemaker:ListModelPackages", "sagemaker:UpdateModelPackage")
MAKE = "sagemaker:CreateModelPackage"
SERVE = (READ, "sagemaker:CreateModel")
"""What makes a model of a package: SageMaker asks the group's policy for both."""


async def check_group(
    looks: Looks, model: Model, worker: Worker, places: Sequence[Place], package: ModelPackage | None
) -> AsyncIterator[Finding]:
    """What the worker and the targets' roles may not do with the group, where it is another account's than theirs.

    Args:
        looks: The look that this one is a part of.
        model: The spec's model, which names the group.
        worker: Who the worker is.
        places: The targets' places whose roles can be assumed.
        package: The package to roll out; none before there is one.
    """
    group = model.package_group
    owner = account_of(group) if group.startswith("arn:") else worker.account
    newest = package.arn if package else ""
    if owner != worker.account:
        answer = await asked(_newest(looks.aws, group))
        if isinstance(answer, Denied):
            actions = (*OF_WORKER, MAKE) if model.from_step else OF_WORKER
            serves = SERVE if any(place.role_arn is None for place in places) else ()
            needed = statement_for(group, worker.principal, sorted({*actions, *serves}))
            yield _told(group, worker.principal, needed, answer)
            return
        newest = newest or answer
    for place in places:
        if place.account == owner:
            continue
        who = place.role_arn or worker.principal
        denied = await _by_package(looks, place, who, newest) if newest else None
        found = denied or await _by_policy(looks.aws, group, place, who, worker)
        if found:
            yield found


def statement_for(group: str, who: str, actions: Sequence[str]) -> str:
    """The statement of a group's policy that lets somebody in."""
    packages = group.replace(":model-package-group/", ":model-package/")
    return statement("SlipwayOfAnotherAccount", [who], actions, [group, f"{packages}/*"])


async def _newest(aws: Aws, group: str) -> str:
    """The ARN of the group's newest package; empty where it has none."""
    answer = await aws.call(
        f"listing the model packages of the group {group}",
        aws.sagemaker(region_of(group)).list_model_packages,
        ModelPackageGroupName=group,
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=1,
    )
    return next((found.get("ModelPackageArn", "") for found in answer["ModelPackageSummaryList"]), "")


async def _by_package(looks: Looks, place: Place, who: str, package: str) -> Finding | None:
    """Ask as the target's role for a package of the group."""
    answer = await asked(looks.package(package, place.role_arn))
    if not isinstance(answer, Denied):
        return None
    whole = package.rpartition("/")[0].replace(":model-package/", ":model-package-group/")
    return _told(whole, who, statement_for(whole, who, SERVE), answer)


async def _by_policy(aws: Aws, group: str, place: Place, who: str, worker: Worker) -> Finding | None:
    """Read the group's policy: there may be no package to ask for, and making a model of one would be an effect."""
    whole = group if group.startswith("arn:") else f"{_arn_begin(worker, place)}:model-package-group/{group}"
    needed = statement_for(whole, who, SERVE)
    question = f"whether {who} may make models of the packages of {whole}"
    if account_of(whole) != worker.account:
        return not_looked_at(question, WHERE, "only the group's own account is shown its policy", needed)
    read = aws.sagemaker(place.region).get_model_package_group_policy
    answer = await asked(aws.call(f"reading the policy of {whole}", read, ModelPackageGroupName=group_name(group)))
    if isinstance(answer, Denied):
        if "cannot find resource policy" in answer.said.lower():
            return _missing(whole, who, needed, "the group has no policy")
        return not_looked_at(question, WHERE, answer.said, needed)
    packages = f"{whole.replace(':model-package-group/', ':model-package/')}/1"
    try:
        denied = [action for action in SERVE if not could_allow(answer["ResourcePolicy"], who, action, packages)]
    except ValueError as error:
        return not_looked_at(question, WHERE, f"its policy cannot be read: {error}", needed)
    why = f"no statement of its policy allows {' and '.join(denied)} to it"
    return _missing(whole, who, needed, why) if denied else None


def _arn_begin(worker: Worker, place: Place) -> str:
    return f"arn:{worker.arn.split(':')[1]}:sagemaker:{place.region}:{worker.account}"


def _told(group: str, who: str, needed: str, answer: Denied) -> Finding:
    if answer.is_denial:
        return _missing(group, who, needed, answer.said)
    return not_looked_at(f"whether {who} may use {group}", WHERE, answer.said, needed)


def _missing(group: str, who: str, needed: str, why: str) -> Finding:
    return Finding(
        level=Level.refuse,
        what=f"{group} does not let {who} in",
        where=WHERE,
        why=why,
        remedy="add the statement to the group's policy (aws sagemaker put-model-package-group-policy), and see that the "
        "caller's own policy allows the same",
        statement=needed,
    )

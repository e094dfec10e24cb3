"""Whether the repositories let those of other accounts pull who have to: the task, and the endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from activities.access.lookups import Denied, asked, not_looked_at
from activities.access.roles import Place, Worker
from slipway.app.lint import App
from slipway.app.spec import SPEC_FILE
from slipway.aws.clients import Aws
from slipway.aws.policies import could_allow, statement
from slipway.findings import Finding, Level
from slipway.oci.reference import ImageReference
from slipway.policy.check import account_of

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import DescribeModelPackageOutputTypeDef

PULL = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
NO_POLICY = "RepositoryPolicyNotFoundException"
NO_REPOSITORY = "RepositoryNotFoundException"


async def check_pull(aws: Aws, app: App, worker: Worker) -> AsyncIterator[Finding]:
    """Whether the task may pull the pipeline image from the target repository.

    Args:
        aws: Where to find AWS.
        app: The application's files: the spec names the repository, and the task definition the role that pulls.
        worker: Who the worker is; the task runs in its account where no file says otherwise.
    """
    role = str(app.taskdef.get("executionRoleArn") or "")
    puller = role if role.startswith("arn:") else account_of(app.pipecd.ecs.cluster_arn) or worker.account
    finding = await _pull_finding(aws, app.spec.spec.image.target, puller, f"{SPEC_FILE}: spec.image.target")
    if finding:
        yield finding


async def check_pulls_of_package(
    aws: Aws, package: DescribeModelPackageOutputTypeDef, places: Sequence[Place]
) -> AsyncIterator[Finding]:
    """Whether the endpoints may pull the images of a package.

    Args:
        aws: Where to find AWS.
        package: The package.
        places: Where it is rolled out.
    """
    containers = package.get("InferenceSpecification", {}).get("Containers", [])
    pulls = {(container.get("Image", ""), place.reader): None for container in containers for place in places}
    for image, reader in pulls:
        finding = await _pull_finding(aws, image, reader, f"the container of {package['ModelPackageArn']}")
        if finding:
            yield finding


async def _pull_finding(aws: Aws, image: str, puller: str, where: str) -> Finding | None:
    """What keeps somebody of another account from a repository; nothing where it is in ECR's view the same account's.

    Args:
        aws: Where to find AWS.
        image: The image, or its repository.
        puller: A role's ARN, or an account's id.
        where: What names the image.
    """
    try:
        reference = ImageReference.parse(image)
    except ValueError:
        return None  # a marketplace's
    ecr = reference.ecr
    if ecr is None or ecr.account == (account_of(puller) or puller):
        return None
    repository = str(reference.without_reference)
    principal = puller if puller.startswith("arn:") else f"arn:aws:iam::{puller}:root"
    needed = statement("PullFromAnotherAccount", [principal], PULL)
    tried = f"reading the policy of the repository {repository}"
    read = aws.ecr(ecr.region).get_repository_policy
    answer = await asked(aws.call(tried, read, registryId=ecr.account, repositoryName=reference.repository))
    if isinstance(answer, Denied):
        if answer.code == NO_REPOSITORY:
            return None  # the stage that copies says so
        if answer.code == NO_POLICY:
            return _missing(repository, puller, where, "the repository has no policy", needed)
        return not_looked_at(f"whether {puller} may pull from {repository}", where, answer.said, needed)
    try:
        denied = [action for action in PULL if not could_allow(answer["policyText"], puller, action)]
    except ValueError as error:
        return not_looked_at(f"whether {puller} may pull from {repository}", where, f"its policy cannot be read: {error}", needed)
    why = f"no statement of its policy allows {' and '.join(denied)} to it"
    return _missing(repository, puller, where, why, needed) if denied else None


def _missing(repository: str, puller: str, where: str, why: str, needed: str) -> Finding:
    return Finding(
        level=Level.refuse,
        what=f"{puller} may not pull from {repository}",
        where=where,
        why=why,
        remedy="add the statement to the repository's policy (aws ecr set-repository-policy)",
        statement=needed,
    )

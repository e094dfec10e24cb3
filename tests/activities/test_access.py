"""What other accounts do not allow is found by asking, and comes with the statement that would allow it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess, build_image, fresh_account, layer_of, member, push_image
from slipway_sandbox.testing.iam import RoleMaker, allow, document, trusting

from activities.access.activities import AccessActivities
from activities.access.messages import CheckAccess
from activities.origin import Origin
from activities.repositories import Repositories
from slipway.api import ModelPackage, PromotionRequest
from slipway.aws.clients import Aws
from slipway.findings import Finding, Level

OWN = "waves: [{targets: [{endpoint: screening-prod}]}]"
REPOSITORY = "screening-model"


class Neighbours:
    """The worker's account, which has group, image and model, and another account with the endpoint."""

    def __init__(self, sandbox: SandboxProcess, account: str, deployment: Any, activities: AccessActivities, run: Any) -> None:
        self.sandbox, self.account, self.other = sandbox, account, fresh_account()
        self.deployment, self.activities, self.run = deployment, activities, run
        self.sagemaker, self.ecr, self.s3 = (sandbox.client(name, account) for name in ("sagemaker", "ecr", "s3"))
        self.group = self.sagemaker.create_model_package_group(ModelPackageGroupName="screening")["ModelPackageGroupArn"]
        self.files = {name: deployment.file(name) for name in ("promotion.yaml", "taskdef.yaml")}
        self.bucket = f"models-{account}"
        self.s3.create_bucket(Bucket=self.bucket)
        self.s3.put_object(Bucket=self.bucket, Key="runs/model.tar.gz", Body=b"")
        self.image = push_image(sandbox, account, REPOSITORY, "v1", build_image([layer_of(member("serve"))]))

    def role(self, trust: str | None = None) -> str:
        """A role of the other account that may do anything there, and that the worker may assume."""
        return RoleMaker(self.sandbox, self.other).create([allow("*")], trust or trusting(self.account))

    def package(self, key: str = "runs/model.tar.gz") -> ModelPackage:
        arn = self.sagemaker.create_model_package(
            ModelPackageGroupName="screening",
            InferenceSpecification={
                "Containers": [{"Image": self.image, "ModelDataUrl": f"s3://{self.bucket}/{key}"}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
        )["ModelPackageArn"]
        return ModelPackage(arn=arn, version=1, region="us-east-1")

    def let_in(self, finding: Finding) -> None:
        """Add the statement that a finding prints to the policy that it is about."""
        policy = document(json.loads(finding.statement))
        if ":model-package-group/" in finding.what:
            self.sagemaker.put_model_package_group_policy(ModelPackageGroupName="screening", ResourcePolicy=policy)
        elif ".dkr.ecr." in finding.what:
            name = finding.what.rpartition("/")[2].partition(":")[0]
            self.ecr.set_repository_policy(repositoryName=name, policyText=policy)
        else:
            self.s3.put_bucket_policy(Bucket=self.bucket, Policy=policy)

    async def look(self, targets: str, package: ModelPackage | None = None, **files: tuple[str, str]) -> tuple[Finding, ...]:
        """What is found for a spec with these targets, and files with a text replaced."""
        changed = {
            **self.files,
            "promotion.yaml": self.files["promotion.yaml"].replace(OWN, f"waves: [{{targets: [{targets}]}}]"),
        }
        for name, (old, new) in files.items():
            changed[f"{name}.yaml"] = changed[f"{name}.yaml"].replace(old, new)
        commit = self.deployment.push(changed)
        image = f"{self.account}.dkr.ecr.us-east-1.amazonaws.com/screening-ci@sha256:{'a' * 64}"
        origin = Origin(request=PromotionRequest(app=self.deployment.app, image=image), commit=commit)
        found = await self.run(self.activities.check_access, CheckAccess(origin=origin, package=package))
        return found.findings


@pytest.fixture
def neighbours(
    sandbox: SandboxProcess, account: str, deployment: Any, aws: Aws, repositories: Repositories, run: Any
) -> Neighbours:
    return Neighbours(sandbox, account, deployment, AccessActivities(aws, repositories), run)


def target(role: str) -> str:
    return f"{{endpoint: screening-prod, roleArn: '{role}'}}"


async def test_given_one_account_when_it_is_looked_at_then_nothing_is_found(neighbours: Neighbours) -> None:
    assert await neighbours.look("{endpoint: screening-prod}") == ()
    assert await neighbours.look("{endpoint: screening-prod}", neighbours.package()) == ()


async def test_given_a_role_that_trusts_somebody_else_when_it_is_looked_at_then_the_trust_that_is_missing_is_printed(
    neighbours: Neighbours,
) -> None:
    role = neighbours.role(trusting("444444444444"))
    [found] = await neighbours.look(target(role))
    assert (found.level, role in found.what) == (Level.refuse, True)
    assert "not authorized to perform: sts:AssumeRole" in found.why
    assert json.loads(found.statement)["Principal"]["AWS"] == f"arn:aws:iam::{neighbours.account}:root"


async def test_given_a_group_without_a_policy_when_a_target_is_in_another_account_then_the_statement_is_printed_and_suffices(
    neighbours: Neighbours,
) -> None:
    role = neighbours.role()
    [found] = await neighbours.look(target(role))
    assert (found.level, found.why) == (Level.refuse, "the group has no policy")
    neighbours.let_in(found)
    assert await neighbours.look(target(role)) == ()


async def test_given_a_group_that_lets_packages_be_read_alone_when_a_model_is_to_be_made_of_one_then_that_is_found(
    neighbours: Neighbours,
) -> None:
    role = neighbours.role()
    [found] = await neighbours.look(target(role))
    reading = json.loads(found.statement) | {"Action": ["sagemaker:DescribeModelPackage"]}
    policy = document(reading)
    neighbours.sagemaker.put_model_package_group_policy(ModelPackageGroupName="screening", ResourcePolicy=policy)
    [found] = await neighbours.look(target(role))
    assert found.why == "no statement of its policy allows sagemaker:CreateModel to it"


@pytest.mark.parametrize("key", ["runs/model.tar.gz", "runs/model#1?.tar.gz"])
async def test_given_a_package_when_another_account_is_to_serve_it_then_group_image_and_model_are_asked_for_and_can_be_allowed(
    neighbours: Neighbours, key: str
) -> None:
    neighbours.s3.put_object(Bucket=neighbours.bucket, Key=key, Body=b"")
    role, package = neighbours.role(), neighbours.package(key)
    found = await neighbours.look(target(role), package)
    assert [each.level for each in found] == [Level.refuse] * 3
    group, image, model = found
    assert "no resource-based policy allows the sagemaker:DescribeModelPackage action" in group.why
    assert f"{neighbours.other} may not pull from" in image.what
    assert f"{neighbours.other} may not read s3://{neighbours.bucket}/{key}" in model.what
    for each in found:
        neighbours.let_in(each)
    assert await neighbours.look(target(role), package) == ()


async def test_given_a_role_that_serves_when_the_repository_lets_another_one_pull_then_that_does_not_count(
    neighbours: Neighbours,
) -> None:
    role, package = neighbours.role(), neighbours.package()
    serving = f"arn:aws:iam::{neighbours.other}:role/serving"
    for each in await neighbours.look(f"{target(role)[:-1]}, executionRoleArn: '{serving}'}}", package):
        neighbours.let_in(each)
    assert await neighbours.look(f"{target(role)[:-1]}, executionRoleArn: '{serving}'}}", package) == ()
    found = await neighbours.look(f"{target(role)[:-1]}, executionRoleArn: '{serving}-2'}}", package)
    assert ["-2 may not" in each.what for each in found] == [True, True]


async def test_given_a_task_whose_role_is_in_another_account_when_it_is_to_pull_then_the_repositorys_policy_counts(
    neighbours: Neighbours,
) -> None:
    neighbours.ecr.create_repository(repositoryName="screening")
    role = f"arn:aws:iam::{neighbours.other}:role/task"
    elsewhere = (f"arn:aws:iam::{neighbours.account}:role/task", role)
    [found] = await neighbours.look("{endpoint: screening-prod}", taskdef=elsewhere)
    assert (found.level, found.why) == (Level.refuse, "the repository has no policy")
    neighbours.let_in(found)
    assert await neighbours.look("{endpoint: screening-prod}", taskdef=elsewhere) == ()


async def test_given_a_group_of_another_account_when_it_does_not_let_the_worker_in_then_the_statement_is_printed(
    neighbours: Neighbours,
) -> None:
    central = neighbours.sandbox.client("sagemaker", neighbours.other)
    group = central.create_model_package_group(ModelPackageGroupName="central")["ModelPackageGroupArn"]
    named = ("packageGroup: screening", f"packageGroup: '{group}'")
    [found] = await neighbours.look("{endpoint: screening-prod}", promotion=named)
    assert found.level is Level.refuse
    assert json.loads(found.statement)["Resource"] == [group, group.replace("-group/", "/") + "/*"]
    policy = document(json.loads(found.statement))
    central.put_model_package_group_policy(ModelPackageGroupName="central", ResourcePolicy=policy)
    [warning] = await neighbours.look("{endpoint: screening-prod}", promotion=named)
    assert (warning.level, warning.why) == (Level.warn, "only the group's own account is shown its policy")


@pytest.mark.parametrize(
    ("service", "operation"),
    [("ecr", "GetRepositoryPolicy"), ("s3", "GetBucketPolicy"), ("sagemaker", "GetModelPackageGroupPolicy")],
)
async def test_given_a_policy_that_the_worker_may_not_read_when_it_is_looked_at_then_that_is_a_warning(
    neighbours: Neighbours, service: str, operation: str
) -> None:
    role = neighbours.role()
    denied = {"code": "AccessDeniedException", "message": "not allowed", "account": neighbours.account, "count": 9}
    neighbours.sandbox.plant_fault(service, operation, "error", **denied)
    package = None if service == "sagemaker" else neighbours.package()
    found = await neighbours.look(target(role), package)
    [warning] = [each for each in found if each.level is Level.warn]
    assert warning.what.startswith("not checked: whether")
    assert "not allowed" in warning.why
    assert json.loads(warning.statement)["Effect"] == "Allow"

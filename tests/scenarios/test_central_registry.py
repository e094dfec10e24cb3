"""A model package group in an account of its own, which lets the team's account in."""

from __future__ import annotations

import json

import pytest
from slipway_sandbox.testing import fresh_account
from slipway_sandbox.testing.iam import document

from slipway.api import Outcome, StageName, StageState
from tests.support.scenario import Scenario
from tests.support.waiting import state_of, until

pytestmark = pytest.mark.timeout(240)


class Registry:
    """The central account, with the group that the team's files name by its ARN."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self.sagemaker = scenario.team.client("sagemaker", fresh_account())
        self.group = self.sagemaker.create_model_package_group(ModelPackageGroupName="central")["ModelPackageGroupArn"]
        scenario.given_its_file("promotion.yaml", "packageGroup: screening", f"packageGroup: '{self.group}'")
        named = "MODEL_PACKAGE_GROUP\n        value: "
        scenario.given_its_file("taskdef.yaml", f"{named}screening", f"{named}{self.group}")

    def let_in(self, printed: str) -> None:
        """Add the statement that was printed for the worker, and one for the team's pipeline."""
        team = f"arn:aws:iam::{self._scenario.team.ml_account}:root"
        actions = ["sagemaker:DescribeModelPackageGroup", "sagemaker:CreateModelPackage"]
        resources = [self.group, f"{self.group.replace('-group/', '/')}/*"]
        pipeline = {"Effect": "Allow", "Principal": {"AWS": team}, "Action": actions, "Resource": resources}
        policy = document(json.loads(printed), pipeline)
        self.sagemaker.put_model_package_group_policy(ModelPackageGroupName="central", ResourcePolicy=policy)


async def test_given_a_group_in_another_account_when_the_printed_statement_is_added_then_its_package_is_promoted(
    scenario: Scenario, good_image: str
) -> None:
    registry = Registry(scenario)
    await scenario.when_ci_starts(good_image)
    parked = await until(
        scenario.handle, lambda status: state_of(status, StageName.image) is StageState.parked, "the missing statement"
    )
    assert parked.waiting_for
    assert parked.waiting_for.failure
    assert (scenario.commits(), scenario.tasks()) == ([], [])
    [printed] = [line for line in parked.waiting_for.failure.answered.splitlines() if line.startswith("{")]
    registry.let_in(printed)
    await scenario.when_an_operator_says("retry")
    await scenario.when_ana_approves()
    status = await scenario.then_it_ends(Outcome.promoted)
    [package] = registry.sagemaker.list_model_packages(ModelPackageGroupName="central")["ModelPackageSummaryList"]
    assert (package["ModelPackageArn"], package["ModelApprovalStatus"]) == (status.package, "Approved")
    assert [served.package for served in status.endpoints] == [status.package]
    assert status.evidence_summary
    assert all(gate.passed for gate in status.evidence_summary.gates)

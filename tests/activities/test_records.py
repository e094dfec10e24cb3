"""What promotions leave on record at their targets and packages, on the local AWS; and what is read from it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from slipway_sandbox.testing.iam import RoleMaker, allow, deny

from activities.endpoints.messages import EndpointPlan
from activities.endpoints.served import SageMakerAccount
from activities.origin import Origin
from activities.records import AT_ONCE, FindFormerPackage, RecordActivities, RecordServed
from slipway.api import LedgerState, ModelPackage, PromotionRequest, Rollback
from slipway.app.spec import Target
from slipway.aws.clients import Aws
from slipway.errors import ChangedSinceApprovalError, NeedsPersonError, RefusedError
from slipway.served import KEPT, SERVED, HistoryRequest, Served, ServedTarget, records_in
from tests.activities.serving import Serving, until

ENDPOINT = Target(endpoint="screening-prod")


@pytest.fixture
def records(aws: Aws, serving: Serving) -> RecordActivities:
    return RecordActivities(aws, serving.repositories)


class Team:
    """Promotions of one app that are done, as their records say."""

    def __init__(self, serving: Serving, records: RecordActivities) -> None:
        self.serving, self.records = serving, records
        commit = serving.deployment.push({"note.txt": "1"})
        request = PromotionRequest(app=serving.deployment.app, image="")
        self.origin = Origin(request=request, commit=commit)

    async def record(self, package: ModelPackage, promotion: str = "screening-1", **changes: Any) -> None:
        asked = RecordServed(package=package, promotion_id=promotion, evidence="e" * 16, by=("ana:signed",), origin=self.origin)
        await self.serving.run(self.records.record_served, asked.model_copy(update=changes))

    async def former(self, version: int | None = None, targets: tuple[Target, ...] = (ENDPOINT,)) -> Any:
        asked = FindFormerPackage(group="screening", region="us-east-1", targets=targets, version=version, origin=self.origin)
        return await self.serving.run(self.records.find_former_package, asked)

    def going_back(self) -> Origin:
        request = self.origin.request.model_copy(update={"rollback": Rollback(reason="recall, fell (by 2 %)")})
        return self.origin.model_copy(update={"request": request})

    def metadata(self, package: ModelPackage) -> dict[str, str]:
        return self.serving.sagemaker.describe_model_package(ModelPackageName=package.arn).get("CustomerMetadataProperties", {})

    async def history(self) -> ServedTarget:
        found = await self.serving.run(self.records.read_history, HistoryRequest(app=self.serving.deployment.app))
        [target] = found.targets
        return target

    async def roll_out(self, name: str) -> EndpointPlan:
        plan = await self.serving.roll_out(self.serving.package(name))
        await self.serving.run(self.serving.activities.mark_endpoint, plan)
        await self.record(plan.package, f"screening-{name}")
        return plan


@pytest.fixture
def team(serving: Serving, records: RecordActivities) -> Team:
    return Team(serving, records)


def by_hand(serving: Serving, model: str) -> str:
    """Somebody makes a config and updates the endpoint to it, without Slipway."""
    name = "made-by-hand"
    variant = {"VariantName": "AllTraffic", "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    serving.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    serving.sagemaker.update_endpoint(EndpointName="screening-prod", EndpointConfigName=name)
    return name


async def until_served(serving: Serving, config: str) -> None:
    def is_served() -> bool:
        found = serving.sagemaker.describe_endpoint(EndpointName="screening-prod")
        return (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", config)

    await until(is_served, f"{config} to be served")


async def test_given_a_worker_killed_after_it_recorded_when_another_records_then_there_is_one_record(team: Team) -> None:
    package = team.serving.package("first")
    fault = team.serving.sandbox.plant_fault("sagemaker", "UpdateModelPackage", "hold-answer", account=team.serving.account)
    killed = asyncio.create_task(team.record(package))
    await until(lambda: team.serving.sandbox.struck(fault) > 0, "the call")
    killed.cancel()
    team.serving.sandbox.remove_fault(fault)
    await asyncio.gather(killed, return_exceptions=True)
    await team.record(package)
    [record] = records_in(package.arn, 1, team.metadata(package))
    assert (record.promotion, record.evidence, record.by) == ("screening-1", "e" * 16, ("ana:signed",))
    assert record.spec_commit == team.origin.commit
    assert team.serving.calls("UpdateModelPackage") == 1


async def test_given_a_package_that_served_often_when_it_is_recorded_then_the_oldest_record_goes(team: Team) -> None:
    package = team.serving.package("first")
    for number in range(KEPT):
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)
        old = Served(promotion=f"screening-{number}", at=at)
        team.serving.sagemaker.update_model_package(ModelPackageArn=package.arn, CustomerMetadataProperties={old.key: old.value})
    await team.record(package, "screening-new")
    kept = team.metadata(package)
    assert len([key for key in kept if key.startswith(SERVED)]) == KEPT
    assert f"{SERVED}screening-0" not in kept
    assert kept["author"] == "ana"


async def test_given_two_promotions_when_the_history_is_read_then_it_says_what_served_when_and_by_whom(team: Team) -> None:
    first = await team.serving.serve()
    await team.record(first.package, "screening-a")
    second = await team.roll_out("second")
    target = await team.history()
    assert (target.package, target.config, target.drift) == (second.package.arn, second.config, "")
    assert [(served.promotion, served.version) for served in target.served] == [("screening-second", 2), ("screening-a", 1)]
    assert target.at(target.served[-1].at - timedelta(seconds=1)) is None


async def test_given_a_record_for_other_targets_when_the_history_is_read_then_it_is_not_this_ones(team: Team) -> None:
    package = team.serving.package("first")
    spec = team.serving.deployment.file("promotion.yaml")
    other = team.serving.deployment.push({"promotion.yaml": spec.replace("screening-prod", "screening-other")})
    await team.record(package, origin=team.origin.model_copy(update={"commit": other}))
    team.serving.deployment.push({"promotion.yaml": spec})
    assert (await team.history()).served == ()


async def test_given_a_target_that_was_changed_by_hand_when_it_is_looked_at_then_it_is_drift_and_no_rollout_begins(
    team: Team,
) -> None:
    await team.serving.serve()
    second = await team.roll_out("second")
    config = by_hand(team.serving, second.model)
    await until_served(team.serving, config)
    assert (
        await team.history()
    ).drift == f"it serves {config}, which no promotion made, and the last promotion left {second.config} there"
    with pytest.raises(ChangedSinceApprovalError, match="which no promotion made"):
        await team.serving.preflight(team.serving.package("third"))


async def test_given_a_target_that_was_changed_by_hand_when_the_approvers_accept_it_then_the_rollout_begins(team: Team) -> None:
    await team.serving.serve()
    second = await team.roll_out("second")
    config = by_hand(team.serving, second.model)
    await until_served(team.serving, config)
    asked = team.serving.asked(team.serving.package("third")).model_copy(update={"adopted": config})
    assert (await team.serving.run(team.serving.activities.preflight, asked)).current_config == config


async def test_given_a_rollout_that_was_marked_when_it_is_restored_then_the_former_config_is_no_drift(team: Team) -> None:
    await team.serving.serve()
    second, third = await team.roll_out("second"), await team.roll_out("third")
    assert (await team.serving.restore(third, second.config)).state is LedgerState.undone
    assert (await team.history()).drift == ""


async def test_given_a_target_that_serves_something_else_when_it_is_marked_then_a_person_is_needed(team: Team) -> None:
    first = await team.serving.serve()
    await team.roll_out("second")
    with pytest.raises(NeedsPersonError, match="recording that screening-prod serves"):
        await team.serving.run(team.serving.activities.mark_endpoint, first)


@pytest.fixture
def in_flight(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many endpoints were looked at at the same time, with each look."""
    look, running, seen = SageMakerAccount.endpoint, set[str](), list[int]()

    async def endpoint(account: SageMakerAccount, name: str) -> Any:
        running.add(name)
        seen.append(len(running))
        try:
            return await look(account, name)
        finally:
            running.remove(name)

    monkeypatch.setattr(SageMakerAccount, "endpoint", endpoint)
    return seen


MANY = tuple(Target(endpoint=f"screening-{number}") for number in range(20))


async def test_given_many_targets_when_the_history_is_read_then_a_few_are_looked_at_at_once(
    team: Team, in_flight: list[int]
) -> None:
    targets = ", ".join(f"{{endpoint: {target.endpoint}}}" for target in MANY)
    spec = team.serving.deployment.file("promotion.yaml").replace("{endpoint: screening-prod}", targets)
    team.serving.deployment.push({"promotion.yaml": spec})
    found = await team.serving.run(team.records.read_history, HistoryRequest(app=team.serving.deployment.app))
    assert [target.endpoint for target in found.targets] == [target.endpoint for target in MANY]
    assert (len(in_flight), max(in_flight)) == (len(MANY), AT_ONCE)


async def test_given_many_targets_when_the_last_good_version_is_looked_for_then_a_few_are_looked_at_at_once(
    team: Team, in_flight: list[int]
) -> None:
    package = team.serving.package("first")
    assert (await team.former(targets=MANY)).arn == package.arn
    assert (len(in_flight), max(in_flight)) == (len(MANY), AT_ONCE)


async def test_given_three_versions_when_the_last_good_one_is_looked_for_then_it_is_the_one_that_served_before(
    team: Team,
) -> None:
    first = await team.serving.serve()
    await team.record(first.package, "screening-first")
    team.serving.package("never served")
    await team.roll_out("third")
    found = await team.former()
    assert found.arn == first.package.arn
    assert found.witness.startswith("served by screening-first since ")


async def test_given_a_version_that_a_rollback_left_when_the_last_good_one_is_looked_for_then_it_is_an_older_one(
    team: Team,
) -> None:
    first = await team.serving.serve()
    await team.record(first.package, "screening-first")
    second = await team.roll_out("second")
    third = await team.roll_out("third")
    await team.record(first.package, "screening-rollback", left=(second.package,), origin=team.going_back())
    assert (await team.former()).arn == first.package.arn
    assert third.package.version == 3
    [left] = [value for key, value in team.metadata(second.package).items() if key.startswith("slipway.left.")]
    assert left.endswith("reason=recall_ fell _by 2 __")


async def test_given_no_records_when_the_last_good_version_is_looked_for_then_it_is_the_newest_approved_one_and_that_is_said(
    team: Team,
) -> None:
    first = await team.serving.serve()
    rejected = team.serving.package("rejected", approval="Rejected")
    await team.serving.roll_out(team.serving.package("third"))
    found = await team.former()
    assert rejected.version == 2
    assert (found.arn, found.witness) == (
        first.package.arn,
        "no record says that it served; it is the newest approved version before",
    )


@pytest.mark.parametrize(
    ("version", "said"), [(1, "every target serves"), (2, "is Completed and Rejected"), (9, "does not exist")]
)
async def test_given_a_version_that_cannot_be_gone_back_to_when_it_is_named_then_it_is_refused(
    team: Team, version: int, said: str
) -> None:
    await team.serving.serve()
    team.serving.package("rejected", approval="Rejected")
    with pytest.raises((RefusedError, NeedsPersonError), match=said):
        await team.former(version)


async def test_given_nothing_older_when_the_last_good_version_is_looked_for_then_it_is_refused(team: Team) -> None:
    await team.serving.serve()
    with pytest.raises(RefusedError, match="no approved version is older"):
        await team.former()


async def test_given_a_role_that_may_not_see_tags_when_preflight_looks_then_it_warns_and_goes_on(team: Team) -> None:
    serving = team.serving
    await serving.serve()
    blind = deny("sagemaker:ListTags", f"arn:aws:sagemaker:us-east-1:{serving.account}:endpoint/*")
    role = RoleMaker(serving.sandbox, serving.account).create([allow("*"), blind])
    target = ENDPOINT.model_copy(update={"role_arn": role})
    asked = serving.asked(serving.package("second")).model_copy(update={"target": target})
    found = await serving.run(serving.activities.preflight, asked)
    assert any("changed by hand is not known" in warning for warning in found.warnings)

from __future__ import annotations

import dataclasses
import json
import re
from datetime import timedelta
from typing import Any

import pytest

from activities import champions
from activities.endpoints.deployment import config_of_way_back, deployment_config
from activities.endpoints.messages import (
    RolloutEnd,
    UpdateEndpoint,
)
from activities.endpoints.served import SageMakerAccount
from slipway.api import LedgerState
from slipway.app.reports import REPORT_LIMIT
from slipway.app.spec import Gate
from slipway.app.strategy import Rolling, Strategy
from slipway.aws.clients import Aws
from slipway.errors import NeedsPersonError, RefusedError, TransientError
from slipway.progress import EndpointProgress
from slipway.view import evidence_facts
from tests.activities.serving import ALARM, Serving, evidence_of, gather


async def test_given_no_endpoint_when_it_is_rolled_out_then_it_is_created_and_answers(serving: Serving) -> None:
    plan = await serving.serve()
    answer = await serving.smoke(plan)
    assert (answer.ok, answer.body) == (True, '{"model": "first"}')
    assert isinstance(serving.run.heartbeats[-1], EndpointProgress)


async def test_given_an_endpoint_when_it_is_updated_by_canary_then_the_new_package_is_served(serving: Serving) -> None:
    first = await serving.serve()
    package = serving.package("second")
    found = await serving.preflight(package)
    second = found.plan
    assert (second, found.current_config) == (serving.plan(package, first.config), first.config)
    await serving.update(second, first.config)
    verdict = await serving.follow(second)
    assert (verdict.end, verdict.config, verdict.package) == (RolloutEnd.served, second.config, second.package.arn)
    assert any(beat.pending == second.config for beat in serving.run.heartbeats)


async def test_given_a_rollout_when_each_step_is_repeated_then_each_effect_is_there_once(serving: Serving) -> None:
    plan = serving.plan(serving.package("first"))
    for _ in range(2):
        await serving.update(plan, None)
    await serving.follow(plan)
    second = serving.plan(serving.package("second"), plan.config)
    for _ in range(2):
        await serving.update(second, plan.config)
    await serving.follow(second)
    await serving.update(second, plan.config)
    made = {name: serving.calls(name) for name in ("CreateModel", "CreateEndpointConfig", "CreateEndpoint", "UpdateEndpoint")}
    assert made == {"CreateModel": 2, "CreateEndpointConfig": 2, "CreateEndpoint": 1, "UpdateEndpoint": 1}


@pytest.mark.parametrize("operation", ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"])
async def test_given_a_creation_whose_answer_is_lost_when_it_is_retried_then_it_is_there_once(
    serving: Serving, operation: str
) -> None:
    plan = serving.plan(serving.package("first"))
    serving.sandbox.plant_fault("sagemaker", operation, "lost-answer", account=serving.account)
    with pytest.raises(TransientError):
        await serving.update(plan, None)
    await serving.update(plan, None)
    assert (await serving.follow(plan)).end is RolloutEnd.served
    assert serving.calls(operation) == 1


async def test_given_an_update_whose_answer_is_lost_when_it_is_retried_then_it_is_made_once(serving: Serving) -> None:
    first = await serving.serve()
    second = serving.plan(serving.package("second"), first.config)
    serving.sandbox.plant_fault("sagemaker", "UpdateEndpoint", "lost-answer", account=serving.account)
    with pytest.raises(TransientError):
        await serving.update(second, first.config)
    await serving.update(second, first.config)
    assert (await serving.follow(second)).end is RolloutEnd.served
    assert serving.calls("UpdateEndpoint") == 1


async def test_given_an_update_that_rolled_back_while_the_worker_was_dead_when_it_is_retried_then_it_is_not_made_again(
    serving: Serving,
) -> None:
    first = await serving.serve()
    second = serving.plan(serving.package("second"), first.config)
    serving.fate("rollback")
    await serving.update(second, first.config)
    await serving.follow(second)
    again = UpdateEndpoint(plan=second, previous_config=first.config)
    await serving.run.again(serving.activities.update_endpoint, again)
    assert serving.calls("UpdateEndpoint") == 1


async def test_given_a_rollback_right_before_when_an_update_is_tried_again_after_a_throttle_then_it_is_made(
    serving: Serving,
) -> None:
    first = await serving.serve()
    second = serving.package("second")
    serving.fate("rollback")
    await serving.update(serving.plan(second, first.config), first.config)
    await serving.follow(serving.plan(second, first.config))
    found = await serving.preflight(second)
    request = UpdateEndpoint(plan=found.plan, previous_config=first.config, previous_modified=found.modified)
    await serving.run.again(serving.activities.update_endpoint, request)
    assert (await serving.follow(found.plan)).end is RolloutEnd.served


@pytest.mark.parametrize("reason", [None, "the new fleet did not answer"])
async def test_given_a_rollback_by_the_platform_when_it_is_followed_then_it_is_a_verdict_even_if_silent(
    serving: Serving, reason: str | None
) -> None:
    first = await serving.serve()
    second = serving.plan(serving.package("second"), first.config)
    serving.fate("rollback", reason)
    await serving.update(second, first.config)
    verdict = await serving.follow(second)
    assert (verdict.end, verdict.config) == (RolloutEnd.rolled_back, first.config)
    assert (reason or "no reason") in verdict.reason


async def test_given_an_alarm_during_the_canary_when_it_rings_then_the_verdict_names_it(serving: Serving) -> None:
    first = await serving.serve()
    second = serving.plan(serving.package("second"), first.config)
    await serving.update(second, first.config)
    serving.put_alarm("ALARM")
    verdict = await serving.follow(second)
    assert verdict.end is RolloutEnd.rolled_back
    assert ALARM in verdict.reason


async def test_given_a_rollback_that_failed_when_it_is_followed_then_a_person_is_needed(serving: Serving) -> None:
    first = await serving.serve()
    second = serving.plan(serving.package("second"), first.config)
    serving.fate("rollback-failed")
    await serving.update(second, first.config)
    with pytest.raises(NeedsPersonError, match="UpdateRollbackFailed") as caught:
        await serving.follow(second)
    assert "mix of two configs" in caught.value.report.remedy
    done = await serving.restore(second, first.config)
    assert done.state is LedgerState.needs_person
    assert "UpdateRollbackFailed" in done.note
    assert "mix of two configs" in done.note


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What looks at an endpoint show, one after another, in place of an update that is under way."""
    look, told = SageMakerAccount.endpoint, list[dict[str, Any]]()

    async def endpoint(account: SageMakerAccount, name: str) -> Any:
        found = await look(account, name)
        return told.pop(0) if told and found and found["EndpointStatus"] == "Updating" else found

    monkeypatch.setattr(SageMakerAccount, "endpoint", endpoint)
    return told


async def test_given_a_look_from_before_the_update_when_an_endpoint_goes_back_then_the_next_one_decides(
    told: list[dict[str, Any]], serving: Serving
) -> None:
    first = await serving.serve()
    second = await serving.roll_out(serving.package("second"))
    told.append(serving.sagemaker.describe_endpoint(EndpointName="screening-prod"))
    done = await serving.restore(second, first.config)
    assert (done.state, serving.served(), told) == (LedgerState.undone, first.config, [])


async def test_given_an_update_that_breaks_when_an_endpoint_goes_back_then_a_person_is_needed(
    told: list[dict[str, Any]], serving: Serving
) -> None:
    first = await serving.serve()
    second = await serving.roll_out(serving.package("second"))
    found = serving.sagemaker.describe_endpoint(EndpointName="screening-prod")
    broken = {"EndpointStatus": "UpdateRollbackFailed", "EndpointConfigName": first.config, "FailureReason": "no capacity"}
    told.append({**found, **broken})
    done = await serving.restore(second, first.config)
    assert done.state is LedgerState.needs_person
    assert "UpdateRollbackFailed: no capacity" in done.note


async def test_given_a_creation_that_failed_when_it_is_retried_then_it_is_created_again(serving: Serving) -> None:
    plan = serving.plan(serving.package("first"))
    serving.fate("capacity")
    await serving.update(plan, None)
    with pytest.raises(NeedsPersonError, match="InsufficientInstanceCapacity"):
        await serving.follow(plan)
    await serving.update(plan, None)
    assert (await serving.follow(plan)).end is RolloutEnd.served


async def test_given_a_model_that_answers_badly_when_it_is_asked_then_that_is_an_answer(serving: Serving) -> None:
    plan = await serving.serve("broken", status=500)
    answer = await serving.smoke(plan)
    assert not answer.ok
    assert "500" in answer.error


async def test_given_a_new_config_when_it_is_restored_twice_then_the_former_one_serves_by_one_update(serving: Serving) -> None:
    first = await serving.serve()
    second = serving.plan(serving.package("second"), first.config)
    await serving.update(second, first.config)
    await serving.follow(second)
    for _ in range(2):
        assert (await serving.restore(second, first.config)).state is LedgerState.undone
    assert serving.served() == first.config
    assert serving.calls("UpdateEndpoint") == 2


async def test_given_an_update_under_way_when_it_is_restored_then_the_former_config_serves_in_the_end(serving: Serving) -> None:
    first = await serving.serve()
    second = serving.plan(serving.package("second"), first.config)
    await serving.update(second, first.config)
    assert (await serving.restore(second, first.config)).state is LedgerState.undone
    assert serving.served() == first.config


async def test_given_an_endpoint_that_the_promotion_created_when_it_is_restored_then_it_is_deleted(serving: Serving) -> None:
    plan = await serving.serve()
    for _ in range(2):
        assert (await serving.restore(plan, None)).state is LedgerState.undone
    assert serving.sagemaker.list_endpoints()["Endpoints"] == []
    assert serving.calls("DeleteEndpoint") == 1


async def test_given_somebody_elses_config_when_it_is_restored_then_it_is_left_alone(serving: Serving) -> None:
    first = await serving.serve()
    other = serving.plan(serving.package("second"), first.config)
    assert (await serving.restore(other, "former")).state is LedgerState.kept
    assert serving.served() == first.config


async def test_given_somebody_elses_update_when_ours_begins_then_nothing_is_changed(serving: Serving) -> None:
    first = await serving.serve()
    package = serving.package("third")
    theirs, ours = serving.plan(serving.package("second"), first.config), serving.plan(package, first.config)
    await serving.update(theirs, first.config)
    with pytest.raises(NeedsPersonError, match="Updating"):
        await serving.preflight(package)
    with pytest.raises(NeedsPersonError, match="Updating"):
        await serving.update(ours, first.config)
    await serving.follow(theirs)
    with pytest.raises(NeedsPersonError, match="preflight found"):
        await serving.update(ours, first.config)
    assert serving.calls("UpdateEndpoint") == 1


async def test_given_an_alarm_that_is_missing_when_preflight_looks_then_it_is_named(serving: Serving) -> None:
    with pytest.raises(NeedsPersonError, match="no alarm none-such"):
        await serving.preflight(serving.package("first"), Strategy(alarms=(ALARM, "none-such")))


async def test_given_an_alarm_in_alarm_state_when_preflight_looks_then_nothing_begins(serving: Serving) -> None:
    serving.put_alarm("ALARM")
    with pytest.raises(NeedsPersonError, match="already in ALARM"):
        await serving.preflight(serving.package("first"))


async def test_given_a_package_that_is_not_approved_when_preflight_looks_then_it_says_so(serving: Serving) -> None:
    with pytest.raises(NeedsPersonError, match="PendingManualApproval"):
        await serving.preflight(serving.package("first", approval="PendingManualApproval"))


async def test_given_another_variant_name_when_preflight_looks_then_it_says_which(serving: Serving) -> None:
    await serving.serve()
    with pytest.raises(NeedsPersonError, match="its variants are AllTraffic"):
        await serving.preflight(serving.package("second"), name="blue")


async def test_given_a_package_of_another_region_when_preflight_looks_then_it_is_refused(serving: Serving) -> None:
    asked = serving.asked(serving.package("first")).model_copy(update={"region": "eu-west-1"})
    with pytest.raises(RefusedError, match="eu-west-1"):
        await serving.run(serving.activities.preflight, asked)


async def test_given_one_live_instance_when_preflight_looks_then_it_warns_that_the_canary_is_none(serving: Serving) -> None:
    first = serving.plan(serving.package("first"), instance_count=1)
    await serving.update(first, None)
    await serving.follow(first)
    found = await serving.preflight(serving.package("second"))
    assert any("all at once" in warning for warning in found.warnings)


IN_BATCHES = Strategy(rolling=Rolling(instances=1, wait=timedelta(minutes=5)), alarms=(ALARM,))


async def test_given_a_rolling_strategy_when_it_is_rolled_out_and_undone_then_both_go_in_batches(serving: Serving) -> None:
    first = await serving.serve()
    second = await serving.roll_out(serving.package("second"), IN_BATCHES)
    assert serving.deployment_config() == deployment_config(IN_BATCHES, 2)
    assert (await serving.restore(second, first.config)).state is LedgerState.undone
    assert serving.deployment_config() == config_of_way_back(IN_BATCHES, 2)
    assert serving.served() == first.config


async def test_given_an_alarm_during_a_batch_when_it_rings_then_the_former_model_serves_again(serving: Serving) -> None:
    first = await serving.serve()
    second = serving.plan(serving.package("second"), first.config, IN_BATCHES)
    await serving.update(second, first.config)
    serving.put_alarm("ALARM")
    verdict = await serving.follow(second)
    assert (verdict.end, verdict.config, ALARM in verdict.reason) == (RolloutEnd.rolled_back, first.config, True)


@pytest.mark.parametrize(
    ("rolling", "said"),
    [
        (Rolling(instances=2), "a batch is 2 instances of 2, and SageMaker takes 5 to 50 % of the fleet"),
        (Rolling(percent=5, wait=timedelta(minutes=30)), "its 20 batches wait for 10h, and the strategy's timeout is not longer"),
    ],
)
async def test_given_batches_that_sagemaker_refuses_when_preflight_looks_then_it_says_why(
    serving: Serving, rolling: Rolling, said: str
) -> None:
    await serving.serve()
    with pytest.raises(NeedsPersonError, match=re.escape(said)):
        await serving.preflight(serving.package("second"), Strategy(rolling=rolling))


async def test_given_a_champion_when_evidence_is_gathered_then_both_are_in_it_and_the_gates_compare(
    aws: Aws, serving: Serving
) -> None:
    accuracy = "binary_classification_metrics.accuracy.value"
    first = await serving.serve(accuracy=0.97)
    package = serving.package("second", accuracy=0.95)
    gates = (Gate(metric=accuracy, min=0.9), Gate(metric=accuracy, max_regression=0.01))
    evidence = await evidence_of(aws, serving, gather(serving, package, *gates))
    assert evidence.metrics == {accuracy: 0.95, "rows": 569}
    assert evidence.model_image == serving.image
    assert [champion.package for champion in evidence.champions] == [first.package.arn, None]
    assert [gate.passed for gate in evidence.gates] == [True, False]
    assert first.package.arn in evidence.rollback_plan


async def test_given_the_same_findings_when_evidence_is_gathered_again_then_the_hash_is_the_same(
    aws: Aws, serving: Serving
) -> None:
    request = gather(serving, serving.package("first"))
    one, same = await evidence_of(aws, serving, request), await evidence_of(aws, serving, request)
    other = await evidence_of(aws, serving, request.model_copy(update={"image": "another"}))
    assert one.hash == same.hash != other.hash
    assert len(one.hash) == 16


async def test_given_a_report_that_is_no_json_when_evidence_is_gathered_then_a_person_is_asked(
    aws: Aws, serving: Serving
) -> None:
    package = serving.package("first")
    serving.s3.put_object(Bucket=serving.bucket, Key="first.json", Body=b"nan")
    with pytest.raises(NeedsPersonError, match=r"first\.json"):
        await evidence_of(aws, serving, gather(serving, package, Gate(metric="accuracy", min=0.9)))


async def test_given_a_report_that_is_too_large_when_no_gate_needs_it_then_it_is_only_said(aws: Aws, serving: Serving) -> None:
    package = serving.package("first")
    serving.s3.put_object(Bucket=serving.bucket, Key="first.json", Body=b" " * (REPORT_LIMIT + 1))
    serving.sagemaker.update_model_package(ModelPackageArn=package.arn, CustomerMetadataProperties={"accuracy": "0.95"})
    evidence = await evidence_of(aws, serving, gather(serving, package, Gate(metric="accuracy", min=0.9)))
    assert [gate.passed for gate in evidence.gates] == [True]
    assert [(report.sha256, report.unread) for report in evidence.reports] == [("", "it has more than 4,194,304 bytes")]
    assert any("which no gate needs, could not be read" in fact for _, fact in evidence_facts(evidence))


ACCURACY = "binary_classification_metrics.accuracy.value"
NOT_WORSE = Gate(metric=ACCURACY, max_regression=0.01)


def report(serving: Serving, name: str, content: dict[str, Any]) -> None:
    serving.s3.put_object(Bucket=serving.bucket, Key=f"{name}.json", Body=json.dumps(content).encode())


async def test_given_a_thousand_other_numbers_when_evidence_is_gathered_then_gates_are_judged_on_the_whole_report(
    aws: Aws, serving: Serving
) -> None:
    others = {f"a{index:04}": index for index in range(1_000)}
    await serving.serve(accuracy=0.99)
    package = serving.package("second")
    report(serving, "first", others | {ACCURACY: 0.99})
    report(serving, "second", others | {ACCURACY: 0.5})
    evidence = await evidence_of(aws, serving, gather(serving, package, Gate(metric=ACCURACY, min=0.4), NOT_WORSE))
    assert [(gate.value, gate.champion, gate.passed) for gate in evidence.gates] == [(0.5, None, True), (0.5, 0.99, False)]
    assert (len(evidence.metrics), len(evidence.champions[0].metrics)) == (501, 251)


@pytest.mark.parametrize(
    ("written", "said"), [({"loss": 0.1}, "has no such metric"), ({ACCURACY: True}, "it is true, not a number")]
)
async def test_given_a_champion_whose_report_lacks_the_metric_when_a_gate_compares_then_it_cannot_be_read(
    aws: Aws, serving: Serving, written: dict[str, float], said: str
) -> None:
    first = await serving.serve()
    package = serving.package("second")
    report(serving, "first", written)
    [gate] = (await evidence_of(aws, serving, gather(serving, package, NOT_WORSE))).gates
    assert (gate.passed, gate.missed, gate.value) == (False, False, 0.95)
    assert f"the champion screening/{first.package.version} has no" in gate.problem
    assert said in gate.problem


async def test_given_a_challenger_whose_metric_has_another_name_when_it_is_judged_then_the_name_that_was_meant_is_told(
    aws: Aws, serving: Serving
) -> None:
    wrong = Gate(metric="binary_classification_metrics.accuracy", min=0.9)
    evidence = await evidence_of(aws, serving, gather(serving, serving.package("first"), wrong))
    assert [gate.problem for gate in evidence.gates] == [
        "the challenger has no number there: it is an object, not a number: it has value"
    ]


async def test_given_a_list_in_a_report_when_a_gate_names_an_item_then_it_is_judged_and_shown(aws: Aws, serving: Serving) -> None:
    package = serving.package("first")
    body = json.dumps({"classes": [{"name": "cat", "f1": 0.9}]}).encode()
    serving.s3.put_object(Bucket=serving.bucket, Key="first.json", Body=body)
    gates = (Gate(metric="classes[0].f1", min=0.9), Gate(metric="classes[?name=='cat'].f1 | [0]", min=0.95))
    evidence = await evidence_of(aws, serving, gather(serving, package, *gates))
    assert [gate.passed for gate in evidence.gates] == [True, False]
    assert evidence.metrics["classes[0].f1"] == 0.9


async def test_given_a_champion_whose_report_has_expired_when_no_gate_compares_then_it_is_only_said(
    aws: Aws, serving: Serving
) -> None:
    await serving.serve()
    package = serving.package("second")
    serving.s3.delete_object(Bucket=serving.bucket, Key="first.json")
    evidence = await evidence_of(aws, serving, gather(serving, package, Gate(metric=ACCURACY, min=0.9)))
    assert [gate.passed for gate in evidence.gates] == [True]
    assert "NoSuchKey" in evidence.champions[0].unmeasured


def test_given_the_reports_that_clarify_makes_when_a_package_names_them_then_all_are_read() -> None:
    bias = {"PreTrainingReport": {"S3Uri": "s3://b/pre"}, "PostTrainingReport": {"S3Uri": "s3://b/post"}}
    assert champions.report_uris({"Bias": bias}) == ["s3://b/pre", "s3://b/post"]


@pytest.mark.parametrize("uri", ["s3://reports", "https://reports.example.com/first.json"])
async def test_given_a_champion_whose_report_is_in_an_odd_place_when_no_gate_compares_then_it_is_only_said(
    aws: Aws, serving: Serving, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe_package = champions.describe_package

    async def described(aws: Aws, arn: str) -> Any:
        report = {"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": uri}}}
        return {**await describe_package(aws, arn), "ModelMetrics": report}

    await serving.serve()
    monkeypatch.setattr(champions, "describe_package", described)
    evidence = await evidence_of(aws, serving, gather(serving, serving.package("second"), Gate(metric=ACCURACY, min=0.9)))
    assert [gate.passed for gate in evidence.gates] == [True]
    assert "the champion cannot be measured" in evidence.champions[0].unmeasured


async def test_given_a_champion_whose_report_has_expired_when_a_gate_compares_then_it_does_as_the_spec_says(
    aws: Aws, serving: Serving
) -> None:
    await serving.serve()
    package = serving.package("second")
    serving.s3.delete_object(Bucket=serving.bucket, Key="first.json")
    lenient = NOT_WORSE.model_copy(update={"unmeasured_champion": "pass"})
    evidence = await evidence_of(aws, serving, gather(serving, package, NOT_WORSE, lenient))
    assert [(gate.passed, gate.missed) for gate in evidence.gates] == [(False, False), (True, False)]
    assert "NoSuchKey" in evidence.gates[0].problem
    assert "not compared (unmeasuredChampion: pass)" in evidence.gates[1].message


async def test_given_a_report_of_brackets_when_evidence_is_gathered_then_a_person_is_asked(aws: Aws, serving: Serving) -> None:
    package = serving.package("first")
    serving.s3.put_object(Bucket=serving.bucket, Key="first.json", Body=b"[" * 100_000)
    with pytest.raises(NeedsPersonError, match="nested too deeply; allowed: 32 levels"):
        await evidence_of(aws, serving, gather(serving, package, Gate(metric="accuracy", min=0.9)))


async def test_given_a_shutdown_when_an_endpoint_is_followed_then_another_worker_may_carry_on(serving: Serving) -> None:
    plan = serving.plan(serving.package("first"))
    await serving.update(plan, None)
    serving.run.environment.info = dataclasses.replace(serving.run.environment.info, attempt=2)
    serving.run.environment.worker_shutdown()
    with pytest.raises(TransientError, match="shuts down"):
        await serving.follow(plan)

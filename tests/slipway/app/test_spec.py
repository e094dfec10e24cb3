from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.app.durations import format_duration, parse_duration
from slipway.app.problems import FileError, SpecError
from slipway.app.rules import READING
from slipway.app.spec import ModelPromotion
from slipway.app.spec_reader import parse_spec
from slipway.app.strategy import Strategy
from slipway.app.yaml_source import load_document

SPEC = """apiVersion: slipway.dev/v1
kind: ModelPromotion
metadata: {name: screening}
spec:
  image:
    source: 111111111111.dkr.ecr.us-east-1.amazonaws.com/screening-ci
    target: 222222222222.dkr.ecr.us-east-1.amazonaws.com/screening
    scan: {failOn: CRITICAL, timeout: 10m}
  git:
    event: image-update
  task: {launcher: slipway, timeout: 30m}
  pipeline: {name: screening-training, timeout: 24h}
  model: {packageGroup: screening}
  gates:
    - {metric: accuracy.value, min: 0.9}
    - {metric: auc.value, maxRegression: 0.01}
  approval: {mode: manual, approvers: [ana, bo], quorum: 1, selfApproval: false, timeout: 72h}
  rollout:
    strategy: {canary: {percent: 25, wait: 10m}, bake: 30m, alarms: [screening-5xx]}
    variant: {instanceType: ml.m5.large, instanceCount: 4}
    smoke: {payload: smoke/request.json, contentType: application/json}
    waves:
      - targets: [{endpoint: screening-staging}]
      - soak: 1h
        targets: [{endpoint: screening-prod, region: us-east-1, roleArn: arn:aws:iam::222222222222:role/slipway-rollout}]
"""


def problems_of(text: str) -> list[str]:
    with pytest.raises(SpecError) as refused:
        parse_spec(text)
    return [str(problem) for problem in refused.value.problems]


def test_given_the_designs_spec_when_it_is_read_then_durations_and_lists_have_their_types() -> None:
    promotion = parse_spec(SPEC)
    assert promotion.spec.approval.timeout == timedelta(hours=72)
    assert [gate.metric for gate in promotion.spec.gates] == ["accuracy.value", "auc.value"]
    assert promotion.spec.rollout.waves[1].soak == timedelta(hours=1)


def test_given_a_path_that_is_written_the_long_way_when_the_spec_is_read_then_it_is_normalised() -> None:
    promotion = parse_spec(SPEC.replace("smoke/request.json", "./smoke//request.json"))
    assert promotion.spec.rollout.smoke
    assert promotion.spec.rollout.smoke.payload == "smoke/request.json"


def test_given_a_spec_when_it_crosses_temporal_as_json_then_it_is_the_same() -> None:
    promotion = parse_spec(SPEC)
    assert ModelPromotion.model_validate_json(promotion.model_dump_json()) == promotion


CANARY = "canary: {percent: 25, wait: 10m}, bake: 30m"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "min: 0.9",
            "minn: 0.9",
            "promotion.yaml:15:32: error: spec.gates[0].minn: unknown key 'minn'; did you mean 'min'? allowed: metric, min, ",
        ),
        (
            "failOn: CRITICAL",
            "fail_on: HIGH",
            "promotion.yaml:8:12: error: spec.image.scan.fail_on: unknown key 'fail_on'; did you mean 'failOn'?",
        ),
        (
            "failOn: CRITICAL",
            "failOn: SEVERE",
            "8:20: error: spec.image.scan.failOn: found \"SEVERE\"; allowed: 'CRITICAL', 'HIGH'",
        ),
        ("min: 0.9", "min: 9e-1x", 'spec.gates[0].min: found "9e-1x"; allowed: a valid number'),
        ("min: 0.9", "min: 1e999", 'spec.gates[0].min: found "1e999"; allowed: a finite number'),
        ("    waves:", "    keep: true\n    waves:", "spec.rollout.keep: found true; allowed: a valid integer, or 'all'"),
        (
            "    waves:",
            "    settings: {environment: {MY-VAR: x}}\n    waves:",
            "22:30: error: spec.rollout.settings.environment.MY-VAR: found the name 'MY-VAR'; allowed: a text that matches",
        ),
        (
            "    waves:",
            f"    settings: {{environment: {{A: {'x' * 1_025}}}}}\n    waves:",
            "allowed: String should have at most 1024 characters",
        ),
        (
            "    waves:",
            "    settings: {serverless: {memory: 1500, maxConcurrency: 5}}\n    waves:",
            "has a memory of 1500, which is none of 1024, 2048, 3072, 4096, 5120 and 6144",
        ),
        (
            "    waves:",
            "    settings: {serverless: {memory: 1024, maxConcurrency: 5, provisionedConcurrency: 6}}\n    waves:",
            "has a provisionedConcurrency above its maxConcurrency",
        ),
        ("quorum: 1", 'quorum: "1"', '17:58: error: spec.approval.quorum: found "1"; allowed: a valid integer'),
        ("quorum: 1", "quorum: true", "spec.approval.quorum: found true; allowed: a valid integer"),
        ("quorum: 1", "quorum: 3", "17:13: error: spec.approval: asks for 3 of 2 approvers: nobody could ever approve"),
        ("percent: 25", "percent: 70", "spec.rollout.strategy.canary.percent: found 70; allowed: less than or equal to 50"),
        ("percent: 25", "percent: 0", "spec.rollout.strategy.canary.percent: found 0; allowed: greater than or equal to 1"),
        ("maxRegression: 0.01", "maxRegression: -1", "maxRegression: found -1; allowed: greater than or equal to 0"),
        ("event: image-update", "event: ''", 'spec.git.event: found ""; allowed: String should have at least 1 character'),
        ("[ana, bo]", "[ana, Ana]", "17:13: error: spec.approval: names an approver twice"),
        ("[ana, bo]", '[ana, "\\uff21na"]', "17:13: error: spec.approval: names an approver twice"),
        ("[ana, bo]", '["\\e[2Jana", bo]', "must be one line without invisible characters"),
        ("[ana, bo]", '[ana, "ana\\u200b"]', "must be one line without invisible characters"),
        ("[ana, bo]", "['ana ', bo]", 'spec.approval.approvers[0]: found "ana "; allowed: a text that matches ^\\S(.*\\S)?$'),
        ("name: screening}", 'name: "screening\\n"}', "metadata.name: found"),
        (
            "alarms: [screening-5xx]",
            "alarms: [a, b, c, d, e, f, g, h, i, j, k]",
            "spec.rollout.strategy.alarms: found a list; allowed: at most 10, and there are 11",
        ),
        (
            "targets: [{endpoint: screening-staging}]",
            "targets: []",
            "targets: found a list; allowed: at least 1, and there are 0",
        ),
        ("wait: 10m", "wait: 2h", 'spec.rollout.strategy.canary.wait: found "2h"; allowed: from 0s to 1h'),
        ("wait: 10m", "wait: 10", "spec.rollout.strategy.canary.wait: found 10; allowed: 10 is not a duration"),
        ("bake: 30m", "linear: {percent: 10}", "19:15: error: spec.rollout.strategy: has both canary and linear"),
        ("bake: 30m", "rolling: {percent: 10}", "19:15: error: spec.rollout.strategy: has both canary and rolling"),
        (
            "canary: {percent: 25, wait: 10m}",
            "rolling: {percent: 25}",
            "has rolling and bake: a rolling update keeps no old fleet",
        ),
        (CANARY, "rolling: {wait: 1m}", "needs one of percent and instances"),
        (
            CANARY,
            "rolling: {percent: 5, instances: 1}",
            "needs one of percent and instances",
        ),
        (
            CANARY,
            "rolling: {percent: 4}",
            "rolling.percent: found 4; allowed: greater than or equal to 5",
        ),
        (
            CANARY,
            "rolling: {percent: 5, wait: 30m}",
            "together take as long as its timeout",
        ),
        (
            CANARY,
            "rolling: {percent: 5, rollbackPercent: 5, rollbackInstances: 1}",
            "has both rollbackPercent and rollbackInstances",
        ),
        ("payload: smoke/", "payload: ../", "allowed: a path inside the application's folder"),
        ("payload: smoke/", "payload: .git/", "allowed: a path inside the application's folder"),
        ("payload: smoke/request.json", 'payload: "a\\nb"', "allowed: a path inside the application's folder"),
        (
            "/screening-ci",
            "/screening-ci:v1",
            'spec.image.source: found "111111111111.dkr.ecr.us-east-1.amazonaws.com/screening-ci:v1"',
        ),
        (
            "source: 111111111111.dkr.ecr.us-east-1.amazonaws.com/screening-ci",
            "source: docker.io/python",
            "'docker.io/python' is a short form; write docker.io/library/python",
        ),
        (
            "source: 111111111111.dkr.ecr.us-east-1.amazonaws.com/screening-ci",
            "source: 1111.dkr.ecr.us-east-1.amazonaws.com/screening-ci",
            "looks like ECR and is not <12 digits>",
        ),
        (
            "  model: {packageGroup: screening}\n",
            "",
            "promotion.yaml:5:3: error: spec.model: is required and absent; add it: Stage 4.",
        ),
        (
            "{packageGroup: screening}",
            "{packageGroup: screening, fromStep: Train}",
            "spec.model: has one of fromStep and container",
        ),
        (
            "{packageGroup: screening}",
            "{packageGroup: screening, report: {step: Evaluate, output: evaluation, file: evaluation.json}}",
            "spec.model: has a report without fromStep",
        ),
        (
            "{packageGroup: screening}",
            "{packageGroup: 'arn:aws:sagemaker:eu-west-1:333333333333:model-package-group/screening'}",
            "outside us-east-1, the region of image.target",
        ),
        ("{packageGroup: screening}", "{packageGroup: 'arn:aws:s3:::bucket'}", "or write the ARN of a group in another account"),
        ("git:\n    event: image-update", "git: [x]", "9:8: error: spec.git: found a list; allowed: a mapping"),
        ("v1\nkind", "v2\nkind", "1:13: error: apiVersion: found \"slipway.dev/v2\"; allowed: 'slipway.dev/v1'"),
        (
            "screening-prod, region: us-east-1, roleArn: arn:aws:iam::222222222222:role/slipway-rollout",
            "screening-staging",
            "twice",
        ),
        ("quorum: 1", f"quorum: 0x{'f' * 5_000}", 'spec.approval.quorum: found "0xfff'),
        (", min: 0.9", "", "spec.gates[0]: needs at least one of min, max"),
        ("min: 0.9", "min: .nan", "spec.gates[0].min"),
        ("[ana, bo]", "[ana, 007]", 'spec.approval.approvers[1]: found "007" without quotes, which YAML reads as no text'),
        ("accuracy.value", '"classes[*].f1"', "allowed: a path to one number, and has a part that is not taken (projection)"),
        (
            "kind: ModelPromotion",
            "kind: ModelPromotion\nkind: x",
            "promotion.yaml:3:1: error: kind: the key 'kind' is there twice; line 2 has it first",
        ),
        ("kind: ModelPromotion", "kind: [", "not valid YAML"),
        ("kind: ModelPromotion", "kind: !!python/object:os.system x", "not plain data"),
        ("kind: ModelPromotion", "kind: &a [*a]", "contains itself"),
        (SPEC, "", "promotion.yaml:1:1: error: found nothing; allowed: "),
    ],
)
def test_given_a_mistake_when_the_spec_is_read_then_its_place_and_what_is_allowed_are_told(old: str, new: str, said: str) -> None:
    assert old in SPEC
    told = problems_of(SPEC.replace(old, new))
    assert len(told) == 1 or "fail_on" in new
    assert said in told[0]


def test_given_a_spec_without_content_when_it_is_read_then_a_mapping_is_asked_for() -> None:
    head, _, _ = SPEC.partition("spec:\n")
    [said] = problems_of(f"{head}spec:\n")
    assert said.endswith("spec: found nothing; allowed: a mapping of keys and values")


@pytest.mark.parametrize("written", ["9e-1", "9E-1", "90e-2", "+9e-01"])
def test_given_a_number_with_an_exponent_when_the_spec_is_read_then_it_is_that_number(written: str) -> None:
    assert parse_spec(SPEC.replace("min: 0.9", f"min: {written}")).spec.gates[0].min == 0.9


def test_given_several_mistakes_when_the_spec_is_read_then_all_are_listed_in_the_order_of_the_text() -> None:
    text = SPEC.replace("quorum: 1", "quorum: 0").replace("min: 0.9", "min: high").replace("name: screening}", "name: Screening}")
    assert [told.split(":")[1] for told in problems_of(text)] == ["3", "15", "17"]


def test_given_linear_steps_that_outlast_the_timeout_when_the_strategy_is_made_then_it_is_refused() -> None:
    with pytest.raises(ValueError, match="as long as its timeout"):
        Strategy.model_validate({"linear": {"percent": 10, "wait": "1h"}, "timeout": "8h"}, context=READING)


def test_given_an_alias_bomb_when_it_is_read_then_it_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 9)]
    with pytest.raises(FileError, match="too large"):
        load_document("\n".join(lines), "f")


def test_given_a_merge_key_when_it_is_read_then_own_keys_win() -> None:
    assert load_document("base: &b {x: 1, y: 2}\nc: {<<: *b, x: 3}\n", "f").data["c"] == {"x": 3, "y": 2}


@given(st.text(max_size=200))
def test_given_any_text_when_it_is_read_as_a_spec_then_it_is_refused_with_its_problems(text: str) -> None:
    with pytest.raises(SpecError):
        parse_spec(text)


@given(st.integers(0, 999_999), st.sampled_from("smhd"))
def test_given_any_duration_when_it_is_written_and_read_then_it_is_the_same(number: int, unit: str) -> None:
    duration = parse_duration(f"{number}{unit}")
    assert parse_duration(format_duration(duration)) == duration or duration > timedelta(days=999_999)


@pytest.mark.parametrize("text", ["", "10", "m", "1.5h", "-1s", "10 m", "1h30m", "10M", "٣s"])
def test_given_a_text_that_is_no_duration_when_it_is_read_then_it_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)

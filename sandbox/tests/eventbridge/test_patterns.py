"""Which events a pattern matches, by EventBridge's User Guide."""

import json
from typing import Any

import pytest
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.eventbridge import patterns, shaping

EVENT = {
    "source": "aws.ecs",
    "account": "111111111111",
    "resources": ["arn:a", "arn:b"],
    "detail": {
        "lastStatus": "STOPPED",
        "exit": 0,
        "ratio": 0.5,
        "none": None,
        "flag": True,
        "empty": "",
        "ip": "10.0.0.7",
        "path": "data/x/y.csv",
        "containers": [{"name": "a", "exitCode": 0}, {"name": "b", "exitCode": 1}],
    },
}


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ({"source": ["aws.ecs"]}, True),
        ({"source": ["aws.ecr", "aws.ecs"]}, True),
        ({"source": ["aws.ecr"]}, False),
        ({"resources": ["arn:b"]}, True),
        ({"detail": {"lastStatus": ["STOPPED"], "exit": [1]}}, False),
        ({"detail": {"exit": [0]}}, True),
        ({"detail": {"flag": [1]}}, False),
        ({"detail": {"flag": [True]}}, True),
        ({"detail": {"none": [None]}}, True),
        ({"detail": {"empty": [""]}}, True),
        ({"detail": {"lastStatus": [{"prefix": "STO"}]}}, True),
        ({"detail": {"lastStatus": [{"prefix": {"equals-ignore-case": "sto"}}]}}, True),
        ({"detail": {"lastStatus": [{"suffix": "PED"}]}}, True),
        ({"detail": {"lastStatus": [{"equals-ignore-case": "stopped"}]}}, True),
        ({"detail": {"path": [{"wildcard": "data/*/*.csv"}]}}, True),
        ({"detail": {"path": [{"wildcard": "data/\\*/*.csv"}]}}, False),
        ({"detail": {"lastStatus": [{"anything-but": "RUNNING"}]}}, True),
        ({"detail": {"lastStatus": [{"anything-but": ["RUNNING", "STOPPED"]}]}}, False),
        ({"detail": {"lastStatus": [{"anything-but": {"prefix": "STO"}}]}}, False),
        ({"detail": {"lastStatus": [{"anything-but": {"suffix": ["ING", "X"]}}]}}, True),
        ({"detail": {"absent": [{"anything-but": "x"}]}}, False),
        ({"detail": {"ratio": [{"numeric": [">", 0, "<=", 0.5]}]}}, True),
        ({"detail": {"ratio": [{"numeric": ["=", 1]}]}}, False),
        ({"detail": {"flag": [{"numeric": ["=", 1]}]}}, False),
        ({"detail": {"ip": [{"cidr": "10.0.0.0/24"}]}}, True),
        ({"detail": {"absent": [{"exists": False}]}}, True),
        ({"detail": {"lastStatus": [{"exists": False}]}}, False),
        ({"detail": {"lastStatus": [{"exists": True}]}}, True),
        ({"other": {"deep": [{"exists": False}]}}, True),
        ({"detail": {"containers": {"name": ["b"], "exitCode": [1]}}}, True),
        ({"detail": {"containers": {"name": ["a"], "exitCode": [1]}}}, False),
        ({"detail": {"$or": [{"lastStatus": ["RUNNING"]}, {"exit": [{"numeric": ["<", 1]}]}]}}, True),
        ({"$or": [{"source": ["aws.ecr"]}, {"account": ["2"]}]}, False),
    ],
    ids=json.dumps,
)
def test_given_a_pattern_when_an_event_comes_then_it_matches_as_on_aws(pattern: dict[str, Any], matched: bool) -> None:
    assert patterns.matches(patterns.parse(json.dumps(pattern)), EVENT) is matched


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"source": "aws.ecs"}', '"source" must be an object or an array'),
        ('{"source": []}', "Empty arrays are not allowed"),
        ('{"source": [{"glob": "x"}]}', "Unrecognized match type glob"),
        ('{"source": [{"exists": 1}]}', "exists match pattern must be either true or false"),
        ('{"a": [{"numeric": [">"]}]}', "numeric"),
        ('{"a": [{"prefix": 1}]}', "prefix match pattern must be a string"),
        ("[]", "Filter is not an object"),
        ("{", "Not a valid JSON"),
    ],
)
def test_given_a_pattern_that_makes_no_sense_when_it_is_read_then_the_reason_is_told(text: str, reason: str) -> None:
    with pytest.raises(AwsError) as caught:
        patterns.parse(text)

    assert caught.value.code == "InvalidEventPatternException"
    assert caught.value.message.startswith("Event pattern is not valid. Reason: ")
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ({"Input": '{"fixed": 1}'}, '{"fixed": 1}'),
        ({"InputPath": "$.detail.containers[1].name"}, '"b"'),
        ({"InputPath": "$.detail.absent"}, "null"),
        (
            {"InputTransformer": {"InputPathsMap": {"s": "$.detail.lastStatus"}, "InputTemplate": '"It is <s>."'}},
            '"It is STOPPED."',
        ),
        (
            {"InputTransformer": {"InputPathsMap": {"s": "$.detail.lastStatus"}, "InputTemplate": '{"is": <s>, "text": "<s>"}'}},
            '{"is": "STOPPED", "text": "STOPPED"}',
        ),
        (
            {"InputTransformer": {"InputPathsMap": {"c": "$.detail.containers[0]"}, "InputTemplate": '{"c": <c>}'}},
            '{"c": {"name": "a", "exitCode": 0}}',
        ),
        ({"InputTransformer": {"InputTemplate": '{"rule": "<aws.events.rule-name>"}'}}, '{"rule": "r"}'),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_given_a_target_that_wants_a_part_when_an_event_comes_then_it_gets_that(target: dict[str, Any], body: str) -> None:
    assert shaping.body_of(target, EVENT, {"aws.events.rule-name": "r"}) == body

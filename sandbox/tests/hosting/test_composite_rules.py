"""What the rules of composite alarms come to."""

import pytest
from slipway_sandbox.sagemaker.hosting.composite_rules import UnknownRuleError, holds

STATES = {"errors": "ALARM", "latency": "OK", "new": "INSUFFICIENT_DATA"}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("TRUE", True),
        ('ALARM("errors")', True),
        ("ALARM(errors) AND OK('latency')", True),
        ("ALARM(latency) OR INSUFFICIENT_DATA(new)", True),
        ("ALARM(latency) OR ALARM(errors) AND FALSE", False),
        ("(ALARM(latency) OR ALARM(errors)) AND NOT FALSE", True),
        ('NOT ALARM("errors")', False),
        ("NOT NOT ALARM(errors)", True),
        ("ALARM(arn:aws:cloudwatch:us-east-1:111111111111:alarm:errors)", True),
        ("OK(nobody) OR ALARM(nobody)", False),
    ],
)
def test_given_a_rule_when_it_is_judged_then_the_alarms_states_decide(rule: str, expected: bool) -> None:
    assert holds(rule, STATES.get) is expected


@pytest.mark.parametrize(
    "rule", ["", "ALARM", "ALARM()", "ALARM(errors", "(TRUE", "TRUE FALSE", "MAYBE(errors)", "TRUE AND", "AND"]
)
def test_given_a_rule_that_is_none_when_it_is_judged_then_it_says_so(rule: str) -> None:
    with pytest.raises(UnknownRuleError):
        holds(rule, STATES.get)

"""Patterns, and how long they may take."""

from __future__ import annotations

import re

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from slipway_sandbox.protocol.patterns import expression, literally
from slipway_sandbox.testing import SandboxProcess

FILTER = "111111111111.dkr.ecr.us-east-1.amazonaws.com/team/screening:1"


@pytest.mark.timeout(20)
def test_given_a_filter_that_would_take_years_to_refuse_when_ecr_reads_it_then_it_is_refused(
    sandbox: SandboxProcess, account: str
) -> None:
    rules = [{"scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": [{"filter": FILTER, "filterType": "WILDCARD"}]}]

    with pytest.raises(ClientError, match="InvalidParameterException"):
        sandbox.client("ecr", account).put_registry_scanning_configuration(scanType="BASIC", rules=rules)


@pytest.mark.timeout(20)
def test_given_many_wildcards_when_a_long_text_almost_fits_then_it_is_told_at_once() -> None:
    assert expression(".*a" * 30 + "b").fullmatch("a" * 5000) is None


@given(st.text())
def test_given_a_text_when_it_is_taken_literally_then_it_alone_fits(text: str) -> None:
    assert expression(literally(text)).fullmatch(text)
    assert expression(literally(text)).fullmatch(f"{text}x") is None


@pytest.mark.parametrize(("pattern", "text"), [("(?!aws).+", "awesome"), (".{0,4096}", "x" * 4096)], ids=["lookahead", "count"])
def test_given_what_re2_cannot_read_when_it_is_asked_then_python_answers(pattern: str, text: str) -> None:
    assert isinstance(expression(pattern), re.Pattern)
    assert expression(pattern).fullmatch(text)


def test_given_what_nobody_can_read_when_it_is_compiled_then_that_is_said() -> None:
    with pytest.raises(ValueError, match="not a regular expression"):
        expression("(")

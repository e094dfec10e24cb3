"""What is JSON, and what only looks like it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slipway_sandbox.protocol.documents import DEEPEST, parsed
from slipway_sandbox.testing import SandboxProcess

whole: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(whole, st.booleans())
def test_given_a_value_when_its_json_is_read_then_it_is_that_value(value: object, ascii_only: bool) -> None:
    assert parsed(json.dumps(value, ensure_ascii=ascii_only)) == value


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        "NaN",
        "[-Infinity]",
        "1e999",
        r'"\ud800"',
        "[" * (DEEPEST + 1) + "1" + "]" * (DEEPEST + 1),
        '{"a":' * 100_000,
        b"\xff",
    ],
    ids=["nothing", "half", "NaN", "infinite", "too large", "half a character", "too deep", "far too deep", "no UTF-8"],
)
def test_given_what_is_no_json_when_it_is_read_then_it_is_refused(document: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (each caller has a message of its own)
        parsed(document)


@given(st.text(alphabet='[]{}"\\'))
def test_given_brackets_in_a_text_when_it_is_read_then_they_do_not_count(text: str) -> None:
    assert parsed(json.dumps([text * DEEPEST])) == [text * DEEPEST]


def nested(depth: int, innermost: str) -> str:
    return '{"a":' * depth + innermost + "}" * depth


def test_given_the_deepest_nesting_when_a_pattern_is_matched_then_it_is_walked_through(
    sandbox: SandboxProcess, account: str
) -> None:
    depth = DEEPEST - 2  # the list in the pattern, and the event's own object, are levels, too
    members = dict.fromkeys(("id", "account", "source", "region", "detail-type"), "x")
    event = json.dumps({**members, "time": "2030-01-01T00:00:00Z", "resources": []})[:-1] + f', "detail": {nested(depth, "1")}}}'

    answer = sandbox.client("events", account).test_event_pattern(
        EventPattern=f'{{"detail": {nested(depth, "[1]")}}}', Event=event
    )

    assert answer["Result"] is True

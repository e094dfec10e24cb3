"""What changes, field by field: entries by their names, nothing that AWS fills in, and no value that may be a secret."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.differences import FIELDS_LIMIT, changes_between

CONTAINER: dict[str, Any] = {"name": "app", "image": "a", "cpu": 0, "essential": True, "mountPoints": [], "portMappings": []}


CASES: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({"a": 1}, {"a": 1.0}, []),
    ({"a": 1, "b": {"c": "x"}}, {"a": 2, "b": {"c": "y"}}, ["a: 1 → 2", "b.c: x → y"]),
    ({"a": "x"}, {}, ["a: x → (none)"]),
    ({}, {"a": True, "b": ["x", "y"], "c": []}, ["a: (none) → true", "b: (none) → x, y"]),
    ({"containers": [CONTAINER]}, {"containers": [{"name": "app", "image": "a"}]}, []),
    (
        {"c": [{"name": "a", "v": 1}, {"name": "b", "v": 2}]},
        {"c": [{"name": "b", "v": 3}, {"name": "a", "v": 1}]},
        ["c[b].v: 2 → 3"],
    ),
    ({"c": [{"v": 1}]}, {"c": [{"v": 1}, {"v": 2}]}, ["c[1].v: (none) → 2"]),
    ({"a": "x\ny"}, {"a": "\x1b[31mz"}, ["a: x y → �[31mz"]),
    ({"p": [{"containerPort": 80, "protocol": "tcp", "hostPort": 0}]}, {"p": [{"containerPort": 80}]}, []),
]


@pytest.mark.parametrize(("live", "after", "lines"), CASES)
def test_given_what_is_live_when_something_else_is_asked_for_then_each_field_that_differs_is_told(
    live: dict[str, Any], after: dict[str, Any], lines: list[str]
) -> None:
    assert [change.line for change in changes_between(live, after)] == lines


@pytest.mark.parametrize(
    ("live", "after"),
    [
        ({"Environment": {"TOKEN": "old"}}, {"Environment": {"TOKEN": "new"}}),
        ({"environment": [{"name": "TOKEN", "value": "old"}]}, {"environment": [{"name": "TOKEN", "value": "new"}]}),
    ],
)
def test_given_environments_when_a_value_changes_then_its_name_is_told_and_no_value(
    live: dict[str, Any], after: dict[str, Any]
) -> None:
    [change] = changes_between(live, after)
    assert "TOKEN" in change.field
    assert (change.live, change.after) == ("(not shown)", "(not shown)")


def test_given_more_fields_than_are_shown_when_they_differ_then_the_rest_is_counted() -> None:
    found = changes_between({}, {str(number): "x" * 1_000 for number in range(FIELDS_LIMIT + 5)})
    assert (len(found), found[-1].field) == (FIELDS_LIMIT + 1, "and 5 fields more")
    assert max(len(change.after) for change in found) <= 310

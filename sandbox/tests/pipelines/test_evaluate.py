"""Expressions, paths and conditions, without a sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slipway_sandbox.sagemaker.pipelines.conditions import holds
from slipway_sandbox.sagemaker.pipelines.evaluate import EvaluationError, evaluate, references
from slipway_sandbox.sagemaker.pipelines.paths import PathError, follow, parse_path

from sandbox.testkit.contract import behaviour

OUTPUTS = {"ProcessingOutputConfig": {"Outputs": [{"OutputName": "test", "S3Output": {"S3Uri": "s3://b/test"}}]}}
scalars = st.text() | st.integers() | st.booleans() | st.none()
names = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(names.map("x".__add__), inner))


class Told:
    """A context that has what a test says."""

    def parameter(self, name: str) -> Any:
        """A number and a text."""
        return {"Threshold": 0.75, "Uri": "s3://b"}[name]

    def variable(self, name: str) -> str:
        """The variable's own name."""
        return f"<{name}>"

    def properties(self, step: str) -> Mapping[str, Any]:
        """One step's outputs."""
        return {"Prepare": OUTPUTS}[step]

    def property_file(self, step: str, name: str) -> Any:
        """A file that says where it is from."""
        return {"from": [step, name], "a.b": {"c": 1}}

    def document(self, uri: str) -> Any:
        """A document that says where it is from."""
        return {"uri": uri}


def shown(value: object) -> Any:
    """What a value comes to."""
    return evaluate(value, Told())


@given(values)
def test_given_a_value_without_expressions_when_evaluated_then_it_stays_as_it_is(value: Any) -> None:
    assert shown(value) == value
    assert list(references(value)) == []


@given(st.lists(st.text() | st.integers()), st.text())
def test_given_any_texts_and_numbers_when_joined_then_they_are_written_one_after_the_other(parts: list[Any], on: str) -> None:
    assert shown({"Std:Join": {"On": on, "Values": parts}}) == on.join(map(str, parts))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ({"Get": "Parameters.Threshold"}, 0.75),
        ({"Get": "Execution.PipelineExecutionId"}, "<PipelineExecutionId>"),
        ({"Get": "Steps.Prepare.ProcessingOutputConfig.Outputs['test'].S3Output.S3Uri"}, "s3://b/test"),
        ({"Get": "Steps.Prepare.ProcessingOutputConfig.Outputs[0].OutputName"}, "test"),
        ({"Std:Join": {"On": "/", "Values": [{"Get": "Parameters.Uri"}, "x", 1, True]}}, "s3://b/x/1/true"),
        ({"Std:JsonGet": {"PropertyFile": {"Get": "Steps.E.PropertyFiles.F"}, "Path": "from[1]"}}, "F"),
        ({"Std:JsonGet": {"PropertyFile": {"Get": "Steps.E.PropertyFiles.F"}, "Path": "$['a.b'].c"}}, 1),
        ({"Std:JsonGet": {"S3Uri": {"Std:Join": {"On": "/", "Values": ["s3:/", "k"]}}, "Path": "uri"}}, "s3://k"),
        ([{"deep": {"Get": "Parameters.Threshold"}}], [{"deep": 0.75}]),
    ],
)
def test_given_an_expression_when_evaluated_then_its_value_takes_its_place(expression: object, value: object) -> None:
    assert shown(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        {"Get": "Steps.Prepare.Nothing"},
        {"Get": "Elsewhere.X"},
        {"Std:Join": {"On": "", "Values": [{"Get": "Steps.Prepare.ProcessingOutputConfig"}]}},
        {"Std:Join": {"On": "", "Values": "text"}},
        {"Std:JsonGet": {"Path": "a"}},
        {"Std:JsonGet": {"S3Uri": "s3://b/k", "Path": "uri["}},
    ],
)
def test_given_an_expression_without_a_value_when_evaluated_then_it_says_so(expression: object) -> None:
    with pytest.raises((EvaluationError, PathError)):
        shown(expression)


@given(st.lists(names | st.integers(0, 3), max_size=5))
def test_given_any_path_when_written_in_brackets_then_it_is_read_back_and_followed(path: list[str | int]) -> None:
    document: Any = "found"
    for part in reversed(path):
        document = [None] * part + [document] if isinstance(part, int) else {part: document}
    text = "$" + "".join(f"[{part}]" if isinstance(part, int) else f"['{part}']" for part in path)
    assert follow(document, parse_path(text), text) == "found"


@behaviour(
    "In a pipeline's definition (2020-12-01)",
    "expressions",
    like="`Get` of parameters, steps' properties and execution variables, `Std:Join`, `Std:JsonGet` of "
    "property files and S3 URIs, anywhere",
    differs="JSON paths of members and indices only",
)
def test_given_expressions_within_expressions_when_their_references_are_asked_for_then_all_come() -> None:
    inner = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.E.PropertyFiles.F"}, "Path": "x"}}
    assert list(references([{"a": {"Std:Join": {"On": "", "Values": [inner, {"Get": "Parameters.P"}]}}}])) == [
        "Steps.E.PropertyFiles.F",
        "Parameters.P",
    ]


def compare(kind: str, left: object, right: object) -> dict[str, Any]:
    """A comparison."""
    return {"Type": kind, "LeftValue": left, "RightValue": right}


@given(st.integers(), st.integers())
def test_given_two_numbers_when_compared_then_every_operator_says_what_it_says(left: int, right: int) -> None:
    said = {kind: holds(compare(kind, left, right)) for kind in ("GreaterThan", "GreaterThanOrEqualTo", "LessThan", "Equals")}
    assert said == {
        "GreaterThan": left > right,
        "GreaterThanOrEqualTo": left >= right,
        "LessThan": left < right,
        "Equals": left == right,
    }
    assert holds(compare("LessThanOrEqualTo", left, right)) is (left <= right)


@given(st.lists(st.booleans(), min_size=1))
def test_given_conditions_when_combined_then_or_and_and_not_hold_as_in_logic(outcomes: list[bool]) -> None:
    conditions = [compare("Equals", outcome, True) for outcome in outcomes]
    assert holds({"Type": "Or", "Conditions": conditions}) is any(outcomes)
    assert holds({"Type": "And", "Conditions": conditions}) is all(outcomes)
    assert holds({"Type": "Not", "Condition": {"Type": "Or", "Conditions": conditions}}) is not any(outcomes)


@pytest.mark.parametrize(
    ("condition", "outcome"),
    [
        ({"Type": "In", "QueryValue": "b", "Values": ["a", "b"]}, True),
        ({"Type": "In", "QueryValue": "c", "Values": ["a", "b"]}, False),
        ({"Type": "In", "Value": 1, "In": [1, 2]}, True),
        ({"Type": "NotIn", "Value": 1, "In": [1, 2]}, False),
        (compare("NotEquals", 1, 2), True),
        ({"Type": "Not", "Expression": compare("Equals", 1, 2)}, True),
        (compare("GreaterThan", "0.91", 0.9), True),
        (compare("Equals", 1, "1"), True),
        (compare("Equals", 1, True), False),
        (compare("LessThan", "a", "b"), True),
    ],
)
def test_given_a_condition_when_evaluated_then_it_holds_or_not(condition: dict[str, Any], outcome: bool) -> None:
    assert holds(condition) is outcome


@behaviour(
    "In a pipeline's definition (2020-12-01)",
    "conditions",
    like="Equals, GreaterThan(OrEqualTo), LessThan(OrEqualTo), In, Not, Or of the SDK, and And, NotEquals, "
    "NotIn of the published schema",
    differs="text beside a number counts as the number it spells, which is not verified on AWS",
)
def test_given_what_cannot_be_compared_when_evaluated_then_it_says_so() -> None:
    with pytest.raises(EvaluationError, match="cannot be compared"):
        holds(compare("LessThan", "many", 3))

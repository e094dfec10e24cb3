"""Which definitions are taken, and what the others are told."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.sagemaker.pipelines.definition import parse_definition

FAIL = {"Name": "A", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}
CONDITION = {"Type": "Equals", "LeftValue": 1, "RightValue": 1}
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["Name", "Type", "Arguments", "Get", "Conditions", "IfSteps", "DependsOn", "Std:Join"]), inner
        )
    ),
    max_leaves=12,
)


def definition(*steps: object, **more: object) -> str:
    """A definition's text."""
    return json.dumps({"Version": "2020-12-01", "Steps": steps, **more})


def check(*conditions: object) -> dict[str, Any]:
    """A Condition step."""
    return {"Name": "C", "Type": "Condition", "Arguments": {"Conditions": conditions}}


def test_given_what_the_sdk_compiles_when_parsed_then_each_step_knows_what_it_needs(stored: dict[str, Any]) -> None:
    placed = parse_definition(json.dumps(stored)).placed
    assert {name: set(step.needs) for name, step in placed.items()} == {
        "Train_model": set(),
        "Evaluate": {"Train_model"},
        "CheckAccuracy": {"Evaluate"},
        "Register": {"CheckAccuracy", "Evaluate", "Train_model"},
        "TooLow": {"CheckAccuracy"},
    }


def test_given_parameters_when_an_execution_gives_some_then_they_have_their_own_types(stored: dict[str, Any]) -> None:
    given_values = [{"Name": name, "Value": "x"} for name in ("Image", "RoleArn", "OutputUri")]
    values = parse_definition(json.dumps(stored)).values([*given_values, {"Name": "Threshold", "Value": "0.5"}])
    assert (values["Image"], values["Threshold"], values["Accuracy"]) == ("x", 0.5, "0.9")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "It is not valid JSON"),
        ("[]", "Expecting start of Json Object"),
        (json.dumps({"Version": "2019-01-01", "Steps": []}), "Version: Input should be '2020-12-01'"),
        (definition({"Name": "A", "Type": "Dance"}), "Unknown type 'Dance' of step 'A'"),
        (definition({"Name": "A b", "Type": "Fail"}), "Steps.0.Name"),
        (definition(FAIL, FAIL), "Step names must be unique"),
        (definition({**FAIL, "DependsOn": ["B"]}), "depends on the step 'B', which is not there"),
        (definition({**FAIL, "DependsOn": ["A"]}), "in a circle"),
        (definition({**FAIL, "Arguments": {"ErrorMessage": {"Get": "Parameters.P"}}}), "uses the parameter 'P'"),
        (definition({**FAIL, "Arguments": {"ErrorMessage": {"Get": "Execution.P"}}}), "uses the execution variable 'P'"),
        (definition({"Name": "A", "Type": "Training", "Arguments": {"Dance": 1}}), "Unknown Argument member 'Dance'"),
        (
            definition({"Name": "A", "Type": "RegisterModel", "Arguments": {"ModelPackageName": "m"}}),
            "Unknown Argument member 'ModelPackageName'",
        ),
        (definition(check({"Type": "Near"})), "not 'Near'"),
        (definition({"Name": "A", "Type": "Condition", "Arguments": {"Conditions": None}}), "Conditions is a list, not None"),
        (definition(check({"Type": "And", "Conditions": None})), "Conditions is a list, not None"),
        (definition(check({"Type": "In", "QueryValue": 1, "Values": None})), "the values of a condition of type In are a list"),
        (definition(check({"Type": "NotIn", "QueryValue": 1})), "the values of a condition of type NotIn are a list"),
        (definition(Parameters=[{"Name": "P", "Type": "Float", "DefaultValue": "x"}]), "default value 'x'"),
        (definition(Parameters=[{"Name": "P", "Type": "String", "DefaultValue": "x", "EnumValues": ["y"]}]), "default value 'x'"),
    ],
)
def test_given_a_definition_that_makes_no_sense_when_parsed_then_it_is_refused_in_aws_words(text: str, said: str) -> None:
    with pytest.raises(AwsError, match="Unable to parse pipeline definition") as caught:
        parse_definition(text)
    assert said in caught.value.message


def test_given_a_step_that_is_only_on_a_branch_when_it_is_there_twice_then_it_is_refused() -> None:
    check = {"Name": "C", "Type": "Condition", "Arguments": {"Conditions": [CONDITION], "IfSteps": [FAIL], "ElseSteps": [FAIL]}}
    with pytest.raises(AwsError, match="must be unique"):
        parse_definition(definition(check))


@pytest.mark.parametrize(
    ("given_value", "said"),
    [
        ({"Name": "Nobody", "Value": "1"}, "Unknown parameter"),
        ({"Name": "Threshold", "Value": "high"}, "not a Float"),
        ({"Name": "Approval", "Value": "Perhaps"}, "not a String among"),
        ({"Name": "Accuracy", "Value": "1"}, "no default value"),
    ],
)
def test_given_parameters_that_do_not_fit_when_an_execution_starts_then_each_is_named(
    stored: dict[str, Any], given_value: dict[str, str], said: str
) -> None:
    needed = copy.deepcopy(stored)
    if said != "no default value":
        needed["Parameters"] = [item for item in stored["Parameters"] if "DefaultValue" in item]
        needed["Steps"] = []
    with pytest.raises(AwsError, match=said):
        parse_definition(json.dumps(needed)).values([given_value])


@settings(deadline=None)
@given(st.lists(anything), anything)
def test_given_anything_at_all_when_parsed_then_it_is_taken_or_refused_as_aws_does(steps: list[Any], arguments: Any) -> None:
    refused: AwsError | None = None
    try:
        parse_definition(definition({"Name": "C", "Type": "Condition", "Arguments": arguments}, *steps))
    except AwsError as error:
        refused = error
    assert refused is None or refused.code == "ValidationException"

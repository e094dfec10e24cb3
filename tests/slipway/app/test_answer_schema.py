"""The JSON Schema of an answer: what it says of a wrong answer, and what it may not do to the process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from slipway.app import schema_keywords
from slipway.app.answer_schema import SCHEMA_LIMIT, AnswerSchema

PREDICTIONS = {
    "type": "object",
    "required": ["predictions"],
    "additionalProperties": False,
    "properties": {"predictions": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/prediction"}}},
    "$defs": {
        "prediction": {
            "type": "object",
            "required": ["score", "label"],
            "properties": {"score": {"type": "number", "maximum": 1}, "label": {"pattern": "^(cat|dog)$"}},
        }
    },
}


def schema(document: Any) -> AnswerSchema:
    return AnswerSchema.parse(json.dumps(document).encode())


def scored(score: Any, label: str = "cat") -> Any:
    return {"predictions": [{"score": score, "label": label}]}


def test_given_an_answer_that_fits_then_there_is_nothing_to_say() -> None:
    assert schema(PREDICTIONS).objection(scored(0.97)) == ""


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (scored("high"), 'predictions[0].score is "high", and type: "number" is wanted'),
        (scored(1.5), "predictions[0].score is 1.5, and maximum: 1 is wanted"),
        (scored(0.5, "fish"), 'predictions[0].label is "fish", and pattern: "^(cat|dog)$" is wanted'),
        ({"predictions": [{"score": 1}]}, "predictions[0]: 'label' is a required property"),
        ({}, "the top level: 'predictions' is a required property"),
        ({"predictions": []}, "predictions is [], and minItems: 1 is wanted"),
        (scored(1) | {"debug": 1}, "the top level: has 'debug', which the schema does not name"),
        ([1], 'the top level is [1], and type: "object" is wanted'),
    ],
)
def test_given_an_answer_that_does_not_fit_then_its_place_and_what_is_wanted_are_named(answer: Any, said: str) -> None:
    assert schema(PREDICTIONS).objection(answer) == said


def test_given_a_large_value_that_is_wrong_then_little_of_it_is_shown() -> None:
    said = schema({"type": "number"}).objection("x" * 1_000_000)
    assert len(said) < 300
    assert "wanted" in said


@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        ({"type": "numbr"}, "is no JSON Schema: type is"),
        ([], "is not a JSON object"),
        ({"$schema": "http://json-schema.org/draft-03/schema#"}, "is of the draft"),
        ({"$ref": "https://example.com/schema.json"}, "only parts of the same file"),
        ({"properties": {"a": {"$ref": "other.json"}}}, "only parts of the same file"),
        ({"$ref": "#/$defs/none"}, "'#/$defs/none', which is not there"),
        ({"items": {"$id": "https://example.com/inner"}}, "has $id"),
        ({"allOf": [{"$schema": "http://json-schema.org/draft-07/schema#"}]}, "has $schema"),
        ({"unevaluatedProperties": False}, "write additionalProperties"),
        ({"pattern": "(?=look)"}, "is not a regular expression"),
        ({"patternProperties": {"(": {}}}, "is not a regular expression"),
        ({"description": "x" * SCHEMA_LIMIT}, "bytes; at most 64,000 are read"),
    ],
)
def test_given_a_schema_that_is_not_taken_then_it_says_why(document: Any, wrong: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 -- its words are what is compared
        schema(document)
    assert wrong in str(refused.value)


@pytest.mark.parametrize("content", [b"{", b'{"minimum": NaN}', b"[" * 30_000, b'{"not":' * 100 + b"{}" + b"}" * 100])
def test_given_a_file_that_is_not_json_or_too_deep_then_it_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|deep"):
        AnswerSchema.parse(content)


def test_given_names_that_are_keywords_when_they_are_properties_then_they_are_names() -> None:
    named = schema({"properties": {"$id": {"type": "string"}, "unevaluatedItems": {"type": "number"}}})
    assert named.objection({"$id": "a", "unevaluatedItems": 1}) == ""


def test_given_draft_7_when_the_file_says_so_then_its_rules_count() -> None:
    pairs = {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}, {"type": "number"}]}
    assert schema(pairs).objection(["a", 1]) == ""
    assert "[1] is" in schema(pairs).objection(["a", "b"])


def nested(depth: int) -> Any:
    """Parts that each refer to the next one twice: a comparison goes through 2^depth of them."""
    parts = {f"p{at}": {"allOf": [{"$ref": f"#/$defs/p{at + 1}"}] * 2} for at in range(depth)}
    return {"$ref": "#/$defs/p0", "$defs": parts | {f"p{depth}": {"type": "number"}}}


@pytest.mark.parametrize(
    ("document", "answer", "said"),
    [
        ({"$ref": "#"}, 1, "refers to itself without an end"),
        ({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}, 1, "refers to itself without an end"),
        (nested(60), 1, "it takes more than"),
        ({"contains": {"const": 1}, "minContains": 2}, [2] * 5_000, "it takes more than"),
        ({"$ref": "#/examples/0", "examples": [{"$ref": "https://example.com/a.json"}]}, 1, "cannot be held against"),
        ({"$ref": "#/examples/0", "examples": [{"unevaluatedItems": False}]}, [1], "not supported"),
        ({"$ref": "#/examples/0", "examples": [{"pattern": "(?=look)"}]}, "a", "cannot be held against"),
    ],
)
def test_given_a_schema_that_would_not_end_or_would_load_then_the_answer_is_not_right(
    document: Any, answer: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_keywords, "STEPS_LIMIT", 2_000)
    assert said in schema(document).objection(answer)


def test_given_an_expression_that_hangs_other_engines_then_the_comparison_ends() -> None:
    assert schema({"pattern": "^(a+)+$"}).objection("a" * 100_000 + "!").endswith("is wanted")


def test_given_many_objects_when_they_must_differ_then_the_comparison_ends() -> None:
    assert schema({"uniqueItems": True}).objection([{"a": at} for at in range(50_000)]) == ""
    assert "uniqueItems: true is wanted" in schema({"uniqueItems": True}).objection([{"a": 1}, {"a": 1}])


@pytest.mark.parametrize(
    ("number", "of", "said"),
    [
        (19.99, 0.01, ""),
        (-0.03, 0.01, ""),
        (10**400, 0.5, ""),
        (0.075, 0.01, "the top level is 0.075, and multipleOf: 0.01 is wanted"),
        (float("inf"), 0.01, "the top level is Infinity, and multipleOf: 0.01 is wanted"),
    ],
)
def test_given_a_number_when_it_must_be_a_multiple_then_its_digits_count(number: float, of: float, said: str) -> None:
    assert schema({"multipleOf": of}).objection(number) == said


def test_given_an_answer_that_is_nested_as_deep_as_it_can_be_read_then_it_is_wrong_and_no_error() -> None:
    answer: Any = 1
    for _ in range(1_100):
        answer = [answer]
    assert "nested too deeply" in schema({"type": "object"}).objection(answer)

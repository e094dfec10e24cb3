"""What counts as the right answer to a smoke request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from activities.endpoints.invocation import BODY_LIMIT, Answered, judge
from slipway.app.answer_schema import AnswerSchema
from slipway.app.spec import ExpectedValue
from slipway.errors import NeedsPersonError
from tests.activities.serving import Serving

ANSWER = {"predictions": [{"label": "cat", "score": 0.97}], "model": "first"}


def answered(document: Any, status: int = 200) -> Answered:
    return Answered(status=status, body=json.dumps(document).encode())


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        (ANSWER, ExpectedValue(path="model", text="first")),
        (ANSWER, ExpectedValue(path="predictions[0].score", number=0.97)),
        (ANSWER, ExpectedValue(path="predictions[0].score", number=0.95, tolerance=0.05)),
        (ANSWER, ExpectedValue(path="predictions[?label=='cat'].score | [0]", number=1, tolerance=0.1)),
        ([[0.5, 0.25]], ExpectedValue(path="[0][1]", number=0.25)),
        ([0.91], ExpectedValue(path="[0]", number=0.9, tolerance=0.01)),
    ],
)
def test_given_an_answer_that_has_what_is_wanted_then_it_is_right(document: Any, wanted: ExpectedValue) -> None:
    assert judge(answered(document), 200, (wanted,)).ok


@pytest.mark.parametrize(
    ("document", "wanted", "said"),
    [
        (ANSWER, ExpectedValue(path="model", text="second"), "model is 'first', and 'second' is wanted"),
        (ANSWER, ExpectedValue(path="predictions[0].score", number=0.9, tolerance=0.01), "0.9 ± 0.01 is wanted"),
        (ANSWER, ExpectedValue(path="none", number=1), "none is None, and 1 ± 0 is wanted"),
        ({"malignant": True}, ExpectedValue(path="malignant", number=1), "malignant is True"),
        ([1], ExpectedValue(path="model", text="first"), "model is None"),
        ({"score": 10**400}, ExpectedValue(path="score", number=1), "and 1 ± 0 is wanted"),
    ],
)
def test_given_an_answer_that_lacks_what_is_wanted_then_it_says_what_it_has(
    document: Any, wanted: ExpectedValue, said: str
) -> None:
    answer = judge(answered(document), 200, (wanted,))
    assert not answer.ok
    assert said in answer.error


def test_given_an_answer_that_is_no_json_when_values_are_wanted_then_it_says_so() -> None:
    answer = judge(Answered(status=200, body=b"<html>"), 200, (ExpectedValue(path="a", number=1),))
    assert (answer.ok, answer.error) == (False, "the answer is not JSON, and values of it are wanted")


def test_given_an_answer_larger_than_what_is_looked_at_when_values_are_wanted_then_it_says_so() -> None:
    large = answered({"score": 1, "rest": "x" * BODY_LIMIT})
    answer = judge(large, 200, (ExpectedValue(path="score", number=1),))
    assert (answer.ok, answer.error) == (
        False,
        "the answer has more than 1,048,576 bytes, too many to look for what is wanted",
    )
    assert judge(large, 200, ()).ok


async def test_given_a_model_that_refuses_the_request_when_that_status_is_wanted_then_it_is_right(serving: Serving) -> None:
    plan = await serving.serve("strict", status=422)
    assert (await serving.smoke(plan, status=422)).ok
    answer = await serving.smoke(plan)
    assert not answer.ok
    assert "422" in answer.error


def test_given_a_model_that_answers_when_another_status_is_wanted_then_it_is_wrong() -> None:
    answer = judge(answered(ANSWER), 422, ())
    assert (answer.ok, answer.error) == (False, "the status is 200; the status 422 is wanted")


async def test_given_a_schema_at_the_commit_when_the_model_answers_then_the_answer_is_held_against_it(serving: Serving) -> None:
    plan = await serving.serve("typed")
    wanted = {"right.json": '{"type": "object"}', "other.json": '{"type": "array"}', "broken.json": '{"type": "none"}'}
    assert (await serving.smoke(plan, wanted, answer_schema="right.json")).ok
    wrong = await serving.smoke(plan, wanted, answer_schema="other.json")
    assert not wrong.ok
    assert 'type: "array" is wanted' in wrong.error
    with pytest.raises(NeedsPersonError, match="is no JSON Schema"):
        await serving.smoke(plan, wanted, answer_schema="broken.json")


def test_given_an_answer_that_is_no_json_when_it_must_fit_a_schema_then_it_says_so() -> None:
    answer = judge(Answered(status=200, body=b"<html>"), 200, (), AnswerSchema.parse(b"{}"))
    assert (answer.ok, answer.error) == (False, "the answer is not JSON, and one that fits a schema is wanted")

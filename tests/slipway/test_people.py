"""Names of people."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from slipway.api import AppRef, Decision, Message, OperatorCommand, PromotionRequest
from slipway.people import check_name, same_person

SPELLINGS = ["ana", "Ana", "ana ", " ana", "ana\u200b", "\u202eana", "\uff41\uff4e\uff41", "ANA\u00a0"]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_given_a_spelling_of_a_name_when_it_is_compared_then_it_is_the_same_person(spelling: str) -> None:
    assert same_person(spelling, "ana")


@pytest.mark.parametrize("other", ["anna", "a na", "bo", ""])
def test_given_another_name_when_it_is_compared_then_it_is_another_person(other: str) -> None:
    assert not same_person(other, "ana")


@pytest.mark.parametrize(
    "name", ["", " ", "ana\u200b", "\x1b[2Jana", "ana\nbo", "ana\u2028", "\u202eana", "ana\u00a0b", "a" * 129, "\ud800"]
)
def test_given_what_is_no_name_when_it_is_checked_then_it_is_refused(name: str) -> None:
    with pytest.raises(PydanticCustomError):
        check_name(name)


def test_given_spaces_around_a_name_when_it_is_checked_then_they_are_gone() -> None:
    assert check_name(" Ana María ") == "Ana María"


DOORS: dict[str, Callable[[str], Message]] = {
    "by of a decision": lambda name: Decision(by=name, evidence="e"),
    "by of a command": lambda name: OperatorCommand(by=name),
    "requester": lambda name: PromotionRequest(app=AppRef(repository="file:///a"), image="a@sha256:b", requested_by=name),
}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_given_a_name_with_an_escape_when_it_comes_in_then_it_is_refused_in_plain_words(door: Callable[[str], Message]) -> None:
    with pytest.raises(ValidationError, match="must be one line without invisible characters"):
        door("\x1b[2Jana")

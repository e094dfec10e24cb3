from __future__ import annotations

import pytest

from slipway.app.pipecd import EventHandler, Replacement
from slipway.app.replacements import apply_event, replace_matches, value_held
from slipway.errors import RefusedError


def handler(*replacements: Replacement) -> EventHandler:
    return EventHandler(event="e", replacements=replacements)


def test_given_two_places_of_a_file_when_an_event_is_applied_then_the_file_comes_once_with_both() -> None:
    event = handler(Replacement(file="f", yaml_field="$.a"), Replacement(file="f", regex="tag (v[0-9]+)"))
    [change] = apply_event(event, "x/v2", {"f": b"a: x/v1\n# tag v1\n"}.get)
    assert (change.content, change.before, change.changed) == (b"a: x/v2\n# tag x/v2\n", "x/v1", True)


def test_given_the_value_everywhere_when_an_event_is_applied_then_nothing_is_changed() -> None:
    [change] = apply_event(handler(Replacement(file="f", yaml_field="$.a")), "x/v1", {"f": b"a: x/v1 #\n"}.get)
    assert not change.changed


def test_given_a_file_that_is_not_there_when_an_event_is_applied_then_it_is_refused() -> None:
    with pytest.raises(RefusedError, match="no such file"):
        apply_event(handler(Replacement(file="f", yaml_field="$.a")), "x", {"g": b""}.get)


def test_given_a_regex_when_it_matches_twice_then_the_first_group_of_each_is_replaced() -> None:
    assert replace_matches(b"r:v1 r:v2 q:v3\r\n", "r:(v[0-9])", "v9", "f").content == b"r:v9 r:v9 q:v3\r\n"


def test_given_a_regex_that_matches_nothing_when_it_is_applied_then_it_is_refused() -> None:
    with pytest.raises(RefusedError, match="nothing in the file matches"):
        replace_matches(b"x", "r:(v)", "v9", "f")


def test_given_one_value_in_all_places_when_it_is_read_then_that_is_what_the_files_hold() -> None:
    event = handler(Replacement(file="f", yaml_field="$.a"), Replacement(file="g", regex="tag (.+)"))
    assert value_held(event, {"f": b"a: x/v1 # why\n", "g": b"tag x/v1\n"}.get) == "x/v1"


def test_given_two_values_when_they_are_read_then_it_is_refused_with_both() -> None:
    event = handler(Replacement(file="f", yaml_field="$.a"), Replacement(file="f", yaml_field="$.b"))
    with pytest.raises(RefusedError, match="'x/v1' in f, 'x/v2' in f"):
        value_held(event, {"f": b"a: x/v1\nb: x/v2\n"}.get)

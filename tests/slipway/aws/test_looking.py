"""What is described of what is followed, where a list shows what changed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from slipway.aws.looking import IN_TURN, Listed, Listing
from slipway.errors import NeedsPersonError, TransientError


class Things:
    """Things with versions, as AWS lists and describes them."""

    def __init__(self, number: int) -> None:
        self.versions = {f"thing-{at:04}": 1 for at in range(number)}
        self.at_rest: set[str] = set()
        self.described: list[str] = []
        self.lists = 0
        self.denied: Exception | None = None
        self.whole = True
        self.source = Listed(self.describe, self.list, lambda state: state[1], lambda state: state[0] in self.at_rest)

    async def describe(self, key: str) -> tuple[str, int]:
        self.described.append(key)
        if key not in self.versions:
            raise NeedsPersonError("looking", "gone", "make it")
        return key, self.versions[key]

    async def list(self, known: Mapping[str, tuple[str, int]]) -> Listing:
        del known
        self.lists += 1
        if self.denied:
            raise self.denied
        return Listing(dict(self.versions), self.whole)

    async def glance(self) -> set[str]:
        """The keys that were described in one round."""
        self.described.clear()
        await self.source.glance(list(self.versions))
        return set(self.described)


async def test_given_a_thousand_things_when_nothing_changes_then_a_round_is_a_list_and_a_few_in_turn() -> None:
    things = Things(1_000)
    await things.source.look(list(things.versions))
    rounds = [await things.glance() for _ in range(3)]
    assert things.lists == 3
    assert [len(found) for found in rounds] == [IN_TURN] * 3
    assert len(set[str]().union(*rounds)) == 3 * IN_TURN


async def test_given_a_thousand_things_when_one_changes_then_it_is_described_and_told() -> None:
    things = Things(1_000)
    await things.source.look(list(things.versions))
    things.versions["thing-0900"] = 2
    answers = await things.source.glance(list(things.versions))
    assert answers["thing-0900"] == ("thing-0900", 2)
    assert len(answers) == IN_TURN + 1


async def test_given_things_that_are_not_known_yet_when_a_round_comes_then_each_is_described() -> None:
    things = Things(20)
    assert await things.glance() == set(things.versions)
    assert things.lists == 0


async def test_given_something_at_rest_when_it_is_followed_all_the_same_then_it_is_first_in_turn() -> None:
    things = Things(1_000)
    await things.source.look(list(things.versions))
    things.at_rest = {"thing-0999"}
    assert "thing-0999" in await things.glance()
    assert "thing-0999" in await things.glance()


@pytest.mark.parametrize(("whole", "answered"), [(True, True), (False, False)])
async def test_given_something_that_is_not_listed_when_all_was_listed_then_it_is_looked_for(whole: bool, answered: bool) -> None:
    things = Things(1_000)
    keys = list(things.versions)
    await things.source.look(keys)
    things.whole = whole
    del things.versions["thing-0900"]
    answers = await things.source.glance(keys)
    assert ("thing-0900" in answers) is answered


async def test_given_a_list_that_is_denied_when_rounds_come_then_each_thing_is_described_and_the_list_is_left_alone() -> None:
    things = Things(50)
    await things.source.look(list(things.versions))
    things.denied = NeedsPersonError("listing", "AccessDenied", "allow it")
    assert await things.glance() == set(things.versions)
    assert await things.glance() == set(things.versions)
    assert things.lists == 1


async def test_given_a_list_that_fails_when_a_round_comes_then_the_error_is_the_rounds() -> None:
    things = Things(50)
    await things.source.look(list(things.versions))
    things.denied = TransientError("listing", "no route")
    with pytest.raises(TransientError):
        await things.glance()


async def test_given_one_key_that_fails_when_others_are_looked_at_then_they_have_their_states() -> None:
    things = Things(2)
    answers = await things.source.look([*things.versions, "gone"])
    assert answers["thing-0001"] == ("thing-0001", 1)
    assert isinstance(answers["gone"], NeedsPersonError)

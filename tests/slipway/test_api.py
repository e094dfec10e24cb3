"""The public contract's own rules."""

from __future__ import annotations

import pytest

from slipway.api import IdentityLevel, suffices

claimed, temporal, signed = IdentityLevel


@pytest.mark.parametrize(
    ("level", "floor", "enough"),
    [
        (claimed, claimed, True),
        (claimed, temporal, False),
        (temporal, temporal, True),
        (temporal, signed, False),
        (signed, claimed, True),
        (signed, signed, True),
    ],
)
def test_given_a_level_when_held_against_a_floor_then_it_suffices_where_it_is_at_least_that(
    level: IdentityLevel, floor: IdentityLevel, enough: bool
) -> None:
    assert suffices(level, floor) is enough

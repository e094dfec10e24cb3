from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from slipway_sandbox.sagemaker.hosting.routing import Route, Router


class IdleServer:
    """A server that nobody calls."""

    limit = None
    direct = False

    def urls(self, hostname: str | None) -> list[tuple[str, str]]:  # noqa: ARG002  (hosting's own signature)
        return [("primary", "http://127.0.0.1:1")]

    def enter(self) -> bool:
        """Room for any number."""
        return True

    def leave(self) -> None:
        """Nothing to count."""


def router(**weights: float) -> Router:
    made = Router()
    made.set([Route(name, "config", IdleServer(), weight) for name, weight in weights.items()])
    return made


def picks(of: Router, count: int, variant: str | None = None) -> Counter[str]:
    routes = [of.take(variant) for _ in range(count)]
    return Counter(route.variant for route in routes if route)


def test_given_a_canary_of_a_quarter_when_a_hundred_requests_come_then_it_gets_twenty_five() -> None:
    assert picks(router(old=75, new=25), 100) == {"old": 75, "new": 25}


def test_given_a_canary_of_a_quarter_when_four_requests_come_then_one_of_them_is_its() -> None:
    assert picks(router(old=75, new=25), 4) == {"old": 3, "new": 1}


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6).filter(any))
def test_given_any_weights_when_as_many_requests_come_then_each_gets_exactly_its_weight(weights: list[int]) -> None:
    named = {f"v{number}": float(weight) for number, weight in enumerate(weights)}
    assert picks(router(**named), sum(weights)) == {name: weight for name, weight in named.items() if weight}


def test_given_a_variant_of_no_weight_when_it_is_asked_for_then_it_answers() -> None:
    assert picks(router(main=1, idle=0), 3, "idle") == {"idle": 3}


def test_given_an_unknown_variant_when_it_is_asked_for_then_there_is_no_route() -> None:
    assert router(main=1).take("other") is None

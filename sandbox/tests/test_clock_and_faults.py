import threading
import time

import pytest
from slipway_sandbox.core.clock import Clock
from slipway_sandbox.core.faults import Fault, FaultKind, Faults

from sandbox.testkit.contract import behaviour


@behaviour(
    "Around the services",
    "time",
    like="waits keep their lengths and their order",
    differs="they pass `--time-scale` times as fast; timestamps, containers, sessions and registry passwords use real time",
)
def test_given_a_fast_clock_when_ten_minutes_pass_then_it_took_a_moment_and_kept_the_order() -> None:
    clock, order, done = Clock(scale=6000), list[str](), threading.Event()
    started = time.monotonic()

    clock.call_later(600, done.set)
    clock.call_later(300, lambda: order.append("second"))
    clock.call_later(60, lambda: order.append("first"))

    assert done.wait(5)
    assert order == ["first", "second"]
    assert 0.1 <= time.monotonic() - started < 5


def test_given_a_call_that_fails_when_the_next_is_due_then_time_goes_on() -> None:
    clock, done = Clock(scale=1000), threading.Event()
    clock.call_later(1, list[None]().pop)
    clock.call_later(2, done.set)

    assert done.wait(5)


def test_given_a_cancelled_call_when_its_time_comes_then_nothing_happens() -> None:
    clock, ran, done = Clock(scale=1000), threading.Event(), threading.Event()
    clock.call_later(1, ran.set).cancel()
    clock.call_later(2, done.set)

    assert done.wait(5)
    assert not ran.is_set()


def test_given_a_fault_for_two_calls_when_three_come_then_the_third_is_spared() -> None:
    faults = Faults()
    faults.plant(Fault(service="ecr", operation="PutImage", kind=FaultKind.throttle, count=2))

    struck = [faults.strike("ecr", "PutImage", "111111111111") is not None for _ in range(3)]

    assert struck == [True, True, False]


def test_given_a_fault_of_one_account_when_another_calls_then_it_is_spared() -> None:
    faults = Faults()
    faults.plant(Fault(service="ecr", operation="PutImage", kind=FaultKind.reset, account="111111111111"))

    assert faults.strike("ecr", "PutImage", "222222222222") is None


def test_given_a_negative_scale_when_a_clock_is_made_then_it_says_so() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        Clock(-1)


@behaviour(
    "Around the services",
    "the clock, moved by hand",
    differs="at the scale 0 nothing falls due before `POST /_sandbox/clock/advance`; what runs in real time, as the grace of "
    "a container that is to end, goes on",
)
def test_given_a_clock_that_stands_still_when_it_is_moved_by_hand_then_what_is_due_runs_in_order_and_the_rest_waits() -> None:
    clock, order, done = Clock(0), list[str](), threading.Event()
    later = threading.Event()
    clock.call_later(3600, later.set)
    clock.call_later(600, done.set)
    clock.call_later(60, lambda: order.append("first"))

    clock.advance(600)

    assert done.wait(5)
    assert (order, later.is_set(), clock.seconds()) == (["first"], False, 600)


def test_given_a_wait_that_began_when_the_time_runs_faster_then_it_ends_sooner() -> None:
    clock, done = Clock(1), threading.Event()
    clock.call_later(3600, done.set)

    clock.set_scale(1_000_000)

    assert done.wait(5)

"""Ends a test process that hangs, and keeps the garbage collector away from what a test process imports."""

from __future__ import annotations

import faulthandler
import gc
import os
from collections.abc import Generator

import pytest

PATIENCE = "hang_patience"


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long a test process may hang."""
    parser.addini(PATIENCE, "seconds after a test's timeout, and of its teardown, after which its process ends", default="120")


class Watch:
    """Prints what each thread does, and ends the process, where a test does not end by its timeout.

    All other processes would wait for it, and what failed would not be told.

    pytest-timeout raises an error in the main thread, once. It does nothing for a thread that does not run Python, or for the
    teardown of a test that has failed.

    Args:
        config: Of this test process.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._patience = float(config.getini(PATIENCE))
        self._default = float(config.getini("timeout"))
        # Of its own: while a test runs, pytest reads what is printed.
        self._terminal = os.dup(2)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        marker = item.get_closest_marker("timeout")
        self._end_after(self._patience + (marker.args[0] if marker else self._default))
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None]:
        self._end_after(self._patience)
        try:
            return (yield)
        finally:
            faulthandler.cancel_dump_traceback_later()

    def _end_after(self, seconds: float) -> None:
        faulthandler.dump_traceback_later(seconds, exit=True, file=self._terminal)


def pytest_configure(config: pytest.Config) -> None:
    """Watch this process, which may be one of several."""
    config.pluginmanager.register(Watch(config))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector away from what is imported. That stays to the end, and would be looked at again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()

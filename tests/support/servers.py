"""Temporal servers of a test's own."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path

from demo.stack import base_environment
from demo.temporal import TemporalServer

LEAN = {"GOGC": "400"}
"""A test's server lives for minutes: it collects garbage seldom. With a limit of its memory it would do nothing else at the
limit."""
ONE_PARTITION = tuple(f"matching.numTaskqueue{kind}Partitions=1" for kind in ("Read", "Write"))
"""A queue in one part has no forwarding, and learns at one time which worker version is current."""


@contextlib.contextmanager
def temporal_server(folder: Path, *settings: str) -> Generator[TemporalServer]:
    """A server that runs for as long as it is needed.

    Args:
        folder: For its database and log.
        settings: Its dynamic configuration, each as `name=value`.
    """
    options = [part for setting in settings for part in ("--dynamic-config-value", setting)]
    server = TemporalServer(folder, base_environment(folder) | LEAN, *options)
    server.start_anywhere()
    try:
        yield server
    finally:
        server.process.stop()

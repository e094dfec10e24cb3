"""Temporal servers of a test's own, and servers that tests share."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import Self

from demo.stack import Stack, base_environment
from demo.temporal import ONE_PROCESSOR, TemporalServer

LEAN = {"GOGC": "400", **ONE_PROCESSOR}
"""A test's server lives for minutes: it collects garbage seldom. With a limit of its memory it would do nothing else at the
limit."""
ONE_PARTITION = tuple(f"matching.numTaskqueue{kind}Partitions=1" for kind in ("Read", "Write"))
"""A queue in one part has no forwarding, and learns at one time which worker version is current."""
QUIET = (
    *(f"metrics.breakdownBy{part}=false" for part in ("TaskQueue", "Partition", "BuildID")),
    'matching.ephemeralDataUpdateInterval="1h"',
)
"""Each test has task queues of its own. The server would report figures of all that there ever were, once a second."""


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


class StackOnServer(Stack):
    """A stack on a Temporal server that runs already: each costs the machine something even while nothing is asked of it.

    Args:
        folder: Holds everything else.
        temporal: The server.
        time_scale: As for every stack.
    """

    def __init__(self, folder: Path, temporal: TemporalServer, time_scale: float) -> None:
        super().__init__(folder, time_scale)
        self.temporal = temporal

    def __enter__(self) -> Self:
        self.sandbox.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.sandbox.stop()

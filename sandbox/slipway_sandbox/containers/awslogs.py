"""The awslogs driver: a container's lines, on their way to CloudWatch Logs."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.containers.go_errors import go_error

log = logging.getLogger(__name__)

BATCH_EVENTS = 10_000
BATCH_BYTES = 1_048_576
EVENT_OVERHEAD = 26
"""CloudWatch's limits for one PutLogEvents, where each event counts 26 bytes more than its text."""
COLLECT_SECONDS = 0.05
"""How long lines are collected for one call."""


class LogDriverError(Exception):
    """The stream cannot be made; the text is what ECS shows."""


class LogStream:
    """One container's stream. Lines go out in batches on a thread of its own, so that a container never waits for them.

    Args:
        client: Gives a client of CloudWatch Logs, of the role that writes the log.
        options: The log configuration's options.
        name: The stream's name.

    Raises:
        LogDriverError: The group is missing and not to be created, or the role may not write.
    """

    def __init__(self, client: Callable[[], Any], options: dict[str, str], name: str) -> None:
        self._client = client
        self._group = options["awslogs-group"]
        self._name = name
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._create(options.get("awslogs-create-group", "false").lower() == "true")
        self._thread = threading.Thread(target=self._send_all, name=f"awslogs-{name}", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Take one line. CloudWatch has no empty events; awslogs leaves such lines out."""
        if line:
            self._lines.put({"timestamp": int(time.time() * 1000), "message": line})

    def close(self) -> None:
        """Send what is left, and return when CloudWatch has it."""
        self._lines.put(None)
        self._thread.join()

    def _create(self, with_group: bool) -> None:
        try:
            if with_group:
                self._create_group()
            client = self._client()
            with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
                client.create_log_stream(logGroupName=self._group, logStreamName=self._name)
        except (ClientError, BotoCoreError) as error:
            raise LogDriverError(
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
                f"failed to create Cloudwatch log stream: {go_error(error)}: exit status 1"
            ) from error

    def _create_group(self) -> None:
        client = self._client()
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_group(logGroupName=self._group)

    def _send_all(self) -> None:
        going = True
        while going:
            first = self._lines.get()
            if first is None:
                return
            time.sleep(COLLECT_SECONDS)
            batch, going = self._collect(first)
            try:
                self._client().put_log_events(logGroupName=self._group, logStreamName=self._name, logEvents=batch)
            except (ClientError, BotoCoreError) as error:
                # The container goes on without its logs, as on AWS. That is foreseen, as where somebody removed the group.
                log.warning("the log stream %s of %s lost %d lines: %s", self._name, self._group, len(batch), error)

    def _collect(self, first: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
        """The lines that are there and fit into one call, and whether more may come."""
        batch = [first]
        size = size_of(first)
        while len(batch) < BATCH_EVENTS and size < BATCH_BYTES - LARGEST_EVENT:
            try:
                event = self._lines.get_nowait()
            except queue.Empty:
                return batch, True
            if event is None:
                return batch, False
            batch.append(event)
            size += size_of(event)
        return batch, True


class DiscardedLog:
    """In the place of a stream that the role may not create: SageMaker goes on without a log."""

    def write(self, line: str) -> None:
        """Drop a line."""

    def close(self) -> None:
        """Nothing is left to send."""


Log = LogStream | DiscardedLog

LARGEST_EVENT = 4 * 16 * 1024 + EVENT_OVERHEAD
"""Bytes of the runtime's longest line, were each of its bytes to become a replacement character."""


def size_of(event: dict[str, Any]) -> int:
    """Bytes that CloudWatch counts for an event."""
    return len(event["message"].encode()) + EVENT_OVERHEAD

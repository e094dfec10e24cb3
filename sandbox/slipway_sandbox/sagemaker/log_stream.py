"""Lines of a container, as events of one CloudWatch log stream."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import Any

from slipway_sandbox.calls import Caller
from slipway_sandbox.sagemaker.metrics import Clients

log = logging.getLogger(__name__)

SEND_EVERY = 0.3
"""Real seconds between two batches."""
LARGEST_BATCH = 1_000


class LogStream:
    """Sends what is written to it in batches, from a thread of its own.

    Args:
        clients: Clients of the sandbox itself.
        caller: Whose account and region the log group is in.
        group: The log group; made if it is not there.
        stream: The log stream; made if it is not there.
    """

    def __init__(self, clients: Clients, caller: Caller, group: str, stream: str) -> None:
        self._clients = clients
        self._caller = caller
        self._group = group
        self._stream = stream
        self._events: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._closed = False
        threading.Thread(target=self._send_forever, name=f"logs-{stream}", daemon=True).start()

    @property
    def arn(self) -> str:
        """The log group's ARN, as error answers of the runtime name it."""
        return f"arn:aws:logs:{self._caller.region}:{self._caller.account}:log-group:{self._group}"

    def write(self, line: str) -> None:
        """Note a line; it is sent soon."""
        with self._changed:
            # CloudWatch refuses an event without text.
            self._events.append({"timestamp": int(time.time() * 1000), "message": line or " "})
            self._changed.notify()

    def close(self) -> None:
        """No more lines will come."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _send_forever(self) -> None:
        try:
            client = self._open()
            while batch := self._next_batch():
                client.put_log_events(logGroupName=self._group, logStreamName=self._stream, logEvents=batch)
                time.sleep(SEND_EVERY)
        except Exception:
            # A log that cannot be written is no reason to end what writes it.
            log.exception("could not write the log stream %s of %s", self._stream, self._group)

    def _open(self) -> Any:
        client = self._clients.get("logs", self._caller.account, self._caller.region)
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_group(logGroupName=self._group)
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_stream(logGroupName=self._group, logStreamName=self._stream)
        return client

    def _next_batch(self) -> list[dict[str, Any]]:
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._closed)
            batch, self._events = self._events[:LARGEST_BATCH], self._events[LARGEST_BATCH:]
            return batch

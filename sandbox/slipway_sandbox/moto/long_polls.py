"""Waits for messages of SQS without blocking moto's other callers."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from werkzeug.wrappers import Response

from slipway_sandbox.core.calls import Incoming
from slipway_sandbox.iam.resources import queue_of

PAUSE = 0.05
"""Seconds between two checks of a queue."""
LONGEST = 20


def waits(call: Incoming) -> bool:
    """Whether a call waits for messages, in the protocol that SDKs speak."""
    return (call.service, call.operation) == ("sqs", "ReceiveMessage") and "HTTP_X_AMZ_TARGET" in call.environ


def receive(call: Incoming, answer: Callable[[], Response]) -> Response:
    """Poll until there are messages, or until the wait time of the call or its queue is over.

    Args:
        call: A ReceiveMessage.
        answer: Asks once.
    """
    asked = call.request
    seconds = asked.get("WaitTimeSeconds")
    if seconds is None:
        seconds = usual_wait(call)
    if not isinstance(seconds, int) or not 0 < seconds <= LONGEST:
        return answer()
    end = time.monotonic() + seconds
    body = json.dumps({**asked, "WaitTimeSeconds": 0}).encode()
    call.environ["CONTENT_LENGTH"] = str(len(body))
    while True:
        call.environ["wsgi.input"] = io.BytesIO(body)
        response = answer()
        if response.status_code != HTTPStatus.OK or has_messages(response) or time.monotonic() > end:
            return response
        time.sleep(PAUSE)


def usual_wait(call: Incoming) -> int:
    """The queue's wait time, for calls that do not set one."""
    account, _, name = str(call.request.get("QueueUrl", "")).rpartition("/")
    queue = queue_of(account.rpartition("/")[2], call.caller.region, name)
    return int(queue.receive_message_wait_time_seconds or 0) if queue else 0


def has_messages(response: Response) -> bool:
    """Whether an answer brings any."""
    found: Any = json.loads(response.get_data() or b"{}")
    return isinstance(found, dict) and bool(cast(dict[str, Any], found).get("Messages"))

"""Events of EventBridge that come through a queue: hints when to look at what is followed.

Whoever may send to the queue may write anything there. A message is parsed once. Whatever it says only wakes a look, and what AWS
answers then decides.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from slipway.aws.errors import classify

Message = Mapping[str, Any]
log = logging.getLogger(__name__)

WAIT = 20
"""Seconds that one call waits for messages, the longest that SQS allows."""
OTHERS_TURN = 1
"""Seconds after which another worker may see a message that was received here."""
SEEN_ENOUGH = 5
"""Times that a message is received before it is dropped although nobody follows what it is about."""
SIZE_LIMIT = 64_000
"""Characters of a message that are read; EventBridge's about AWS's services are shorter by far."""
NAME_LIMIT = 2_048
RESOURCES = 20
PAUSES = (1.0, 5.0, 15.0, 60.0)
"""Seconds before the queue is asked again after it could not be, one failure after the other."""
NAMED = ("EndpointName", "pipelineExecutionArn", "taskArn", "alarmName")
"""Members of an event's detail that name what is followed."""


class EventQueue:
    """The queue, as long as the worker runs.

    A message about something that is followed here is deleted. Any other is left for other workers that share the queue.

    Args:
        arn: The queue's.
        hint: Wakes a look at things by their names, and says whether anybody follows one of them.
    """

    def __init__(self, arn: str, hint: Callable[[Collection[str]], bool]) -> None:
        region, account, name = arn.split(":")[3:]
        config = Config(connect_timeout=5, read_timeout=WAIT + 10, retries={"mode": "standard", "total_max_attempts": 1})
        session: Any = boto3.session.Session()
        self._sqs = session.client("sqs", region_name=region, config=config)
        self._url = f"{self._sqs.meta.endpoint_url.rstrip('/')}/{account}/{name}"
        self._arn = arn
        self._hint = hint

    async def listen(self) -> None:
        """Receive until cancelled. A queue that cannot be read is no reason to stop: everything is looked at in its turn."""
        failures = 0
        while True:
            try:
                messages = await self._receive()
                await self._take(messages)
            except Exception as error:  # noqa: BLE001 -- whatever it is, the worker goes on without events
                log.warning("%s; nothing is missed, but changes are seen later", self._told(error))
                await asyncio.sleep(PAUSES[min(failures, len(PAUSES) - 1)])
                failures += 1
            else:
                failures = 0

    def _told(self, error: Exception) -> str:
        tried = f"receiving events from {self._arn}"
        is_of_aws = isinstance(error, (BotoCoreError, ClientError))
        return str(classify(error, tried).report) if is_of_aws else f"{tried}: {error!r}"

    async def _receive(self) -> list[Message]:
        answer = await in_thread(
            lambda: self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=WAIT,
                VisibilityTimeout=OTHERS_TURN,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            )
        )
        return answer.get("Messages", [])

    async def _take(self, messages: Iterable[Message]) -> None:
        done = [message for message in messages if self._is_done_with(message)]
        if done:
            entries = [{"Id": str(at), "ReceiptHandle": each.get("ReceiptHandle", "")} for at, each in enumerate(done)]
            await in_thread(lambda: self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries))

    def _is_done_with(self, message: Message) -> bool:
        """Whether nobody needs the message any more: it is read here, or nobody can make anything of it."""
        names = names_in(message.get("Body", ""))
        seen = int(message.get("Attributes", {}).get("ApproximateReceiveCount", "1"))
        return self._hint(names) or not names or seen >= SEEN_ENOUGH


def names_in(body: str) -> frozenset[str]:
    """The names of what an event is about: ARNs, and names of endpoints and alarms. Nothing where it is no event."""
    if len(body) > SIZE_LIMIT:
        return frozenset()
    try:
        event: Any = json.loads(body)
    except (ValueError, RecursionError):
        return frozenset()
    return frozenset(_names(cast("Mapping[str, Any]", event))) if isinstance(event, dict) else frozenset()


def _names(event: Mapping[str, Any]) -> Iterator[str]:
    resources, detail = event.get("resources"), event.get("detail")
    found: list[Any] = cast("list[Any]", resources)[:RESOURCES] if isinstance(resources, list) else []
    if isinstance(detail, dict):
        found += [cast("dict[str, Any]", detail).get(name) for name in NAMED]
    yield from (name for name in found if isinstance(name, str) and len(name) <= NAME_LIMIT)


async def in_thread(call: Callable[[], Any]) -> Any:
    """The result of a blocking call. Whoever stops waiting need not wait for it: the thread ends with the process."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def run() -> None:
        try:
            result, error = call(), None
        except Exception as caught:  # noqa: BLE001 -- handed on to the one that waits
            result, error = None, caught
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, future, result, error)

    threading.Thread(target=run, name="events", daemon=True).start()
    return await future


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error:
        future.set_exception(error)
    else:
        future.set_result(result)

"""What every activity needs around it: heartbeats that tell a dead worker from a busy one, and errors that say what to do."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from http import HTTPStatus
from typing import Any

import httpx
from botocore.exceptions import BotoCoreError, ClientError
from temporalio import activity
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ActivityOutboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from slipway.aws.errors import classify
from slipway.errors import NeedsPersonError, RefusedError, SlipwayError, TransientError, cap
from slipway.temporal.connect import HISTORY, HISTORY_ACTIVITY, PLAN, PLAN_ACTIVITY, PROMOTION, ROLLOUT, WATCH
from slipway.temporal.failures import to_application_error

BEAT_EVERY = 3.0
"""Seconds; a third of the heartbeat timeout of 10 s that activities have."""
REPEAT_AFTER = 1.0
"""Seconds in which the same progress is sent once: a heartbeat costs a write of the server, and looks may be frequent."""
_OF_OTHERS = frozenset({(HISTORY, HISTORY_ACTIVITY), (PLAN, PLAN_ACTIVITY), (WATCH, "follow_branch")})
"""The one activity of each workflow that only reads, whoever may start it. They change nothing."""
UNFORESEEN_ATTEMPTS = 5
"""Attempts of an activity before an error that nobody foresaw asks for a person: what passes by itself has had 15 s to pass."""


class SlipwayInterceptor(Interceptor):
    """Give it to the Worker.

    Args:
        beat_every: Seconds between two heartbeats of an activity that sends none itself.
    """

    def __init__(self, beat_every: float = BEAT_EVERY) -> None:
        self._beat_every = beat_every
        logging.getLogger(activity.__name__).addFilter(in_one_line)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _Inbound(next, self._beat_every)


class _Inbound(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, beat_every: float) -> None:  # noqa: A002
        super().__init__(next)
        self._beat_every = beat_every
        self._memory: _Memory | None = None

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        self._memory = _Memory(outbound)
        super().init(self._memory)

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        with saying_what_to_do():
            refuse_stranger(activity.info(), input.args)
            if self._memory is None or activity.info().is_local:
                return await super().execute_activity(input)
            async with beating(self._memory, self._beat_every):
                return await super().execute_activity(input)


def refuse_stranger(info: activity.Info, args: Sequence[Any]) -> None:
    """Only a promotion, or a rollout of it, may use the worker's credentials, and only for itself.

    This stops a start by Temporal's command line or UI. It does not stop somebody who runs a worker of their own in this
    namespace: its workflows have any type and id.

    Raises:
        RefusedError: Something else asked for it.
    """
    if (info.workflow_type, info.activity_type) in _OF_OTHERS:
        return
    promotion_id = next((found for found in map(_promotion_id, args) if found), None)
    if not info.in_workflow or info.workflow_type not in (PROMOTION, ROLLOUT):
        asked = f"a workflow of the type {info.workflow_type}" if info.in_workflow else "no workflow"
    elif promotion_id and not _belongs(info, promotion_id):
        asked = f"the workflow {info.workflow_id}"
    else:
        return
    wanted = f"the promotion {promotion_id}" if promotion_id else "a promotion"
    raise RefusedError(
        f"running {info.activity_type}",
        f"{asked} asked for it, and only {wanted} may",
        "start a promotion with `slipway start`; its steps cannot be run by hand",
    )


def _promotion_id(arg: Any) -> str | None:
    found = getattr(arg, "promotion_id", None) or getattr(getattr(arg, "plan", None), "promotion_id", None)
    return found if isinstance(found, str) else None


def _belongs(info: activity.Info, promotion_id: str) -> bool:
    workflow_id = info.workflow_id or ""
    return workflow_id == promotion_id if info.workflow_type == PROMOTION else workflow_id.startswith(f"{promotion_id}-")


class _Memory(ActivityOutboundInterceptor):
    """Remembers the last progress: each heartbeat replaces the one before, and a mere sign of life must not wipe it out."""

    last: Sequence[Any] | None = None
    _said_at = 0.0

    def heartbeat(self, *details: Any) -> None:
        if details == self.last and time.monotonic() < self._said_at + REPEAT_AFTER:
            return
        self.last = details
        self._say(details)

    def beat(self) -> None:
        """Say again what was said last, by this attempt or by the one before it."""
        self._say(self.last if self.last is not None else activity.info().heartbeat_details)

    def _say(self, details: Sequence[Any]) -> None:
        self._said_at = time.monotonic()
        super().heartbeat(*details)


@contextlib.asynccontextmanager
async def beating(memory: _Memory, every: float) -> AsyncGenerator[None]:
    """Beats in the background while the body runs."""

    async def beat() -> None:
        while True:
            # Most activities end sooner: the server gave them a whole heartbeat timeout when it started them.
            await asyncio.sleep(every)
            memory.beat()

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()


@contextlib.contextmanager
def saying_what_to_do() -> Generator[None]:
    """Turns the errors that activities raise into what their workflow understands.

    One that nobody foresaw is tried again; from the fifth attempt on it needs a person.

    Each leaves without its cause: with the causes' stack traces it would exceed what Temporal keeps of a failure that is tried
    again, and people would read of that limit alone. The worker's log has what is left out (`in_one_line`).
    """
    try:
        yield
    except SlipwayError as error:
        raise to_application_error(error) from None
    except (BotoCoreError, ClientError) as error:
        raise to_application_error(classify(error)) from None
    except httpx.HTTPError as error:
        raise to_application_error(of_http(error)) from None
    except FailureError:
        raise  # Temporal's own, as a cancellation
    except Exception as error:  # noqa: BLE001 -- none is lost: each leaves under its name
        if activity.info().attempt < UNFORESEEN_ATTEMPTS:
            raise ApplicationError(_named(error), type=type(error).__name__) from None
        raise to_application_error(of_unforeseen(error)) from None


def of_unforeseen(error: Exception) -> SlipwayError:
    """What it means that an activity fails, again and again, as nobody thought it could."""
    info = activity.info()
    return NeedsPersonError(
        f"running {info.activity_type}, {info.attempt} times",
        _named(error),
        "nobody foresaw this error: the worker's log has the traceback; retry once the cause is fixed, or abort",
    )


def _named(error: Exception) -> str:
    return cap(f"{type(error).__name__}: {error}")


def in_one_line(record: logging.LogRecord) -> bool:
    """A filter of what the SDK logs: an error that was foreseen tells all in its text, any other needs its own traceback."""
    error = record.exc_info[1] if record.exc_info else None
    origin = error.__context__ if isinstance(error, ApplicationError) and error.__suppress_context__ else None
    if origin is None:
        return True
    record.exc_info = None if _is_foreseen(origin) else (type(origin), origin, origin.__traceback__)
    record.msg = f"{record.msg}: {' '.join(str(error).split())}"
    return True


def _is_foreseen(error: BaseException) -> bool:
    return isinstance(error, (SlipwayError, BotoCoreError, ClientError, httpx.HTTPError))


def of_http(error: httpx.HTTPError) -> SlipwayError:
    """What an HTTP error means."""
    tried = f"asking {_asked(error)}"
    if not isinstance(error, httpx.HTTPStatusError):
        return TransientError(tried, f"{type(error).__name__}: {error}")
    status = error.response.status_code
    answered = f"HTTP {status} {error.response.reason_phrase}"
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return TransientError(tried, answered)
    return NeedsPersonError(tried, answered, "fix what the answer says, then retry; or abort")


def _asked(error: httpx.HTTPError) -> str:
    try:
        request = error.request
    except RuntimeError:  # raised before there was a request
        return "by HTTP"
    # Without query and user: a signature or a token may be in them.
    return f"{request.method} {request.url.copy_with(query=None, username=None, password=None)}"

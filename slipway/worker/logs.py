"""Logs as one JSON object a line, or readable on a terminal; each with the promotion, activity and attempt it is about."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog
from structlog.types import EventDict, Processor, WrappedLogger
from temporalio import activity, workflow

from slipway.text import printable


def set_up_logging(level: str, stream: TextIO = sys.stderr) -> None:
    """Send all logs of this process through structlog.

    Args:
        level: The least level that is logged.
        stream: Where to; a terminal gets colours instead of JSON.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(allow=("promotion",)),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        say_what_it_is_about,
    ]
    ends: list[Processor] = (
        [
            structlog.processors.format_exc_info,
            make_harmless,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ]
        if stream.isatty()
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ends]
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # These tell of each request, with addresses that may be signed.
    for noisy in ("botocore", "boto3", "urllib3", "httpx", "httpcore", "s3transfer"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def make_harmless(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Takes out of texts, of strangers too, what would act on the terminal."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in event.items()}


def say_what_it_is_about(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Adds the promotion, the activity and its attempt to what is logged inside of one."""
    if activity.in_activity():
        info = activity.info()
        event.setdefault("promotion", info.workflow_id)
        event.setdefault("activity", info.activity_type)
        event.setdefault("attempt", info.attempt)
    elif workflow.in_workflow():
        event.setdefault("promotion", workflow.info().workflow_id)
    return event

"""What strangers send to a workflow, read into models: any number of payloads, of any encoding and size.

Anything that does not fit ends in a refusal of one short line. It must not end in an unexpected error: the workflow task would
fail again and again, and nobody could decide on, retry or abort the promotion any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from pydantic import BaseModel, ValidationError
    from pydantic_core import to_json

    from slipway.api import AppRef, PromotionInput
    from slipway.errors import RefusedError, cap
    from slipway.text import one_line

M = TypeVar("M", bound=BaseModel)
SIZE_LIMIT = 16_000
"""Bytes of what one person sends as JSON; the longest that makes sense has a quarter of that."""
REFUSAL_LIMIT = 300
"""Characters of a refusal."""
ERRORS_LISTED = 3
NOBODY = PromotionInput(app=AppRef(repository="unknown", branch="unknown"), image="unknown")
"""What was asked for, where that cannot be read."""


def refusal(text: str) -> ApplicationError:
    """The error that refuses what somebody sent: one short line."""
    return ApplicationError(cap(one_line(text), REFUSAL_LIMIT), type="Refused", non_retryable=True)


def read(
    payloads: Sequence[Any], model: type[M], *, limit: int | None = SIZE_LIMIT, extra: Literal["forbid", "ignore"] = "ignore"
) -> M:
    """A model from what somebody sent.

    Args:
        payloads: All of it, as the SDK decoded it (slipway/temporal/payloads.py).
        model: What it should be.
        limit: Bytes that it may have; none where a workflow of ours sent it.
        extra: Whether unknown members are an error.

    Raises:
        ApplicationError: It does not fit; the message says why.
    """
    if len(payloads) != 1:
        raise refusal(f"it takes one JSON object, not {len(payloads)} inputs; it looks like {example(model)}")
    content = _json(payloads[0])
    if content is None:
        raise refusal(f"its input is not JSON; it looks like {example(model)}")
    if limit is not None and len(content) > limit:
        raise refusal(f"its input has {len(content)} bytes, and at most {limit} are read")
    try:
        return model.model_validate_json(content, extra=extra)
    except ValidationError as error:
        raise refusal(f"{_listed(error)}; its input looks like {example(model)}") from None


def _json(value: Any) -> bytes | None:
    if isinstance(value, (RawValue, bytes)):
        return None
    try:
        return to_json(value)
    except (ValueError, RecursionError):
        return None


def _listed(error: ValidationError) -> str:
    errors = error.errors(include_url=False, include_input=False)
    listed = [f"{cap('.'.join(map(str, each['loc'])), 40) or 'input'}: {each['msg']}" for each in errors[:ERRORS_LISTED]]
    more = f"; and {len(errors) - ERRORS_LISTED} more" if len(errors) > ERRORS_LISTED else ""
    return f"{'; '.join(listed)}{more}"


def example(model: type[BaseModel]) -> str:
    """What an input looks like."""
    return "{" + ", ".join(f'"{field}": "…"' for field in model.model_fields if field != "carried") + "}"


def read_start(payloads: Sequence[Any]) -> tuple[PromotionInput, str]:
    """What a promotion was started with, and why it is refused; nothing where it is not.

    A promotion that goes on in a new run was looked at in its first one. Where its state cannot be read by this code, that is no
    reason to end it: the workflow task fails until a worker runs that can read it.

    Raises:
        ApplicationError: It goes on in a new run, and its state cannot be read.
    """
    repeats = _objection_to_repetition()
    if workflow.info().continued_run_id and not repeats:
        return read(payloads, PromotionInput, limit=None), ""
    try:
        request = read(payloads, PromotionInput)
        if request.carried is not None:
            # It would say which stages are done, and who approved.
            raise refusal("only a promotion itself carries its state into a new run")
    except ApplicationError as error:
        return NOBODY, f"the start was refused: {error.message}"
    return request, repeats or _objection_to_id(request)


def _objection_to_repetition() -> str:
    """Why Temporal must not repeat a start: such a run looks like one that goes on, and would take the starter's state."""
    info = workflow.info()
    asked = "a cron schedule" if info.cron_schedule else "a retry policy" if info.retry_policy else ""
    # An older release took those that it began.
    if not asked or not workflow.patched("no-repetition"):
        return ""
    return f"the start was refused: a promotion runs once, and it was started with {asked}; start it with `slipway start`"


def _objection_to_id(request: PromotionInput) -> str:
    """Why the workflow must not run under its id: by it a promotion is unique, and its effects are named after it."""
    try:
        wanted = request.promotion_id
    except RefusedError as error:
        return cap(one_line(str(error)), REFUSAL_LIMIT)
    except ValueError as error:
        return cap(one_line(f"the request has no id: {error}"), REFUSAL_LIMIT)
    found = workflow.info().workflow_id
    return (
        ""
        if found == wanted
        else f"the workflow id of this promotion is {wanted}, but it was started as {cap(one_line(found), 100)}"
    )

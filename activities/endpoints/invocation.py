"""One request to a model that is served."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ReadTimeoutError

from activities.endpoints.messages import SmokeAnswer
from slipway.app.answer_schema import AnswerSchema
from slipway.app.metric_paths import values_at
from slipway.app.spec import ExpectedValue
from slipway.aws.clients import INVOKE_TIMEOUT, Aws
from slipway.aws.errors import answer_of
from slipway.errors import RefusedError, SlipwayError, cap
from slipway.text import one_line

if TYPE_CHECKING:
    from types_boto3_sagemaker_runtime import SageMakerRuntimeClient

REQUEST_LIMIT = 6 * 1_024 * 1_024
"""The limit of InvokeEndpoint for many years; a smoke request needs no more."""
BODY_LIMIT = 1_024 * 1_024
"""Bytes of the answer that are looked at."""
VALUE_SHOWN = 100
"""Characters of a wrong value that are told."""
ANSWER_LIMIT = 1_000
"""Characters of the answer that are kept."""


@dataclass(frozen=True)
class Answered:
    """What came back from the model, even a bad answer."""

    status: int
    """The model's own HTTP status; 0 where it did not answer."""
    body: bytes
    error: str = ""
    """What the model or the endpoint said instead of an answer."""


async def invoke(
    aws: Aws, runtime: SageMakerRuntimeClient, endpoint: str, body: bytes, content_type: str, to: Mapping[str, str]
) -> Answered:
    """Sends the request and returns the answer, even a bad one.

    Args:
        aws: Where to find AWS.
        runtime: A client of the target's account.
        endpoint: The endpoint's name.
        body: The request.
        content_type: Its type, and the one that the answer is to have.
        to: Who is to answer, where there are several: `TargetVariant`, `TargetContainerHostname`.

    Raises:
        SlipwayError: The endpoint itself could not be asked.
    """
    tried = f"sending the smoke request to {endpoint}"
    if len(body) > REQUEST_LIMIT:
        raise RefusedError(tried, f"the payload has {len(body):,} bytes", f"keep it under {REQUEST_LIMIT:,} bytes")

    def ask() -> bytes:
        answer = runtime.invoke_endpoint(EndpointName=endpoint, ContentType=content_type, Accept=content_type, Body=body, **to)
        return answer["Body"].read(BODY_LIMIT + 1)

    try:
        content = await aws.call(tried, ask)
    except SlipwayError as error:
        said = model_error(error)
        if said is None:
            raise
        return Answered(status=_model_status(error), body=b"", error=said)
    return Answered(status=HTTPStatus.OK, body=content)


def judge(answer: Answered, status: int, values: Sequence[ExpectedValue], schema: AnswerSchema | None = None) -> SmokeAnswer:
    """Whether an answer is the right one. A large one takes seconds to hold against a schema.

    Args:
        answer: What came back.
        status: The HTTP status that is wanted.
        values: What it must have.
        schema: What it must be.
    """
    text = answer.body.decode(errors="replace")[:ANSWER_LIMIT]
    if answer.status != status:
        said = answer.error or f"the status is {answer.status}"
        wanted = "" if status == HTTPStatus.OK else f"; the status {status} is wanted"
        return SmokeAnswer(ok=False, body=text, error=f"{said}{wanted}"[:ANSWER_LIMIT])
    if not values and schema is None:
        return SmokeAnswer(ok=True, body=text)
    if len(answer.body) > BODY_LIMIT:
        said = f"the answer has more than {BODY_LIMIT:,} bytes, too many to look for what is wanted"
        return SmokeAnswer(ok=False, body=text, error=said)
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        wanted = "values of it are" if values else "one that fits a schema is"
        return SmokeAnswer(ok=False, body=text, error=f"the answer is not JSON, and {wanted} wanted")
    wrong = [said for value in values if (said := _objection(document, value))]
    if schema and (said := schema.objection(document)):
        wrong.append(said)
    return SmokeAnswer(ok=not wrong, body=text, error="; ".join(wrong)[:ANSWER_LIMIT])


def _objection(document: Any, wanted: ExpectedValue) -> str:
    """How an answer lacks a value; empty where it has it."""
    found: Any = next(values_at(document, wanted.path), None)
    if wanted.text is not None:
        right, shown = found == wanted.text, repr(wanted.text)
    else:
        number = wanted.number or 0.0
        right = type(found) in {int, float} and _is_near(found, number, wanted.tolerance)
        shown = f"{number:g} ± {wanted.tolerance:g}"
    return "" if right else f"{wanted.path} is {cap(one_line(repr(found)), VALUE_SHOWN)}, and {shown} is wanted"


def _is_near(found: float, number: float, tolerance: float) -> bool:
    try:
        away = abs(float(found) - number)
    except OverflowError:  # a whole number of hundreds of digits
        return False
    # 0.91 - 0.9 is slightly above 0.01 in binary floating point; the number is as near as it may be all the same.
    return away <= tolerance or math.isclose(away, tolerance, rel_tol=1e-9)


def _model_status(error: SlipwayError) -> int:
    """The HTTP status of a model that answered with an error."""
    response: Any = getattr(error.__cause__, "response", {})
    return int(response.get("OriginalStatusCode", 0))


def model_error(error: SlipwayError) -> str | None:
    """The model's error; none if it is not the model's fault."""
    if isinstance(error.__cause__, ReadTimeoutError):
        return f"no answer within {INVOKE_TIMEOUT} s"
    code, message = answer_of(error)
    return message[:ANSWER_LIMIT] if code == "ModelError" else None

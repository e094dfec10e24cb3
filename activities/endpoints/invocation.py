"""One request to a model that is served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import ReadTimeoutError

from activities.endpoints.messages import SmokeAnswer
from slipway.aws.clients import INVOKE_TIMEOUT, Aws
from slipway.aws.errors import answer_of
from slipway.errors import RefusedError, SlipwayError

if TYPE_CHECKING:
    from types_boto3_sagemaker_runtime import SageMakerRuntimeClient

REQUEST_LIMIT = 6 * 1_024 * 1_024
"""The limit of InvokeEndpoint for many years; a smoke request needs no more."""
ANSWER_LIMIT = 1_000
"""Characters of the answer that are kept."""


async def invoke(
    aws: Aws, runtime: SageMakerRuntimeClient, endpoint: str, body: bytes, content_type: str, to: Mapping[str, str]
) -> SmokeAnswer:
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

    def ask() -> str:
        answer = runtime.invoke_endpoint(EndpointName=endpoint, ContentType=content_type, Accept=content_type, Body=body, **to)
        return answer["Body"].read(4 * ANSWER_LIMIT).decode(errors="replace")[:ANSWER_LIMIT]

    try:
        text = await aws.call(tried, ask)
    except SlipwayError as error:
        said = model_error(error)
        if said is None:
            raise
        return SmokeAnswer(ok=False, body="", error=said)
    return SmokeAnswer(ok=True, body=text)


def model_error(error: SlipwayError) -> str | None:
    """The model's error; none if it is not the model's fault."""
    if isinstance(error.__cause__, ReadTimeoutError):
        return f"no answer within {INVOKE_TIMEOUT} s"
    code, message = answer_of(error)
    return message[:ANSWER_LIMIT] if code == "ModelError" else None

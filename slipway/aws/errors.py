"""What an error of AWS means: try again, ask a person, or refuse. The table is aws.md §7 of the project's notes.

One place departs from it: a `ValidationException`, an unknown resource and a spent quota go to a person instead of ending the
promotion, because SageMaker says so of a role that may not read a bucket as well as of a name that is wrong.
"""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoAuthTokenError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    TokenRetrievalError,
)
from botocore.exceptions import (
    ConnectionError as AwsConnectionError,
)

from slipway.errors import NeedsPersonError, RefusedError, SlipwayError, TransientError

THROTTLE_DELAY = timedelta(seconds=10)
BUSY_DELAY = timedelta(seconds=15)
_THROTTLES = ("Throttl", "TooManyRequests", "RequestLimitExceeded", "SlowDown")
_EXPIRED = ("ExpiredToken", "RequestExpired")
_DENIED = ("AccessDenied", "UnauthorizedOperation", "NotAuthorized")
_UNKNOWN_CLIENT = (
    "UnrecognizedClient",
    "InvalidClientTokenId",
    "InvalidSignature",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
)
_SERVER = ("ServerException", "InternalFailure", "InternalError", "InternalServer", "ServiceUnavailable", "InternalDependency")
_BUSY_MESSAGES = ("in-progress endpoint", "is currently being", "concurrent")
_QUOTAS = ("ResourceLimitExceeded", "LimitExceeded", "QuotaExceeded")


def code_of(error: BaseException) -> str:
    """AWS's error code, or an empty text where AWS did not answer."""
    return str(_answer(error).get("Code", "")) if isinstance(error, ClientError) else ""


def message_of(error: BaseException) -> str:
    """AWS's own words."""
    return str(_answer(error).get("Message", "")) if isinstance(error, ClientError) else str(error)


def answer_of(error: SlipwayError) -> tuple[str, str]:
    """Code and message of what AWS answered, of an error that `classify` made."""
    cause = error.__cause__
    return (code_of(cause), message_of(cause)) if cause is not None else ("", "")


def classify(error: BotoCoreError | ClientError, tried: str = "") -> SlipwayError:
    """The Slipway error that says what an AWS error means.

    Args:
        error: What botocore raised.
        tried: What the call was for; the operation's name where it is not given.
    """
    if isinstance(error, ClientError):
        return _of_answer(error, tried or f"calling {error.operation_name}")
    tried = tried or "calling AWS"
    said = str(error)
    match error:
        case HTTPClientError() | AwsConnectionError():
            return TransientError(tried, f"AWS could not be reached: {said}")
        case ParamValidationError():
            return RefusedError(tried, said, "correct the value in the application's files")
        case NoCredentialsError() | PartialCredentialsError() | NoAuthTokenError() | TokenRetrievalError():
            return NeedsPersonError(tried, said, "give the worker AWS credentials, then retry")
        case NoRegionError():
            return NeedsPersonError(tried, said, "set AWS_REGION for the worker, then retry")
        case _:
            return NeedsPersonError(tried, f"{type(error).__name__}: {said}", "mend what it says, then retry")


def _of_answer(error: ClientError, tried: str) -> SlipwayError:
    code, message = code_of(error), message_of(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said = f"{code}: {message}"
    if code.startswith(_THROTTLES) or status == HTTPStatus.TOO_MANY_REQUESTS:
        return TransientError(tried, said, "AWS slows the worker down; it is tried again by itself", THROTTLE_DELAY)
    if code.startswith(_SERVER) or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return TransientError(tried, said)
    if code.startswith(_EXPIRED):
        return TransientError(tried, said, "the credentials are renewed and it is tried again by itself")
    if _is_busy(error, code, message):
        return TransientError(tried, said, "the resource is busy; it is tried again by itself", BUSY_DELAY)
    return _for_a_person(error, code, tried, said)


def _for_a_person(error: ClientError, code: str, tried: str, said: str) -> SlipwayError:
    if code.startswith(_DENIED):
        return NeedsPersonError(tried, said, f"allow {action_of(error)} to the role that it names, then retry")
    if code.startswith(_UNKNOWN_CLIENT):
        return NeedsPersonError(tried, said, "check the worker's AWS credentials and its clock, then retry")
    if code.startswith(_QUOTAS):
        return NeedsPersonError(tried, said, "free some of it or ask AWS for a higher quota, then retry")
    if "NotFound" in code or "DoesNotExist" in code or code.startswith("NoSuch"):
        return NeedsPersonError(tried, said, "create what is missing or correct its name, then retry")
    return NeedsPersonError(tried, said, "mend what AWS says, then retry; or abort")


def _is_busy(error: ClientError, code: str, message: str) -> bool:
    # ECS says ConflictException of a client token that was used with other parameters: no retry mends that.
    conflict = code == "ConflictException" and error.operation_name not in {"RunTask", "CreateService"}
    return conflict or code.startswith("ResourceInUse") or any(part in message for part in _BUSY_MESSAGES)


def action_of(error: ClientError) -> str:
    """The IAM action that a call needs, as AWS's message names it, else the operation."""
    words = message_of(error).replace(":", " : ").split()
    for before, colon, after in zip(words, words[1:], words[2:], strict=False):
        if colon == ":" and before.replace("-", "").isalnum() and after.isalnum() and after[:1].isupper():
            return f"{before}:{after}"
    return str(error.operation_name)


def _answer(error: ClientError) -> dict[str, Any]:
    return dict(error.response.get("Error", {}))

"""What an error of AWS means: try again, ask a person, or refuse. `RULES` is the whole table; the first rule that fits decides.

SageMaker answers `ValidationException` to a role that may not read a bucket as well as to a wrong name. So invalid values,
unknown resources and used-up quotas go to a person instead of ending the promotion.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
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

from slipway.errors import Ending, NeedsPersonError, RefusedError, SlipwayError, TransientError

BY_ITSELF = "it is tried again by itself"


@dataclass(frozen=True)
class Rule:
    """What one kind of answer means. Every condition that is given must hold."""

    codes: tuple[str, ...]
    """Patterns of AWS's error codes, as `Throttl*`."""
    ending: Ending
    remedy: str
    """What a person can do. `{action}` stands for the IAM action of the call."""
    operations: tuple[str, ...] = ()
    """Only answers of these operations."""
    says: tuple[str, ...] = ()
    """Only messages with one of these texts, in lower case."""
    statuses: Container[int] = range(1_000)
    """Only answers with one of these HTTP statuses."""
    delay: timedelta | None = None
    """How long to wait before the next try."""

    def fits(self, error: ClientError) -> bool:
        """Whether the rule is about this error."""
        message = message_of(error).lower()
        return (
            any(fnmatchcase(code_of(error), code) for code in self.codes)
            and (not self.operations or error.operation_name in self.operations)
            and (not self.says or any(text in message for text in self.says))
            and status_of(error) in self.statuses
        )


ANY = ("*",)
THROTTLES = ("*Throttl*", "TooManyRequests*", "RequestLimitExceeded", "SlowDown", "OverLimit")
RULES = (
    # Passes by itself.
    Rule(
        THROTTLES,
        Ending.transient,
        f"AWS slows the worker down; {BY_ITSELF}",
        delay=timedelta(seconds=10),
    ),
    Rule(
        ANY,
        Ending.transient,
        f"AWS slows the worker down; {BY_ITSELF}",
        statuses=(HTTPStatus.TOO_MANY_REQUESTS,),
        delay=timedelta(seconds=10),
    ),
    Rule(
        (
            "ServerException*",
            "InternalFailure*",
            "InternalError*",
            "InternalServer*",
            "InternalServiceException",
            "ServiceUnavailable*",
            "InternalDependency*",
        ),
        Ending.transient,
        BY_ITSELF,
    ),
    Rule(("ModelNotReadyException",), Ending.transient, f"the model is being loaded; {BY_ITSELF}"),
    Rule(ANY, Ending.transient, BY_ITSELF, statuses=range(500, 1_000)),
    Rule(("ExpiredToken*", "RequestExpired*"), Ending.transient, f"the credentials are renewed and {BY_ITSELF}"),
    Rule(
        ("ClientException",),
        Ending.transient,
        f"{BY_ITSELF} until there is room",
        operations=("RunTask",),
        # Capacity that Fargate lacks now, and the quota of tasks in PROVISIONING on a cluster with managed scaling.
        says=("capacity is unavailable", "provisioning"),
        delay=timedelta(seconds=30),
    ),
    Rule(
        ("ConflictException",),
        Ending.needs_person,
        "the client token was used with other arguments, which waiting does not change; retry runs the task with a new token",
        operations=("RunTask",),
    ),
    Rule(
        ("ConflictException", "ResourceInUse*", "ResourceConflict", "ConcurrentUpdateException"),
        Ending.transient,
        f"the resource is busy; {BY_ITSELF}",
        delay=timedelta(seconds=15),
    ),
    Rule(
        ANY,
        Ending.transient,
        f"the resource is busy; {BY_ITSELF}",
        says=("in-progress endpoint", "is currently being", "concurrent"),
        delay=timedelta(seconds=15),
    ),
    Rule(("UploadNotFoundException",), Ending.transient, f"the upload has expired; {BY_ITSELF}"),
    # Permissions and accounts.
    Rule(
        ("AccessDenied*", "UnauthorizedOperation*", "NotAuthorized*"),
        Ending.needs_person,
        "allow {action} to the role that it names, then retry",
    ),
    Rule(
        (
            "UnrecognizedClient*",
            "InvalidClientTokenId*",
            "InvalidSignature*",
            "SignatureDoesNotMatch*",
            "IncompleteSignature*",
        ),
        Ending.needs_person,
        "check the worker's AWS credentials and its clock, then retry",
    ),
    Rule(
        ("FailedResourceAccessException",),
        Ending.needs_person,
        "let Application Auto Scaling reach the alarms of its policies, by its service-linked role; then retry",
    ),
    Rule(
        ("Kms*",),
        Ending.needs_person,
        "let the worker's role use the KMS key of the event queue",
        operations=("ReceiveMessage",),
    ),
    Rule(("KmsException",), Ending.needs_person, "let the worker's role use the repository's KMS key, then retry"),
    Rule(("BlockedException",), Ending.needs_person, "AWS has blocked the account: ask AWS Support, then retry"),
    Rule(("RegionDisabledException",), Ending.needs_person, "activate STS for the region in the account, then retry"),
    Rule(
        ("MalformedPolicyDocument", "PackedPolicyTooLarge"),
        Ending.needs_person,
        "shorten or correct the policies and tags of the role's session, then retry",
    ),
    # Quotas and things that are not there.
    Rule(
        ("ResourceLimitExceeded*", "LimitExceeded*", "QuotaExceeded*", "TooManyTags*"),
        Ending.needs_person,
        "free some of it or ask AWS for a higher quota, then retry",
    ),
    Rule(
        ("UnableToGetUpstream*",),
        Ending.needs_person,
        "check the pull-through cache rule of the registry and its secret, then retry",
    ),
    Rule(("LayerInaccessibleException", "InvalidLayer*"), Ending.needs_person, "push the image again, then retry"),
    Rule(("LayerPartTooSmallException", "EmptyUploadException"), Ending.needs_person, "push the image again, then retry"),
    Rule(("InvalidObjectState",), Ending.needs_person, "restore the object from its archive storage class, then retry"),
    Rule(
        ("*NotFound*", "*DoesNotExist*", "NoSuch*"),
        Ending.needs_person,
        "create what is missing or correct its name, then retry",
    ),
    # Values that do not fit.
    Rule(
        ("*AlreadyExist*", "ImageDigestDoesNotMatchException"),
        Ending.needs_person,
        "see who made what exists already; remove it if nothing needs it, then retry",
    ),
    Rule(
        ("PlatformUnknownException", "PlatformTaskDefinitionIncompatibilityException", "UnsupportedFeatureException"),
        Ending.needs_person,
        "correct the task definition or the launch type in the app's folder, then start again",
    ),
    Rule(
        ("InvalidAddress", "InvalidSecurity", "InvalidIdFormat", "ReceiptHandle*", "UnsupportedOperation", "*Batch*"),
        Ending.needs_person,
        "see that SLIPWAY_EVENT_QUEUE names the queue, and its settings",
        operations=("ReceiveMessage", "DeleteMessageBatch"),
    ),
    Rule(("ModelError",), Ending.needs_person, "see the log of the model's container; then retry, or abort"),
    Rule(("ClientException",), Ending.needs_person, "fix what ECS says, then retry; or abort"),
    Rule(
        ("Validation*", "InvalidParameter*", "InvalidNextToken*", "InvalidFormat*"),
        Ending.needs_person,
        "fix what AWS says, then retry; or abort",
    ),
)
UNFORESEEN = Rule(ANY, Ending.needs_person, "fix what AWS says, then retry; or abort")
"""For an answer that no rule is about."""


def rule_of(error: ClientError) -> Rule:
    """The first rule that fits."""
    return next((rule for rule in RULES if rule.fits(error)), UNFORESEEN)


def code_of(error: BaseException) -> str:
    """AWS's error code, or an empty text where AWS did not answer."""
    return str(_answer(error).get("Code", "")) if isinstance(error, ClientError) else ""


def message_of(error: BaseException) -> str:
    """AWS's own words."""
    return str(_answer(error).get("Message", "")) if isinstance(error, ClientError) else str(error)


def status_of(error: ClientError) -> int:
    """The HTTP status, or 0 where it is not known."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def answer_of(error: SlipwayError) -> tuple[str, str]:
    """Code and message of what AWS answered, of an error that `classify` made."""
    cause = error.__cause__
    return (code_of(cause), message_of(cause)) if cause is not None else ("", "")


def is_throttle(error: SlipwayError) -> bool:
    """Whether AWS slows the worker down."""
    cause = error.__cause__
    return isinstance(cause, ClientError) and (
        any(fnmatchcase(code_of(cause), code) for code in THROTTLES) or status_of(cause) == HTTPStatus.TOO_MANY_REQUESTS
    )


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
            return NeedsPersonError(tried, f"{type(error).__name__}: {said}", "fix what it says, then retry")


def _of_answer(error: ClientError, tried: str) -> SlipwayError:
    rule = rule_of(error)
    said = f"{code_of(error)}: {message_of(error)}"
    if rule.ending is Ending.transient:
        return TransientError(tried, said, rule.remedy, rule.delay)
    return NeedsPersonError(tried, said, rule.remedy.format(action=action_of(error)))


def action_of(error: ClientError) -> str:
    """The IAM action that a call needs, as AWS's message names it, else the operation."""
    words = message_of(error).replace(":", " : ").split()
    for before, colon, after in zip(words, words[1:], words[2:], strict=False):
        if colon == ":" and before.replace("-", "").isalnum() and after.isalnum() and after[:1].isupper():
            return f"{before}:{after}"
    return str(error.operation_name)


def _answer(error: ClientError) -> dict[str, Any]:
    return dict(error.response.get("Error", {}))

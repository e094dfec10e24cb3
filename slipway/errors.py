"""The three ends that an error has. How they cross Temporal is in slipway/temporal/failures.py.

    SlipwayError
    ├── TransientError    tries again by itself: a network, a throttle, a busy resource
    │   └── ScaledNowError        an endpoint is given another number of instances at this moment
    ├── NeedsPersonError  parks the stage: a permission, a quota, a failed task or pipeline; an operator fixes it and says `retry`
    │   ├── ChangedSinceApprovalError  parks as well; `retry` asks people to approve again
    │   └── MayPassError               parks as well; hours before, it may still be over in time
    └── RefusedError      ends the promotion: bad input, a gate that is not met

Each says what was tried, what came back, and what to do about it.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from slipway.text import without_surrogates

TEXT_LIMIT = 1_000
"""Characters of each part of an error that cross Temporal."""
RETRIED_LIMIT = 450
"""The same for an error that is tried again: Temporal keeps 4 KiB of such a failure, where each part is twice in it, once as text
and once by itself, beside a stack trace of 1 KiB."""


class Ending(StrEnum):
    """What an error means for its stage. The value is the `type` of the ApplicationError that carries it."""

    transient = "Transient"
    needs_person = "NeedsPerson"
    refused = "Refused"


class FailureReport(BaseModel):
    """An error as an operator reads it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ending: Ending
    tried: str
    answered: str
    remedy: str
    voids_approval: bool = False
    """Whether people have to approve again before the promotion goes on."""

    def __str__(self) -> str:
        return f"{self.tried}: {self.answered} -- {self.remedy}"


class SlipwayError(Exception):
    """Base of every error that Slipway raises on purpose.

    Args:
        tried: What was tried, as "copying the image a to b".
        answered: What came back: an AWS error code and message, git's own words, a value that was found.
        remedy: What a person can do about it, with the command where there is one.
    """

    ending: ClassVar[Ending]
    limit: ClassVar[int] = TEXT_LIMIT
    voids_approval: ClassVar[bool] = False

    def __init__(self, tried: str, answered: str, remedy: str) -> None:
        tried, answered, remedy = (cap(text, self.limit) for text in (tried, answered, remedy))
        self.report = FailureReport(
            ending=self.ending, tried=tried, answered=answered, remedy=remedy, voids_approval=self.voids_approval
        )
        super().__init__(str(self.report))


class TransientError(SlipwayError):
    """Worth another try by itself.

    Args:
        retry_after: How long to wait first, where the other side said so.
    """

    ending = Ending.transient
    limit = RETRIED_LIMIT

    def __init__(
        self, tried: str, answered: str, remedy: str = "it is tried again by itself", retry_after: timedelta | None = None
    ) -> None:
        super().__init__(tried, answered, remedy)
        self.retry_after = retry_after


class ScaledNowError(TransientError):
    """An endpoint gets another number of instances at this moment, by autoscaling or by hand."""


class NeedsPersonError(SlipwayError):
    """A person can fix it; the stage parks until then."""

    ending = Ending.needs_person


class ChangedSinceApprovalError(NeedsPersonError):
    """What would be served is not what was approved; after `retry` people are asked again."""

    voids_approval = True


class MayPassError(NeedsPersonError):
    """What keeps a stage from going on now, and may be over where the stage is hours away: an update, an alarm that is on."""


class RefusedError(SlipwayError):
    """No retry can fix it; the promotion ends."""

    ending = Ending.refused


def cap(text: str, limit: int = TEXT_LIMIT) -> str:
    """The text, cut in its middle where it is too long for a failure: both ends of a message tell the most.

    Half of a surrogate pair, which JSON of strangers may have, becomes `�`: no failure and no result could be sent with it.
    """
    text = without_surrogates(text)
    if len(text) <= limit:
        return text
    half = limit // 2 - 10
    return f"{text[:half]} […] {text[-half:]}"

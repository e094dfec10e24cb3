"""Errors on their way through Temporal: from an activity to its workflow, and from there to an operator."""

from __future__ import annotations

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, FailureError

from slipway.errors import Ending, FailureReport, SlipwayError, TransientError, cap


def to_application_error(error: SlipwayError) -> ApplicationError:
    """The error as an activity raises it to its workflow."""
    return ApplicationError(
        str(error),
        error.report,
        type=error.ending.value,
        non_retryable=error.ending is not Ending.transient,
        next_retry_delay=error.retry_after if isinstance(error, TransientError) else None,
        # A transient fault that heals is no news: logged at DEBUG, counted in no failure metric.
        category=ApplicationErrorCategory.BENIGN if error.ending is Ending.transient else ApplicationErrorCategory.UNSPECIFIED,
    )


def report_of(error: BaseException) -> FailureReport:
    """What an operator reads about a failed activity or child workflow, whoever wrapped it how often.

    An error that Slipway did not foresee needs a person: nothing is known about what a retry would do. So does a transient one
    that comes this far: the time for trying again is over.
    """
    innermost: BaseException = error
    while innermost.__cause__ is not None:
        if isinstance(innermost, ApplicationError) and innermost.type in list(Ending):
            break
        innermost = innermost.__cause__
    if isinstance(innermost, ApplicationError) and innermost.details:
        return _to_a_person(FailureReport.model_validate(innermost.details[0]))
    message = innermost.message if isinstance(innermost, FailureError) else str(innermost)
    return FailureReport(
        ending=Ending.needs_person,
        tried="running a step of the promotion",
        answered=cap(f"{type(innermost).__name__}: {message}"),
        remedy="see the worker's log; retry once the cause is mended, or abort",
    )


def _to_a_person(report: FailureReport) -> FailureReport:
    if report.ending is not Ending.transient:
        return report
    remedy = "it was tried again by itself until the time for it was over; retry once what it says has passed, or abort"
    return report.model_copy(update={"ending": Ending.needs_person, "remedy": remedy})

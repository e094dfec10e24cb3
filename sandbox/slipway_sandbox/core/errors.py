"""Errors as AWS sends them over the wire."""

from __future__ import annotations

from typing import Any


class AwsError(Exception):
    """An error answer in AWS's wire format.

    Args:
        code: The modelled or common error code, such as `ValidationException`. Clients match on it.
        message: The text that AWS sends with it. Clients match on that, too.
        status: The HTTP status.
        fields: Further members of the error's shape, such as `resourceIds`.
    """

    def __init__(self, code: str, message: str, status: int = 400, **fields: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields


class LostConnectionError(Exception):
    """Raised by a planted fault, so that the client's connection is cut."""


def validation_error(message: str) -> AwsError:
    """The error with which SageMaker and ECS refuse an invalid request."""
    return AwsError("ValidationException", message)


def boto3_error() -> type[Exception]:
    """What boto3's transfers raise in addition to botocore's errors. Imported when needed: boto3 is a third of the start."""
    from boto3.exceptions import Boto3Error  # noqa: PLC0415

    return Boto3Error

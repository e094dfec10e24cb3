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
    """The client is to see its connection cut: what a planted fault raises."""


def validation_error(message: str) -> AwsError:
    """SageMaker's and ECS's way to say that a request makes no sense."""
    return AwsError("ValidationException", message)


def boto3_error() -> type[Exception]:
    """What boto3's transfers raise beside botocore's errors. Imported when one is looked for: boto3 is a third of the start."""
    from boto3.exceptions import Boto3Error  # noqa: PLC0415

    return Boto3Error

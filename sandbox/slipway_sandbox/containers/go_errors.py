"""Failed calls in the words of AWS's own agents, which are written in Go."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError


def go_error(error: Exception) -> str:
    """A failed call as the AWS SDK for Go spells it, which ECS and its log driver show."""
    if not isinstance(error, ClientError):
        return str(error)
    response: Any = error.response
    code, message = response["Error"]["Code"], response["Error"].get("Message", "")
    service = {
        "GetSecretValue": "Secrets Manager",
        "GetParameters": "SSM",
        "GetObject": "S3",
        "GetAuthorizationToken": "ECR",
        "CreateLogGroup": "CloudWatch Logs",
        "CreateLogStream": "CloudWatch Logs",
    }.get(error.operation_name, "STS")
    metadata = response.get("ResponseMetadata", {})
    return (
        f"operation error {service}: {error.operation_name}, https response error StatusCode: "
        f"{metadata.get('HTTPStatusCode')}, RequestID: {metadata.get('RequestId')}, api error {code}: {message}"
    )

"""Lists in pages, as requests ask for them by `maxResults` and `nextToken`, or by `MaxResults` and `NextToken`."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, TypeVar

from slipway_sandbox.core.errors import AwsError

Item = TypeVar("Item")
DEFAULT_SIZE = 100


def page(items: Sequence[Item], request: dict[str, Any]) -> tuple[Sequence[Item], str | None]:
    """The page that a request asks for, and the token of the next one, None at the end.

    Raises:
        AwsError: The token is not one that was handed out.
    """
    start = _start_of(request.get("nextToken"))
    end = start + request.get("maxResults", DEFAULT_SIZE)
    more = base64.b64encode(f"from-{end}".encode()).decode() if end < len(items) else None
    return items[start:end], more


def numbered_page(items: Sequence[Item], request: dict[str, Any], size: int, refusal: AwsError) -> tuple[list[Item], str | None]:
    """The page that a request asks for by `MaxResults` and `NextToken`, and the token of the next one, None at the end.

    Args:
        items: All there are.
        request: The request.
        size: The items of a page if the request does not say.
        refusal: What is raised if the token is not one that was handed out.
    """
    token = request.get("NextToken", "0")
    if not token.isdecimal():
        raise refusal
    start = int(token)
    end = start + request.get("MaxResults", size)
    return list(items[start:end]), str(end) if end < len(items) else None


def _start_of(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.b64decode(token, validate=True).decode().removeprefix("from-"))
    except ValueError as error:
        raise AwsError(
            "InvalidParameterException", "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'"
        ) from error

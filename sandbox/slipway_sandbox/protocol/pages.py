"""Lists in pages, as `maxResults` and `nextToken` ask for them."""

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
        AwsError: The token is none of this sandbox's.
    """
    start = _start_of(request.get("nextToken"))
    end = start + request.get("maxResults", DEFAULT_SIZE)
    more = base64.b64encode(f"from-{end}".encode()).decode() if end < len(items) else None
    return items[start:end], more


def _start_of(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.b64decode(token, validate=True).decode().removeprefix("from-"))
    except ValueError as error:
        raise AwsError(
            "InvalidParameterException", "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'"
        ) from error

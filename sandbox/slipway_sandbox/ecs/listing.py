"""Pages of ECS's lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.ecs import errors
from slipway_sandbox.protocol import pages

Item = TypeVar("Item")
LARGEST_PAGE = 100


def page(items: Sequence[Item], request: dict[str, Any], largest: int = LARGEST_PAGE) -> tuple[Sequence[Item], str | None]:
    """The page that a request asks for, and the token of the next one, None at the end.

    Args:
        items: All there are.
        request: Has `maxResults` and `nextToken`.
        largest: The most that one page has, and the size of one that no size is asked for.

    Raises:
        AwsError: `InvalidParameterException`.
    """
    size = request.get("maxResults") or largest
    if not 1 <= size <= largest:
        raise errors.invalid_parameter(f"maxResults must be between 1 and {largest}.")
    try:
        return pages.page(items, {**request, "maxResults": size})
    except AwsError as error:
        raise errors.invalid_parameter("Invalid token.") from error

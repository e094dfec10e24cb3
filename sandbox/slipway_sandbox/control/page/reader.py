"""Asks the sandbox's own AWS API, so that the page shows what a client would see."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.world import World

log = logging.getLogger(__name__)

SHOWN = 50
"""Items of a list that are shown, the latest ones."""
COUNTED = 1_000
"""Items up to which a list is counted."""
PAGE_SIZE = 100
FIXED_PAGES = frozenset({"ListMetrics"})
"""Calls that do not let one choose how long a page is."""
REMEMBERED = 5_000
"""Answers that are kept because they will not change."""


class Memory:
    """Answers that will not change any more, by what they are about. Of one account and region."""

    def __init__(self) -> None:
        self._answers: dict[Hashable, dict[str, Any]] = {}

    def get(self, key: Hashable, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The kept answer, or a new one, which is kept."""
        if key not in self._answers:
            if len(self._answers) >= REMEMBERED:
                self._answers.clear()
            self._answers[key] = ask()
        return self._answers[key]


class Reader:
    """The AWS API as one account sees it in one region.

    Args:
        world: Gives the clients.
        caller: The account and region.
        memory: Keeps what will not change, from one reading to the next.
    """

    def __init__(self, world: World, caller: Caller, memory: Memory) -> None:
        self._world = world
        self._caller = caller
        self.memory = memory
        self.problems: list[str] = []
        """What could not be read."""

    def ask(self, service: str, operation: str, **request: Any) -> dict[str, Any]:
        """One call's answer; empty where it is refused, because what was listed may be gone by then."""
        client = self._world.client(service, self._caller)
        try:
            return getattr(client, xform_name(operation))(**request)
        except (ClientError, BotoCoreError) as error:
            log.debug("%s.%s for the page was refused: %s", service, operation, error)
            return {}

    def listed(self, service: str, operation: str, member: str, **request: Any) -> tuple[list[Any], bool]:
        """Up to `COUNTED` items of a List or Describe call that comes in pages, and whether there are more."""
        client = self._world.client(service, self._caller)
        paginator = client.get_paginator(xform_name(operation))
        limits = {"MaxItems": COUNTED} | ({} if operation in FIXED_PAGES else {"PageSize": PAGE_SIZE})
        try:
            found = paginator.paginate(PaginationConfig=limits, **request).build_full_result()
        except (ClientError, BotoCoreError) as error:
            if not is_not_there(error):
                self.problems.append(f"{service}.{operation}: {error}")
            return [], False
        return found.get(member, []), "NextToken" in found


def is_not_there(error: Exception) -> bool:
    """Whether the sandbox has no such operation, so that there is nothing of it to show."""
    return isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") == "NotImplemented"


def latest(items: Sequence[dict[str, Any]], moment: str, *, more: bool = False) -> dict[str, Any]:
    """The latest items of a list, with how many there are.

    Args:
        items: The items.
        moment: The member to sort by; those that lack it come last.
        more: Whether there are more than these.
    """
    dated = sorted((item for item in items if item.get(moment)), key=lambda item: item[moment], reverse=True)
    undated = [item for item in items if not item.get(moment)]
    return {"items": [*dated, *undated][:SHOWN], "total": len(items), "more": more}

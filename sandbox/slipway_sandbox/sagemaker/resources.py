"""Named SageMaker resources: their ARNs, their errors, and how lists of them are cut into pages."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError, validation_error
from slipway_sandbox.protocol.pages import numbered_page

DEFAULT_PAGE = 10
"""Items in a page of a List call that does not say, as on AWS."""


class Named(Protocol):
    """What a table holds."""

    @property
    def name(self) -> str: ...

    @property
    def created(self) -> datetime: ...


T = TypeVar("T", bound=Named)
Item = TypeVar("Item")


class Table(Generic[T]):
    """Resources of one kind, by account, region and name.

    Args:
        kind: The kind as AWS's messages call it, such as `endpoint configuration`.
        segment: The kind as ARNs spell it, such as `endpoint-config`.
    """

    def __init__(self, kind: str, segment: str) -> None:
        self._kind = kind
        self._segment = segment
        self.rows: dict[tuple[str, str, str], T] = {}
        """The resources by account, region and name."""

    def arn(self, caller: Caller, name: str) -> str:
        """The ARN of a resource in the caller's account and region; SageMaker spells names in ARNs in lower case."""
        return f"arn:aws:sagemaker:{caller.region}:{caller.account}:{self._segment}/{name.lower()}"

    def find(self, caller: Caller, name: str) -> T | None:
        """The resource, or None."""
        return self.rows.get((caller.account, caller.region, name))

    def get(self, caller: Caller, name: str) -> T:
        """The resource.

        Raises:
            AwsError: `Could not find …`.
        """
        found = self.find(caller, name)
        if found is None:
            raise self.missing(caller, name)
        return found

    def missing(self, caller: Caller, name: str) -> AwsError:
        """What says that a resource is not there."""
        return validation_error(f'Could not find {self._kind} "{self.arn(caller, name)}".')

    def add(self, caller: Caller, item: T) -> None:
        """Keep a new resource.

        Raises:
            AwsError: `Cannot create already existing …`.
        """
        if self.find(caller, item.name) is not None:
            raise validation_error(f'Cannot create already existing {self._kind} "{self.arn(caller, item.name)}".')
        self.rows[caller.account, caller.region, item.name] = item

    def remove(self, caller: Caller, name: str) -> None:
        """Forget a resource, which need not be there."""
        self.rows.pop((caller.account, caller.region, name), None)

    def all_of(self, caller: Caller) -> list[T]:
        """The resources of the caller's account and region, oldest first."""
        return [item for (account, region, _), item in self.rows.items() if (account, region) == (caller.account, caller.region)]

    def clear(self, account: str | None) -> list[T]:
        """Forget those of one account, or all; returns them."""
        gone = [key for key in self.rows if account in (None, key[0])]
        return [self.rows.pop(key) for key in gone]


def within(moment: datetime, request: dict[str, Any], field: str) -> bool:
    """Whether a moment lies between the request's `<field>After` and `<field>Before`, where it names them."""
    after, before = request.get(f"{field}After"), request.get(f"{field}Before")
    return (after is None or moment > after) and (before is None or moment < before)


def select(items: Iterable[T], request: dict[str, Any]) -> list[T]:
    """The items a List request asks for, by part of the name and by creation time, in the order it asks for.

    AWS sorts by creation time, the newest first, unless told otherwise.
    """
    wanted = request.get("NameContains", "").lower()
    found = [item for item in items if wanted in item.name.lower() and within(item.created, request, "CreationTime")]
    by_name = request.get("SortBy") == "Name"
    descending = request.get("SortOrder", "Ascending" if by_name else "Descending") == "Descending"
    return sorted(found, key=lambda item: item.name if by_name else item.created.isoformat(), reverse=descending)


def page(items: list[Item], request: dict[str, Any]) -> tuple[list[Item], str | None]:
    """One page of a list, and the token of the next one.

    Raises:
        AwsError: The token is none that was handed out.
    """
    return numbered_page(items, request, DEFAULT_PAGE, validation_error("The NextToken is not valid."))

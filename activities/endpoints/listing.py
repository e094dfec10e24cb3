"""Which endpoints changed, a hundred a call."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from activities.endpoints import deployment
from activities.endpoints.served import SageMakerAccount
from slipway.aws.looking import Listed, Listing

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import DescribeEndpointOutputTypeDef

    Endpoint = DescribeEndpointOutputTypeDef | None

LISTED_TWICE = timedelta(minutes=2)
"""How far each list reaches back behind the one before: lists lag behind, and clocks differ."""
WHOLE_EVERY = 10
"""Rounds after which everything is listed once, whenever it changed."""
PAGES = 50
"""Pages of a list that are read."""


class EndpointChanges:
    """Lists what changed since the list before.

    Args:
        account: Whose endpoints.
    """

    def __init__(self, account: SageMakerAccount) -> None:
        self._account = account
        self._lists = 0
        self._since = datetime.now(UTC)

    async def __call__(self, known: Mapping[str, Endpoint]) -> Listing:
        """The marks of those that are followed and listed."""
        self._lists += 1
        begun, whole = datetime.now(UTC), self._lists % WHOLE_EVERY == 0
        listed, is_last = await self._list({} if whole else {"LastModifiedTimeAfter": self._since - LISTED_TWICE})
        self._since = begun
        marks = {key: listed[key.lower()] for key in known if key.lower() in listed}
        return Listing(marks, whole=whole and is_last)

    async def _list(self, arguments: dict[str, Any]) -> tuple[dict[str, Hashable], bool]:
        """The mark of each endpoint by its name in lower case, in which names are the same; and whether there are no more."""
        account, token = self._account, ""
        list_endpoints = cast("Any", account.sagemaker.list_endpoints)
        listed: dict[str, Hashable] = {}
        for _ in range(PAGES):
            more = {"NextToken": token} if token else {}
            answer = await account.aws.call(
                f"listing the endpoints in {account.region} that changed",
                list_endpoints,
                MaxResults=100,
                **arguments,
                **more,
            )
            for each in answer["Endpoints"]:
                listed[each["EndpointName"].lower()] = (each["EndpointStatus"], each["LastModifiedTime"])
            token = answer.get("NextToken", "")
            if not token:
                return listed, True
        return listed, False


def followed_endpoints(account: SageMakerAccount) -> Listed[Endpoint]:
    """How endpoints of an account and region are followed."""
    return Listed(account.endpoint, EndpointChanges(account), _mark_of, _is_at_rest)


def _mark_of(endpoint: Endpoint) -> Hashable:
    return (endpoint["EndpointStatus"], endpoint["LastModifiedTime"]) if endpoint else None


def _is_at_rest(endpoint: Endpoint) -> bool:
    return endpoint is None or not deployment.is_moving(endpoint)

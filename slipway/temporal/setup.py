"""Makes what Slipway needs in Temporal: the namespace and its search attributes. Safe to repeat."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from pydantic import BaseModel, ConfigDict
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeIndexedValueType
from temporalio.service import RPCError, RPCStatusCode

from slipway.errors import NeedsPersonError, TransientError
from slipway.temporal import search_attributes

RETENTION = timedelta(days=30)
"""How long a namespace that is made here keeps promotions that are over."""
PATIENCE = 60.0
"""Seconds in which a change must be seen: servers cache namespaces."""
_TYPES = {
    SearchAttributeIndexedValueType.KEYWORD: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    SearchAttributeIndexedValueType.KEYWORD_LIST: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
}
Attributes = dict[str, IndexedValueType.ValueType]
WANTED: Attributes = {key.name: _TYPES[key.indexed_value_type] for key in search_attributes.ALL}


class SetupResult(BaseModel):
    """What was made, and what existed already."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: str
    namespace_made: bool
    attributes_made: tuple[str, ...]
    attributes_kept: tuple[str, ...]


async def set_up(client: Client, retention: timedelta = RETENTION) -> SetupResult:
    """Make what is missing.

    Raises:
        SlipwayError: Temporal refused, or has an attribute of another type.
    """
    made = await _make_namespace(client, retention)
    known = await _attributes(client, PATIENCE)
    missing = missing_attributes(known)
    if missing:
        wanted = {name: WANTED[name] for name in missing}
        try:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes=wanted)
            )
        except RPCError as error:
            # Another set-up may have been faster; what is there is looked at below.
            if error.status is not RPCStatusCode.ALREADY_EXISTS:
                raise _refused(f"adding the search attributes {', '.join(missing)}", error) from error
        await _until_there(client)
    kept = tuple(name for name in WANTED if name not in missing)
    return SetupResult(namespace=client.namespace, namespace_made=made, attributes_made=missing, attributes_kept=kept)


async def check(client: Client) -> None:
    """See that what `set_up` makes is there.

    Raises:
        NeedsPersonError: Something is not; it says what to run.
    """
    missing = missing_attributes(await _attributes(client))
    if missing:
        raise NeedsPersonError(
            f"looking at the namespace {client.namespace}",
            f"it has no search attributes {', '.join(missing)}",
            "run `slipway setup`",
        )


def missing_attributes(known: Attributes) -> tuple[str, ...]:
    """The search attributes that are not there.

    Raises:
        NeedsPersonError: One is there with another type.
    """
    for name, kind in WANTED.items():
        if name in known and known[name] != kind:
            raise NeedsPersonError(
                f"looking at the search attribute {name}",
                f"it has the type {IndexedValueType.Name(known[name])}, and {IndexedValueType.Name(kind)} is needed",
                f"remove it with `temporal operator search-attribute remove --name {name}`, or use another namespace",
            )
    return tuple(name for name in WANTED if name not in known)


async def _make_namespace(client: Client, retention: timedelta) -> bool:
    service = client.workflow_service
    try:
        await service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise _refused(f"looking at the namespace {client.namespace}", error) from error
    else:
        return False
    request = RegisterNamespaceRequest(namespace=client.namespace)
    request.workflow_execution_retention_period.FromTimedelta(retention)
    try:
        await service.register_namespace(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise _refused(f"making the namespace {client.namespace}", error) from error
        return False
    return True


async def _attributes(client: Client, patience: float = 0) -> Attributes:
    """The namespace's own search attributes by type; a namespace that was just made may not be known for a while."""
    tried = f"looking at the search attributes of the namespace {client.namespace}"
    deadline = time.monotonic() + patience
    while True:
        try:
            answer = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace=client.namespace))
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise _refused(tried, error) from error
            if time.monotonic() > deadline:
                raise NeedsPersonError(tried, error.message, "run `slipway setup`") from error
        else:
            return dict(answer.custom_attributes)
        await asyncio.sleep(0.2)


async def _until_there(client: Client) -> None:
    deadline = time.monotonic() + PATIENCE
    while missing := missing_attributes(await _attributes(client)):
        if time.monotonic() > deadline:
            raise TransientError(
                "adding search attributes", f"timeout after {PATIENCE:.0f} s waiting for {', '.join(missing)}", "run it again"
            )
        await asyncio.sleep(0.2)


def _refused(tried: str, error: RPCError) -> NeedsPersonError:
    remedy = "use credentials that may administer the namespace; on Temporal Cloud, make both with `tcld` or its web page"
    return NeedsPersonError(tried, f"{error.status.name}: {error.message}", remedy)

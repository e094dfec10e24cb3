"""Policy documents: their statements, and what these apply to."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from slipway_sandbox.iam import conditions
from slipway_sandbox.iam.principals import ACCOUNT, Kind, Principal
from slipway_sandbox.iam.text import Context, fits, glob
from slipway_sandbox.protocol import documents

ROOT = re.compile(r"arn:aws[\w-]*:iam::(\d{12}):root")


@dataclass(frozen=True)
class Ask:
    """One action on one resource, with what is known of the call."""

    action: str
    resource: str
    context: Context


@dataclass(frozen=True)
class Elements:
    """What an element such as `Action` or its `Not…` form names; `None` where the statement has neither."""

    values: tuple[str, ...] | None
    negated: bool = False


@dataclass(frozen=True)
class Statement:
    """One statement of a policy."""

    allows: bool
    actions: Elements
    resources: Elements
    principals: Mapping[str, tuple[str, ...]] | None
    not_principals: bool
    conditions: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict[str, Mapping[str, tuple[str, ...]]])

    def applies(self, ask: Ask) -> bool:
        """Whether action, resource and conditions are those of this statement."""
        return (
            _named(self.actions, lambda value: glob(value.lower()).fullmatch(ask.action.lower()) is not None)
            and _named(self.resources, lambda value: fits(value, ask.resource, ask.context))
            and all(conditions.holds(operator, wanted, ask.context) for operator, wanted in self.conditions.items())
        )

    def names(self, principal: Principal) -> bool:
        """Whether the statement names a principal, be it by its account."""
        found = self.names_itself(principal) or principal.account in self._accounts()
        return found is not self.not_principals

    def names_itself(self, principal: Principal) -> bool:
        """Whether the statement names a principal by more than its account."""
        wanted = (self.principals or {}).get("AWS", ())
        if "*" in wanted or principal.arn in wanted or principal.iam_arn in wanted:
            return True
        return principal.kind is Kind.account and principal.account in self._accounts()

    def names_service(self, service: str) -> bool:
        """Whether the statement names a service, such as `events.amazonaws.com`."""
        named = self.principals or {}
        return service in named.get("Service", ()) or "*" in named.get("AWS", ())

    def _accounts(self) -> set[str]:
        wanted = (self.principals or {}).get("AWS", ())
        roots = (ROOT.fullmatch(value) for value in wanted)
        return {value for value in wanted if ACCOUNT.fullmatch(value)} | {found[1] for found in roots if found}


Policy = tuple[Statement, ...]


@functools.lru_cache(maxsize=4096)
def parse(document: str) -> Policy:
    """A policy's statements. What is no policy has none, and so allows nothing."""
    try:
        statements = documents.parsed(document)["Statement"]
        return tuple(_statement(found) for found in _several(statements))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()


def _statement(found: dict[str, Any]) -> Statement:
    principal = found.get("NotPrincipal", found.get("Principal"))
    if isinstance(principal, str):
        principal = {"AWS": principal}
    wanted = {
        operator: {key: _listed(value) for key, value in keys.items()} for operator, keys in found.get("Condition", {}).items()
    }
    return Statement(
        allows=found["Effect"] == "Allow",
        actions=_elements(found, "Action"),
        resources=_elements(found, "Resource"),
        principals={kind: _listed(value) for kind, value in principal.items()} if principal else None,
        not_principals="NotPrincipal" in found,
        conditions=wanted,
    )


def _elements(found: dict[str, Any], name: str) -> Elements:
    if f"Not{name}" in found:
        return Elements(_listed(found[f"Not{name}"]), negated=True)
    return Elements(_listed(found[name]) if name in found else None)


def _listed(value: Any) -> tuple[str, ...]:
    return tuple(str(item).lower() if isinstance(item, bool) else str(item) for item in _several(value))


def _several(value: Any) -> list[Any]:
    """What is one thing or a list of them, as policies may have it."""
    return cast(list[Any], value) if isinstance(value, list) else [value]


def _named(elements: Elements, matches: Callable[[str], bool]) -> bool:
    if elements.values is None:
        # A trust policy has no Resource: it is about its own role.
        return True
    return any(matches(value) for value in elements.values) is not elements.negated

"""A call's request, as the tables of actions read it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from wsgiref.types import WSGIEnvironment

from slipway_sandbox.core.calls import Caller, Need

MEMBER = re.compile(r"\{(?P<path>[A-Za-z.]+)\}")
Lookup = Callable[[Caller, str, str, dict[str, Any]], dict[str, Any]]
"""Asks a room of the sandbox: caller, service, operation, request. What cannot be found is empty."""


@dataclass(frozen=True)
class Asked:
    """A call, with what its resources' ARNs are made of."""

    environ: WSGIEnvironment
    caller: Caller
    operation: str
    request: Mapping[str, Any]
    lookup: Lookup

    def values(self, path: str) -> list[str]:
        """The texts at a path of members such as `PrimaryContainer.ModelPackageName`; lists give all of theirs."""
        found: list[Any] = [self.request]
        for name in path.split("."):
            found = list(_flat(value.get(name) for value in found if isinstance(value, Mapping)))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType, reportUnknownVariableType]
        return [str(value) for value in found if isinstance(value, str | int | float) and value != ""]

    def value(self, path: str) -> str:
        """The first of them, or nothing."""
        return next(iter(self.values(path)), "")

    def has(self, path: str) -> bool:
        """Whether there is any."""
        return bool(self.values(path))

    def arn(self, service: str, resource: str, account: str = "") -> str:
        """An ARN in the caller's region, and in its account unless told otherwise."""
        return f"arn:aws:{service}:{self.caller.region}:{account or self.caller.account}:{resource}"

    def arns(self, service: str, *templates: str) -> tuple[str, ...]:
        """The ARNs of templates such as `endpoint/{EndpointName}`; `*` where the call does not name such a resource."""
        found = [arn for template in templates for arn in self._filled(service, template)]
        return tuple(dict.fromkeys(found)) or ("*",)

    def _filled(self, service: str, template: str) -> Iterator[str]:
        member = MEMBER.search(template)
        if member is None:
            yield self.arn(service, template)
            return
        for value in self.values(member["path"]):
            yield value if value.startswith("arn:") else self.arn(service, MEMBER.sub(lambda _, value=value: value, template))


def passes(asked: Asked, service: str, *members: str) -> list[Need]:
    """The right to hand a service the roles that a call names."""
    roles = tuple(dict.fromkeys(role for member in members for role in asked.values(member)))
    return [Need("iam:PassRole", (role_arn(asked, role),), {"iam:passedtoservice": (service,)}) for role in roles]


def role_arn(asked: Asked, role: str) -> str:
    """A role's ARN, be it given by its name."""
    return role if role.startswith("arn:") else f"arn:aws:iam::{asked.caller.account}:role/{role}"


def tags_of(tags: Any) -> dict[str, str]:
    """A call's tags, in any of the forms that calls use."""
    if isinstance(tags, Mapping):
        return {str(key): str(value) for key, value in tags.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    found: dict[str, str] = {}
    for tag in _flat([tags]):
        if isinstance(tag, Mapping):
            plain = {str(key).lower(): value for key, value in tag.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            found[str(plain.get("key", ""))] = str(plain.get("value", ""))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    return found


def _flat(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            yield from _flat(value)
        elif value is not None:
            yield value

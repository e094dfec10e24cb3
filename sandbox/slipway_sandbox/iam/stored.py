"""Roles, users and policies, as moto stores them. Read without its lock: each look-up is one in a dictionary."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

PARTITION = "aws"


@dataclass(frozen=True)
class Identity:
    """A role or a user of IAM, with the documents of its policies."""

    id: str
    arn: str
    policies: tuple[str, ...] = ()
    """Inline and managed ones, and those of a user's groups."""
    boundary: str | None = None
    trust: str | None = None
    """Who may assume a role."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    longest_session: int = 3600
    """Seconds."""


def role(arn: str) -> Identity | None:
    """The role of an ARN."""
    account = arn.split(":")[4]
    iam = _backend(account)
    found = iam.roles.get(_role_id(iam, arn)) if iam else None
    if found is None:
        return None
    return Identity(
        id=found.id,
        arn=found.arn,
        policies=(*_documents(found),),
        boundary=managed_policy(account, found.permissions_boundary_arn or ""),
        trust=found.assume_role_policy_document,
        tags={tag["Key"]: tag["Value"] for tag in found.tags or ()},
        longest_session=int(found.max_session_duration or 3600),
    )


def audiences_of(account: str, provider: str) -> tuple[str, ...] | None:
    """The audiences that an OpenID Connect provider's tokens may be for; None where the account does not have it."""
    iam = _backend(account)
    found = iam.open_id_providers.get(provider) if iam else None
    return tuple(found.client_id_list) if found else None


def user_of_key(access_key: str) -> tuple[str, str] | None:
    """Account and name of the user who has an access key that is active."""
    for account in list(_backends()):
        iam = _backend(account)
        key = iam.access_keys.get(access_key) if iam else None
        if key and key.user_name and key.status == "Active":
            return account, str(key.user_name)
    return None


def user(account: str, name: str) -> Identity | None:
    """A user by its name."""
    iam = _backend(account)
    found = iam.users.get(name) if iam else None
    if found is None:
        return None
    groups = [group for group in list(iam.groups.values()) if found in group.users]
    policies = [document for holder in (found, *groups) for document in _documents(holder)]
    tags = iam.tagger.list_tags_for_resource(found.arn)["Tags"]
    return Identity(found.id, found.arn, tuple(policies), tags={tag["Key"]: tag["Value"] for tag in tags})


def managed_policy(account: str, arn: str) -> str | None:
    """The document of a managed policy, in its default version."""
    iam = _backend(account)
    found = iam.managed_policies.get(arn) if iam else None
    return _default_version(found) if found else None


def _role_id(iam: Any, arn: str) -> str:
    return next((key for key, role in list(iam.roles.items()) if role.arn == arn), "")


def _documents(holder: Any) -> Iterator[str]:
    yield from list(holder.policies.values())
    for policy in list(holder.managed_policies.values()):
        yield _default_version(policy)


def _default_version(policy: Any) -> str:
    return next(str(version.document) for version in policy.versions if version.is_default)


def _backends() -> Mapping[str, Any]:
    return getattr(sys.modules.get("moto.iam.models"), "iam_backends", {})


def _backend(account: str) -> Any:
    return backend("iam", account, PARTITION)


def backend(service: str, account: str, region: str) -> Any:
    """The state that moto has of a service in an account and region, if anyone has used it; asking moto itself would make one."""
    found: Any = getattr(sys.modules.get(f"moto.{service}.models"), f"{service}_backends", {})
    for key in (account, region):
        found = dict[str, Any].get(found, key, {})
    return found or None

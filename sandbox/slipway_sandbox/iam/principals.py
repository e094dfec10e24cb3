"""Who calls, by the access key of a request."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from slipway_sandbox.iam import stored

ACCOUNT = re.compile(r"\d{12}")
DEFAULT_ACCOUNT = "123456789012"
KEY_BYTES = 5
"""An account's number has 40 bits: eight letters of base32."""


class Kind(StrEnum):
    """Kinds of principals, as `aws:PrincipalType` spells them."""

    account = "Account"
    user = "User"
    role = "AssumedRole"


@dataclass(frozen=True)
class Session:
    """A role's temporary credentials, and what they were asked for with."""

    account: str
    access_key: str
    arn: str
    """As GetCallerIdentity says it."""
    user_id: str
    source: str
    """The ARN of the role."""
    name: str
    issued: datetime
    expires: datetime
    policies: tuple[str, ...] = ()
    """Session policies: documents, all of which have to allow."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    transitive: tuple[str, ...] = ()
    """Keys of the tags that go on to the next role of a chain."""
    source_identity: str | None = None


@dataclass(frozen=True)
class Principal:
    """Who calls."""

    kind: Kind
    account: str
    arn: str
    user_id: str
    identity: stored.Identity | None = None
    """The role or user in IAM, where there is one of that name."""
    session: Session | None = None
    strict: bool = False
    """Without a policy that allows it, every action is denied, even where it has no policies."""

    @property
    def iam_arn(self) -> str:
        """What policies may name beside the session: the role's ARN. For all others it is their own."""
        return self.session.source if self.session else self.arn

    @property
    def tags(self) -> Mapping[str, str]:
        """The identity's tags, and the session's over them."""
        return {**(self.identity.tags if self.identity else {}), **(self.session.tags if self.session else {})}


class Principals:
    """Finds who an access key belongs to. The sessions are those that STS handed out.

    Args:
        strict: The accounts whose roles and users may do only what a policy allows.
    """

    def __init__(self, strict: Mapping[str, bool]) -> None:
        self._strict = strict
        self.sessions: dict[tuple[str, str], Session] = {}
        """By account and access key."""

    def session(self, access_key: str) -> Session | None:
        """The session of an access key."""
        return self.sessions.get((account_in(access_key), access_key))

    def of(self, access_key: str) -> Principal:
        """Whose key it is.

        A key of twelve digits is the account itself; one that STS handed out is the session's; one of IAM is its user's; any
        other is the default account's.
        """
        if ACCOUNT.fullmatch(access_key):
            return account_principal(access_key)
        session = self.session(access_key)
        if session:
            role, strict = stored.role(session.source), session.account in self._strict
            return Principal(Kind.role, session.account, session.arn, session.user_id, role, session, strict)
        owner = stored.user_of_key(access_key)
        user = stored.user(*owner) if owner else None
        if owner and user:
            return Principal(Kind.user, owner[0], user.arn, user.id, user, strict=owner[0] in self._strict)
        return account_principal(DEFAULT_ACCOUNT)


def account_principal(account: str) -> Principal:
    """The account itself: its root user, on AWS."""
    return Principal(Kind.account, account, f"arn:aws:iam::{account}:root", account)


def new_access_key(account: str) -> str:
    """A temporary access key. It says whose it is, as AWS's do."""
    tail = base64.b32encode(secrets.token_bytes(KEY_BYTES)).decode()
    return f"ASIA{base64.b32encode(int(account).to_bytes(KEY_BYTES)).decode()}{tail}"


def account_in(access_key: str) -> str:
    """The account that a temporary access key names; empty for any other key."""
    try:
        number = int.from_bytes(base64.b32decode(access_key.removeprefix("ASIA")[:8]))
    except ValueError:
        return ""
    return f"{number:012}" if access_key.startswith("ASIA") else ""

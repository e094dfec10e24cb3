"""What makes a repository policy valid."""

from __future__ import annotations

import re
from typing import Any, cast

from slipway_sandbox.ecr import errors
from slipway_sandbox.protocol import documents

VERSIONS = ("2012-10-17", "2008-10-17")
ELEMENTS = frozenset({"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Condition"})
"""There is no Resource among them: a repository's policy is about the repository."""
KINDS = frozenset({"AWS", "Service", "Federated"})
AWS_PRINCIPAL = re.compile(
    r"\*|\d{12}|arn:aws[\w-]*:(iam|sts)::\d{12}:(root|(user|role|assumed-role|federated-user)/[\w+=,.@/-]+)"
)
ACTION = re.compile(r"\*|ecr:[A-Za-z*?]+", re.IGNORECASE)


def check_policy(text: str) -> None:
    """Refuse what is no policy of a repository.

    Raises:
        AwsError: `InvalidParameterException`.
    """
    try:
        policy: Any = documents.parsed(text)
    except ValueError:
        policy = None
    if not is_policy(policy):
        raise errors.invalid_parameter("PolicyText", "Invalid repository policy provided")


def is_policy(policy: Any) -> bool:
    """Whether a document is a policy of a repository."""
    if not isinstance(policy, dict) or not cast("dict[str, Any]", policy).keys() <= {"Version", "Id", "Statement"}:
        return False
    found = cast("dict[str, Any]", policy)
    statements = listed(found.get("Statement"))
    return found.get("Version", VERSIONS[0]) in VERSIONS and bool(statements) and all(map(is_statement, statements))


def is_statement(statement: Any) -> bool:
    """Whether a document is one of its statements."""
    if not isinstance(statement, dict):
        return False
    found = cast("dict[str, Any]", statement)
    named = [name for name in ("Principal", "NotPrincipal") if name in found]
    acts = [name for name in ("Action", "NotAction") if name in found]
    return (
        found.keys() <= ELEMENTS
        and found.get("Effect") in ("Allow", "Deny")
        and len(named) == len(acts) == 1
        and is_principal(found[named[0]])
        and bool(listed(found[acts[0]]))
        and all(isinstance(action, str) and ACTION.fullmatch(action) for action in listed(found[acts[0]]))
        and isinstance(found.get("Condition", {}), dict)
    )


def is_principal(principal: Any) -> bool:
    """Whether a Principal element names somebody, in a form that IAM knows."""
    if not isinstance(principal, dict):
        return principal == "*"
    found = cast("dict[str, Any]", principal)
    names = [name for named in found.values() for name in listed(named)]
    return (
        bool(names)
        and found.keys() <= KINDS
        and all(isinstance(name, str) for name in names)
        and all(AWS_PRINCIPAL.fullmatch(name) for name in listed(found.get("AWS", [])))
    )


def listed(value: Any) -> list[Any]:
    """One value or a list of them, as policies have both."""
    return cast("list[Any]", value) if isinstance(value, list) else [] if value is None else [value]

"""Policies of resources: whether one could let somebody of another account in, and the statements that would. Pure.

Only what IAM documents for every policy is read: without a statement that allows it, another account is refused, whatever the
conditions say (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, cast

_VARIABLE = re.compile(r"\$\{[^}]*\}")
POLICY_LIMIT = 64 * 1_024
"""Characters of a policy that are read; AWS's own limits are lower."""


def could_allow(policy: str, principal: str, action: str, resource: str = "") -> bool:
    """Whether a statement of a policy allows something, if its conditions hold. Denials are not looked at.

    Args:
        policy: The policy's JSON.
        principal: A role's ARN, or an account's id for anybody there.
        action: As `ecr:BatchGetImage`.
        resource: The ARN that it is about; empty where the policy is about one resource.

    Raises:
        ValueError: It is no policy.
    """
    return any(_allows(statement, principal, action, resource) for statement in _statements(policy))


def statement(sid: str, principals: Sequence[str], actions: Sequence[str], resources: Sequence[str] = ()) -> str:
    """A statement that allows it, as JSON.

    Args:
        sid: Its name.
        principals: ARNs.
        actions: As `ecr:BatchGetImage`.
        resources: ARNs; none where the policy is about one resource.
    """
    parts: dict[str, Any] = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"AWS": list(principals)},
        "Action": list(actions),
    }
    return json.dumps(parts | ({"Resource": list(resources)} if resources else {}))


def role_of(identity: str) -> str:
    """The role of a session's ARN; any other ARN unchanged. A path of the role is not in the session's ARN."""
    head, assumed, rest = identity.partition(":assumed-role/")
    return f"{head.replace(':sts:', ':iam:')}:role/{rest.partition('/')[0]}" if assumed else identity


def _statements(policy: str) -> list[Mapping[str, Any]]:
    if len(policy) > POLICY_LIMIT:
        raise ValueError(f"it has more than {POLICY_LIMIT:,} characters")
    try:
        document = json.loads(policy)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    found = cast("dict[str, Any]", document).get("Statement") if isinstance(document, dict) else None
    statements = cast("list[Any]", found) if isinstance(found, list) else [found]
    if not all(isinstance(each, dict) for each in statements):
        raise ValueError("it has no statements")
    return [cast("dict[str, Any]", each) for each in statements]


def _allows(found: Mapping[str, Any], principal: str, action: str, resource: str) -> bool:
    # A statement that says who or what is left out may let anybody in.
    return (
        found.get("Effect") == "Allow"
        and ("NotPrincipal" in found or _names(found.get("Principal"), principal))
        and ("NotAction" in found or _matches(found.get("Action"), action, fold=True))
        and (not resource or "NotResource" in found or _matches(found.get("Resource"), resource, fold=False))
    )


def _names(named: Any, principal: str) -> bool:
    wanted = cast("dict[str, Any]", named).get("AWS") if isinstance(named, dict) else named
    return any(_is(each, principal) for each in _texts(wanted))


def _is(named: str, principal: str) -> bool:
    if not principal.startswith("arn:"):
        return named in {"*", principal} or f"::{principal}:" in named
    account = principal.split(":")[4]
    whole = {"*", account, f"{principal.partition(':role/')[0]}:root", principal}
    return named in whole or role_of(named) == principal


def _matches(patterns: Any, value: str, *, fold: bool) -> bool:
    wanted = value.lower() if fold else value
    return any(fnmatchcase(wanted, _glob(each.lower() if fold else each)) for each in _texts(patterns))


def _glob(pattern: str) -> str:
    """A pattern of IAM as `fnmatch` has it: a bracket is itself, and a variable may be anything."""
    return _VARIABLE.sub("*", pattern).replace("[", "[[]")


def _texts(value: Any) -> Iterable[str]:
    several = cast("list[Any]", value) if isinstance(value, list) else [value]
    return [each for each in several if isinstance(each, str)]

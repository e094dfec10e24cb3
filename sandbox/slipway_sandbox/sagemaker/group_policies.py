"""Resource policies of model package groups: which other accounts may do what with the group and its packages."""

from __future__ import annotations

import fnmatch
import re
from typing import Any, cast

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError, validation_error
from slipway_sandbox.protocol import documents

NO_POLICY = '{"Version": "2012-10-17", "Statement": []}'
"""The policy of a group that has none: no other account may do anything."""
NEEDED = ("Effect", "Principal", "Action", "Resource")


def refuse_malformed(document: str) -> None:
    """Refuse what is no policy.

    Raises:
        AwsError: It is none.
    """
    try:
        statements = statements_of(document)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise validation_error(f"The resource policy is not valid: {error}") from error
    for statement in statements:
        missing = [name for name in NEEDED if name not in statement]
        if missing or statement["Effect"] not in ("Allow", "Deny"):
            raise validation_error(
                f"The resource policy is not valid: a statement needs {', '.join(NEEDED)}; missing or wrong: "
                f"{', '.join(missing) or 'Effect'}"
            )


def refuse_stranger(document: str | None, owner: str, caller: Caller, action: str, resource: str) -> None:
    """Refuse an account that the group's policy does not allow. The owner is always allowed.

    Args:
        document: The group's policy.
        owner: The group's account.
        caller: Who calls.
        action: Such as `sagemaker:DescribeModelPackage`.
        resource: The ARN that it is about.

    Raises:
        AwsError: `AccessDeniedException`.
    """
    if caller.account == owner:
        return
    fitting = [
        statement["Effect"]
        for statement in statements_of(document or NO_POLICY)
        if names(statement, caller.account)
        and matches(statement.get("Action"), action)
        and matches(statement.get("Resource"), resource)
    ]
    if "Deny" not in fitting and "Allow" in fitting:
        return
    denied = "with an explicit deny in a resource-based policy"
    silent = f"because no resource-based policy allows the {action} action"
    raise AwsError(
        "AccessDeniedException",
        f"User: arn:aws:iam::{caller.account}:root is not authorized to perform: {action} on resource: {resource} "
        f"{denied if 'Deny' in fitting else silent}",
    )


def statements_of(document: str) -> list[dict[str, Any]]:
    """A policy's statements.

    Raises:
        ValueError: It is no JSON.
        KeyError: It has no statements.
        TypeError: They are not objects.
    """
    found = documents.parsed(document)["Statement"]
    statements = cast("list[dict[str, Any]]", found if isinstance(found, list) else [found])
    if not all(isinstance(statement, dict) for statement in statements):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError("a statement is no object")
    return statements


def names(statement: dict[str, Any], account: str) -> bool:
    """Whether a statement is about an account, or somebody in it."""
    principal: Any = statement.get("Principal")
    named: Any = cast("dict[str, Any]", principal).get("AWS") if isinstance(principal, dict) else principal
    wanted = re.compile(rf"\*|{account}|arn:aws[\w-]*:(iam|sts)::{account}:.+")
    return any(wanted.fullmatch(each) for each in listed(named))


def matches(patterns: Any, value: str) -> bool:
    """Whether one of the patterns, with `*` and `?`, fits. SageMaker spells names in ARNs in lower case."""
    return any(fnmatch.fnmatchcase(value.lower(), pattern.lower()) for pattern in listed(patterns))


def listed(value: Any) -> list[str]:
    """One text or a list of them, as policies have both."""
    several = cast("list[Any]", value) if isinstance(value, list) else [value]
    return [each for each in several if isinstance(each, str)]

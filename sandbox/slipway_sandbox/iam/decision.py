"""How AWS decides on an action, from all the policies that apply (IAM User Guide, policy evaluation logic)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slipway_sandbox.iam.policies import Ask, Policy, parse
from slipway_sandbox.iam.principals import Kind, Principal

IDENTITY, BOUNDARY, SESSION, RESOURCE = "identity-based policy", "permissions boundary", "session policy", "resource-based policy"


@dataclass(frozen=True)
class Denial:
    """Why an action is not allowed."""

    ask: Ask
    kind: str
    """Which kind of policy decided."""
    explicit: bool

    @property
    def reason(self) -> str:
        """The end of AWS's sentence."""
        if self.explicit:
            return f"with an explicit deny in {'an' if self.kind == IDENTITY else 'a'} {self.kind}"
        return f"because no {self.kind} allows the {self.ask.action} action"


def decide(principal: Principal, ask: Ask, resource_policy: str | None, owner: str) -> Denial | None:
    """The denial of an action to a principal; None where it is allowed.

    A principal without policies is allowed everything in its own account.

    Args:
        principal: Who asks.
        ask: For what.
        resource_policy: The resource's own policy, where it has one.
        owner: The account whose resource it is.
    """
    limits = _limits(principal)
    named = parse(resource_policy) if resource_policy is not None else None
    for kind, policies in [*limits, (RESOURCE, _naming(named or (), principal))]:
        if _applies(policies, ask, allows=False):
            return Denial(ask, kind, explicit=True)
    granted = named is not None and _grants(named, principal, ask)
    for kind, policies in limits:
        if not (kind == IDENTITY and granted and owner == principal.account) and not _applies(policies, ask, allows=True):
            return Denial(ask, kind, explicit=False)
    if named is not None and owner != principal.account and not _applies(_naming(named, principal), ask, allows=True):
        return Denial(ask, RESOURCE, explicit=False)
    return None


def bound(principal: Principal) -> bool:
    """Whether any policy limits a principal."""
    return bool(_limits(principal))


def trusts(policy: str, principal: Principal, ask: Ask) -> bool:
    """Whether a role's trust policy lets a principal assume it: the account it belongs to has to be named at least."""
    statements = _naming(parse(policy), principal)
    return _applies(statements, ask, allows=True) and not _applies(statements, ask, allows=False)


def lets_service(policy: str, service: str, ask: Ask) -> bool:
    """Whether a resource's policy lets a service of AWS act on it, or a role's trust policy lets it assume the role."""
    statements = tuple(statement for statement in parse(policy) if statement.names_service(service))
    return _applies([statements], ask, allows=True) and not _applies([statements], ask, allows=False)


def lets_provider(policy: str, provider: str, ask: Ask) -> bool:
    """Whether a role's trust policy accepts the identities of a federated provider."""
    statements = tuple(statement for statement in parse(policy) if provider in (statement.principals or {}).get("Federated", ()))
    return _applies([statements], ask, allows=True) and not _applies([statements], ask, allows=False)


def _limits(principal: Principal) -> list[tuple[str, Sequence[Policy]]]:
    """The policies of which each kind has to allow an action."""
    if principal.kind is Kind.account:
        return []
    identity, session = principal.identity, principal.session
    found: list[tuple[str, Sequence[Policy]]] = []
    if principal.strict or (identity and (identity.policies or identity.boundary)):
        found.append((IDENTITY, [parse(document) for document in (identity.policies if identity else ())]))
    if identity and identity.boundary:
        found.append((BOUNDARY, [parse(identity.boundary)]))
    if session and session.policies:
        found.append((SESSION, [parse(document) for document in session.policies]))
    return found


def _naming(policy: Policy, principal: Principal) -> list[Policy]:
    return [tuple(statement for statement in policy if statement.names(principal))]


def _grants(policy: Policy, principal: Principal, ask: Ask) -> bool:
    """Whether a resource's policy lets in a principal by itself: naming the account only leaves it to IAM there."""
    return any(statement.allows and statement.names_itself(principal) and statement.applies(ask) for statement in policy)


def _applies(policies: Sequence[Policy], ask: Ask, *, allows: bool) -> bool:
    return any(statement.allows is allows and statement.applies(ask) for policy in policies for statement in policy)

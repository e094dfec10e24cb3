"""Authorizes calls as AWS does: by the caller's policies, the resources' policies, and the credentials' expiry."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

from slipway_sandbox.core.calls import Incoming, Need
from slipway_sandbox.core.clock import Clock
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.iam import actions, context, decision
from slipway_sandbox.iam.actions.asked import Asked, Lookup
from slipway_sandbox.iam.decision import Denial
from slipway_sandbox.iam.policies import Ask
from slipway_sandbox.iam.principals import Principal, Principals
from slipway_sandbox.iam.resources import NO_POLICY, ResourcePolicies, closed

QUERY = frozenset({"sts", "iam", "sqs", "sns", "cloudwatch", "ec2", "autoscaling", "rds", "cloudformation"})
"""Services that say `AccessDenied` and `ExpiredToken`; those that speak JSON say `…Exception`."""
ASSUMING = "sts:AssumeRole"
NAMING = "s3:CreateBucket"
"""It is about the caller's own bucket, even where the name turns out to be another's."""
LOWER_CASE = frozenset({"sqs"})
"""Services that spell actions in small letters in their errors."""


class IamGuard:
    """The guard of a sandbox.

    Args:
        principals: Who has which access key.
        clock: The real time, by which credentials expire.
        resources: The policies of resources.
        lookup: Asks a room.
    """

    def __init__(self, principals: Principals, clock: Clock, resources: ResourcePolicies, lookup: Lookup) -> None:
        self._principals = principals
        self._clock = clock
        self._resources = resources
        self._lookup = lookup

    def check(self, call: Incoming) -> None:
        """Note what a call needs, and refuse it where a policy does not allow that.

        Raises:
            AwsError: `AccessDenied…`, or `ExpiredToken…`.
        """
        principal = self._principals.of(call.caller.access_key)
        if principal.session and principal.session.expires <= self._clock.now():
            raise expired(call.service)
        if not call.caller.principal:
            call.caller = replace(call.caller, principal=principal.arn)
        asked = Asked(call.environ, call.caller, call.operation, call.request, self._lookup)
        call.needs = actions.needs_of(call.service, asked)
        for need in call.needs:
            self._check(call, asked, principal, need)

    def _check(self, call: Incoming, asked: Asked, principal: Principal, need: Need) -> None:
        governed = decision.bound(principal)
        for resource in need.resources:
            taken = "" if need.action == NAMING else self._resources.owner_of(resource)
            owner = taken or principal.account
            policy = self._resources.of(resource)
            if policy is None and owner != principal.account and closed(resource):
                policy = NO_POLICY
            if not governed and policy is None:
                continue
            tags = self._resources.tags_of(call.caller, resource)
            ask = Ask(need.action, resource, context.of(call, asked, principal, need, tags, self._clock.now()))
            denial = decide(principal, ask, policy, owner)
            if denial:
                raise denied(call.service, principal, denial)


def decide(principal: Principal, ask: Ask, policy: str | None, owner: str) -> Denial | None:
    """The decision on one action and resource. A role has to trust the principal that assumes it, in its own account, too."""
    if policy is not None and ask.action in (ASSUMING, "sts:TagSession", "sts:SetSourceIdentity"):
        if not decision.trusts(policy, principal, ask):
            return Denial(ask, "", explicit=False)
        return decision.decide(principal, ask, policy, owner)
    return decision.decide(principal, ask, policy, owner)


def denied(service: str, principal: Principal, denial: Denial) -> AwsError:
    """AWS's sentence, in the service's way to say it."""
    ask = denial.ask
    action = ask.action.lower() if service in LOWER_CASE else ask.action
    resource = f'"{ask.resource}"' if service == "s3" else ask.resource
    # AWS tells only the role's own account why it does not trust.
    reason = f" {denial.reason}" if denial.kind else ""
    message = f"User: {principal.arn} is not authorized to perform: {action} on resource: {resource}{reason}"
    if service == "registry":
        return AwsError("DENIED", message, HTTPStatus.FORBIDDEN)
    plain = service in QUERY or service == "s3"
    code = "AccessDenied" if plain else "AccessDeniedException"
    forbidden = plain or service == "sagemaker-runtime"
    return AwsError(code, message, HTTPStatus.FORBIDDEN if forbidden else HTTPStatus.BAD_REQUEST)


def expired(service: str) -> AwsError:
    """The answer to credentials whose time is over."""
    match service:
        case "s3":
            return AwsError("ExpiredToken", "The provided token has expired.")
        case _ if service in QUERY:
            return AwsError("ExpiredToken", "The security token included in the request is expired", HTTPStatus.FORBIDDEN)
        case _:
            return AwsError("ExpiredTokenException", "The security token included in the request is expired")

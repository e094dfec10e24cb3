"""The policies and tags of resources, from the sandbox's own rooms or from moto."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.core.world import Room
from slipway_sandbox.iam import stored
from slipway_sandbox.iam.actions.asked import Lookup, tags_of

ARN_PARTS = 6
TAGS_OPERATION = {
    "ecr": ("ListTagsForResource", "resourceArn"),
    "ecs": ("ListTagsForResource", "resourceArn"),
    "sagemaker": ("ListTags", "ResourceArn"),
}
"""How rooms are asked for a resource's tags."""
CLOSED = frozenset({"ecr", "events", "s3", "sqs"})
"""Services whose resources are closed to other accounts, unless a policy of the resource lets them in."""
NO_POLICY = '{"Version": "2012-10-17", "Statement": []}'
"""What a resource without a policy is worth to another account."""


def closed(arn: str) -> bool:
    """Whether other accounts need a policy of the resource."""
    return arn.partition(":aws:")[2].partition(":")[0] in CLOSED


class ResourcePolicies:
    """Finds the policy of a resource.

    Args:
        rooms: The own services' rooms.
        lookup: Asks a room.
    """

    def __init__(self, rooms: Sequence[Room], lookup: Lookup) -> None:
        self._rooms = rooms
        self._lookup = lookup

    def of(self, arn: str) -> str | None:
        """The policy of a resource, a role's trust policy among them; None where it has none."""
        parts = arn.split(":", ARN_PARTS - 1)
        if len(parts) < ARN_PARTS:
            return None
        match parts[2], parts[5]:
            case "iam", resource if resource.startswith("role/"):
                role = stored.role(arn)
                return role.trust if role else None
            case "s3", resource:
                return _bucket_policy(resource.partition("/")[0])
            case "sqs", name:
                return queue_policy(parts[4], parts[3], name)
            case service, _:
                found = (room.policy_of(arn) for room in self._rooms if room.service == service)
                return next((policy for policy in found if policy is not None), None)

    def owner_of(self, arn: str) -> str:
        """The account that a resource belongs to; empty where neither its ARN nor a service says."""
        parts = arn.split(":", ARN_PARTS - 1)
        if len(parts) < ARN_PARTS:
            return ""
        return bucket_owner(parts[5].partition("/")[0]) if parts[2] == "s3" else parts[4]

    def tags_of(self, caller: Caller, arn: str) -> Mapping[str, str]:
        """The tags of a resource of an own service."""
        service = arn.partition(":aws:")[2].partition(":")[0]
        if service not in TAGS_OPERATION or arn.endswith("*"):
            return {}
        operation, member = TAGS_OPERATION[service]
        try:
            found = self._lookup(caller, service, operation, {member: arn})
        except AwsError:
            return {}
        return tags_of(found.get("tags", found.get("Tags", [])))


def queue_policy(account: str, region: str, name: str) -> str | None:
    """The policy of a queue."""
    queue = queue_of(account, region, name)
    return queue.policy if queue else None


def queue_of(account: str, region: str, name: str) -> Any:
    """The queue of that name."""
    sqs = stored.backend("sqs", account, region)
    return sqs.queues.get(name) if sqs else None


def bucket_owner(name: str) -> str:
    """The account that a bucket belongs to."""
    backends = getattr(sys.modules.get("moto.s3.models"), "s3_backends", None)
    return backends.bucket_accounts.get(name, ("", ""))[1] if backends else ""


def _bucket_policy(name: str) -> str | None:
    s3 = stored.backend("s3", bucket_owner(name), stored.PARTITION)
    bucket = s3.buckets.get(name) if s3 else None
    return bucket.policy.decode() if bucket and bucket.policy else None

"""The scalable targets of Application Auto Scaling, and their policies."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from slipway_sandbox.core.calls import Caller

VARIANT = "sagemaker:variant:DesiredInstanceCount"
TargetKey = tuple[str, str, str, str, str]
"""Account, region, namespace, resource and dimension."""
PolicyKey = tuple[str, str, str, str, str, str]
"""The target's key, and the name of the policy or of the scheduled action."""


@dataclass
class Target:
    """What is scaled, and between which bounds."""

    namespace: str
    resource: str
    dimension: str
    minimum: int
    maximum: int
    role: str
    arn: str
    created: datetime
    suspended: dict[str, bool] = field(default_factory=dict[str, bool])
    tags: dict[str, str] = field(default_factory=dict[str, str])

    def shown(self) -> dict[str, Any]:
        """As DescribeScalableTargets shows it."""
        names = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
        return {
            "ServiceNamespace": self.namespace,
            "ResourceId": self.resource,
            "ScalableDimension": self.dimension,
            "MinCapacity": self.minimum,
            "MaxCapacity": self.maximum,
            "RoleARN": self.role,
            "CreationTime": self.created,
            "SuspendedState": {name: self.suspended.get(name, False) for name in names},
            "ScalableTargetARN": self.arn,
        }


@dataclass
class Policy:
    """How a target is scaled."""

    name: str
    arn: str
    kind: str
    created: datetime
    configuration: dict[str, Any]
    """`TargetTrackingScalingPolicyConfiguration` or that of the other kind, by its name in the API."""


@dataclass
class ScheduledAction:
    """When a target gets other bounds."""

    arn: str
    created: datetime
    request: dict[str, Any]
    """The members of PutScheduledAction, those of earlier calls too."""


class ScalableTargets:
    """The targets of all accounts, their policies and scheduled actions. Thread-safe: other services use them under own locks."""

    def __init__(self) -> None:
        self.targets: dict[TargetKey, Target] = {}
        self.policies: dict[PolicyKey, Policy] = {}
        self.actions: dict[PolicyKey, ScheduledAction] = {}
        self._lock = threading.Lock()

    def variants(self, caller: Caller, endpoint: str) -> set[str]:
        """The variants of an endpoint that are scaled automatically."""
        head, tail = f"endpoint/{endpoint}/variant/", (VARIANT,)
        with self._lock:
            return {
                key[3].removeprefix(head)
                for key in self.targets
                if key[:2] == (caller.account, caller.region) and key[3].startswith(head) and key[4:] == tail
            }

    def forget(self, caller: Caller, endpoint: str) -> None:
        """An endpoint goes, and its variants' targets with it."""
        head = f"endpoint/{endpoint}/variant/"
        self._drop(lambda key: key[:2] == (caller.account, caller.region) and key[3].startswith(head))

    def count(self, key: TargetKey) -> int:
        """The targets of the same account, region, service and dimension, with this one."""
        with self._lock:
            return len({key} | {other for other in self.targets if (*other[:3], other[4]) == (*key[:3], key[4])})

    def put(self, key: TargetKey, target: Target) -> None:
        """Keep a target, in place of an earlier one."""
        with self._lock:
            self.targets[key] = target

    def put_policy(self, key: PolicyKey, policy: Policy) -> None:
        """Keep a policy, in place of an earlier one."""
        with self._lock:
            self.policies[key] = policy

    def drop_policy(self, key: PolicyKey) -> Policy | None:
        """Forget a policy; returns it."""
        with self._lock:
            return self.policies.pop(key, None)

    def put_action(self, key: PolicyKey, action: ScheduledAction) -> None:
        """Keep a scheduled action, in place of an earlier one."""
        with self._lock:
            self.actions[key] = action

    def drop_action(self, key: PolicyKey) -> ScheduledAction | None:
        """Forget a scheduled action; returns it."""
        with self._lock:
            return self.actions.pop(key, None)

    def deregister(self, key: TargetKey) -> None:
        """Forget a target with its policies and scheduled actions."""
        self._drop(lambda other: other[:5] == key)

    def clear(self, account: str | None) -> None:
        """Forget those of one account, or all."""
        self._drop(lambda key: account in (None, key[0]))

    def _drop(self, fits: Callable[[tuple[str, ...]], bool]) -> None:
        with self._lock:
            for key in [key for key in self.targets if fits(key)]:
                del self.targets[key]
            for key in [key for key in self.policies if fits(key)]:
                del self.policies[key]
            for key in [key for key in self.actions if fits(key)]:
                del self.actions[key]

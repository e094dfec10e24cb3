"""Capacity providers: the two of Fargate, and which of them a task goes to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.world import Room, World, operation
from slipway_sandbox.ecs import errors
from slipway_sandbox.ecs.listing import page
from slipway_sandbox.ecs.store import Store

FARGATE, SPOT = "FARGATE", "FARGATE_SPOT"
PROVIDERS = (FARGATE, SPOT)
MOST_IN_STRATEGY = 20
LARGEST_PAGE = 10


class CapacityProviderRoom(Room):
    """Shows the providers."""

    service = "ecs"

    def __init__(self, world: World, store: Store) -> None:
        super().__init__(world)
        self._store = store

    def reset(self, account: str | None) -> None:
        """The providers are always there."""

    @operation("DescribeCapacityProviders", differs="the only providers are FARGATE and FARGATE_SPOT")
    def describe(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Providers by name or ARN; all where none is named."""
        if request.get("cluster"):
            self._store.active_cluster(caller, request["cluster"])
        wanted = request.get("capacityProviders") or PROVIDERS
        prefix = f"arn:aws:ecs:{caller.region}:{caller.account}:capacity-provider/"
        names = [name.removeprefix(prefix) for name in wanted]
        found, token = page([name for name in names if name in PROVIDERS], request, LARGEST_PAGE)
        shown: list[dict[str, Any]] = [
            {"capacityProviderArn": prefix + name, "name": name, "status": "ACTIVE", "tags": []} for name in found
        ]
        failures = [{"arn": prefix + name, "reason": "MISSING"} for name in names if name not in PROVIDERS]
        return {"capacityProviders": shown, "failures": failures, "nextToken": token}


def check_strategy(strategy: Sequence[dict[str, Any]], providers: Sequence[str]) -> None:
    """Refuse providers that are not there, and a strategy that cannot be followed with those that are.

    Raises:
        AwsError: `InvalidParameterException`.
    """
    for name in providers:
        if name not in PROVIDERS:
            raise errors.invalid_parameter(f"The specified capacity provider '{name}' was not found.")
    if len(strategy) > MOST_IN_STRATEGY:
        raise errors.invalid_parameter(
            f"A capacity provider strategy can contain a maximum of {MOST_IN_STRATEGY} capacity providers."
        )
    if any(item["capacityProvider"] not in providers for item in strategy):
        raise errors.invalid_parameter(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the "
            "cluster. Associate the capacity provider with the cluster and try again."
        )
    if sum(1 for item in strategy if item.get("base")) > 1:
        raise errors.invalid_parameter("Only one capacity provider in a capacity provider strategy can have a base defined.")
    if len(strategy) > 1 and not any(item.get("weight") for item in strategy):
        raise errors.invalid_parameter("At least one capacity provider in the strategy must have a weight greater than zero.")


def spread(strategy: Sequence[dict[str, Any]], count: int) -> list[str]:
    """The provider of each of `count` tasks: the base first, then in proportion to the weights."""
    chosen = [item["capacityProvider"] for item in strategy for _ in range(item.get("base", 0))][:count]
    weights = {item["capacityProvider"]: item.get("weight", 0) for item in strategy}
    if len(weights) == 1:
        weights = dict.fromkeys(weights, 1)
    given = dict.fromkeys(weights, 0)
    while len(chosen) < count:
        name = min((name for name, weight in weights.items() if weight), key=lambda name: (given[name] + 1) / weights[name])
        given[name] += 1
        chosen.append(name)
    return chosen

"""The targets of a rollout as AWS tells endpoints apart: by account, region, and the name in any case of its letters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from slipway.app.pipecd import EcsApp
from slipway.app.regions import account_of_cluster, region_of_app
from slipway.app.spec import ModelPromotion, Target
from slipway.oci.reference import ImageReference

_ACCOUNT = 4
"""The account's place in an ARN."""


@dataclass(frozen=True)
class Twin:
    """A target whose endpoint an earlier target has too."""

    wave: int
    """Positions count from 0."""
    position: int
    target: Target
    earlier: str
    """Where the earlier one is, as `waves[0].targets[2]`."""
    region: str
    """The region of both."""


def twins(promotion: ModelPromotion, ecs: EcsApp) -> Iterator[Twin]:
    """The targets whose endpoint is there before, however it is written: two updates of one endpoint would undo each other.

    A target without a region is in the app's. One without a role is in the account of the cluster, where the worker runs tasks.
    """
    region, account = region_of_app(promotion, ecs), _own_account(promotion, ecs)
    first: dict[tuple[str, str, str], str] = {}
    for wave_at, wave in enumerate(promotion.spec.rollout.waves):
        for at, target in enumerate(wave.targets):
            key = (target.endpoint.lower(), target.region or region, _account_of(target) or account)
            earlier = first.setdefault(key, f"waves[{wave_at}].targets[{at}]")
            if earlier != f"waves[{wave_at}].targets[{at}]":
                yield Twin(wave=wave_at, position=at, target=target, earlier=earlier, region=key[1])


def _account_of(target: Target) -> str:
    return target.role_arn.split(":")[_ACCOUNT] if target.role_arn else ""


def _own_account(promotion: ModelPromotion, ecs: EcsApp) -> str:
    """The worker's account: the cluster's, else the one of the registry that the task pulls from."""
    ecr = ImageReference.parse(promotion.spec.image.target).ecr
    return account_of_cluster(ecs) or (ecr.account if ecr else "")

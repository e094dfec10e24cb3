"""Where an application's task runs, as its files say it."""

from __future__ import annotations

from slipway.app.pipecd import EcsApp
from slipway.app.spec import ModelPromotion
from slipway.oci.reference import ImageReference

_REGION, _ACCOUNT = 3, 4
"""Their places in an ARN."""


def region_of_app(promotion: ModelPromotion, ecs: EcsApp) -> str:
    """The region of the task, the pipeline and the targets that name none: the cluster's, else that of the image in ECR.

    The repository may be in another region than the cluster: ECS pulls across regions.
    """
    ecr = ImageReference.parse(promotion.spec.image.target).ecr
    return region_of_cluster(ecs) or (ecr.region if ecr else "")


def region_of_cluster(ecs: EcsApp) -> str:
    """The region in the cluster's ARN; empty where it is given by name."""
    return _part_of_cluster(ecs, _REGION)


def account_of_cluster(ecs: EcsApp) -> str:
    """The account in the cluster's ARN; empty where it is given by name."""
    return _part_of_cluster(ecs, _ACCOUNT)


def _part_of_cluster(ecs: EcsApp, place: int) -> str:
    parts = ecs.cluster_arn.split(":")
    return parts[place] if parts[0] == "arn" and len(parts) > place else ""

"""Where an application's task runs, as its files say it."""

from __future__ import annotations

from slipway.app.pipecd import EcsApp
from slipway.app.spec import ModelPromotion
from slipway.oci.reference import ImageReference

_REGION = 3
"""The region's place in an ARN."""


def region_of_app(promotion: ModelPromotion, ecs: EcsApp) -> str:
    """The region of the task, the pipeline and the targets that name none: the cluster's, else that of the image in ECR.

    The repository may be in another region than the cluster: ECS pulls across regions.
    """
    ecr = ImageReference.parse(promotion.spec.image.target).ecr
    return region_of_cluster(ecs) or (ecr.region if ecr else "")


def region_of_cluster(ecs: EcsApp) -> str:
    """The region in the cluster's ARN; empty where it is given by name."""
    parts = ecs.cluster_arn.split(":")
    return parts[_REGION] if parts[0] == "arn" and len(parts) > _REGION else ""

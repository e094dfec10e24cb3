"""ECR's quotas, by the names that Service Quotas has for them."""

from __future__ import annotations

from typing import ClassVar

from slipway_sandbox.core.quotas import QuotaRoom

REPOSITORIES = "Registered repositories"
IMAGES = "Images per repository"
TAGS = "Tags per image"


class EcrQuotas(QuotaRoom):
    """What a registry may hold, as long as no dial says otherwise."""

    service = "ecr"
    defaults: ClassVar[dict[str, int]] = {REPOSITORIES: 100_000, IMAGES: 20_000, TAGS: 1_000}

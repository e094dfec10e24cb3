"""What requests for pipelines have in common: missing resources, repeated tokens, and versions by number or alias."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from slipway_sandbox.core.errors import AwsError, validation_error
from slipway_sandbox.sagemaker.pipelines.state import Pipeline, Version

MOST_ALIASES = 10
TOKEN = "ClientRequestToken"  # noqa: S105  (a member's name)


def not_found(what: str) -> AwsError:
    """AWS's answer for what is not there."""
    return AwsError("ResourceNotFound", f"{what} does not exist.")


def digest_of(request: dict[str, Any]) -> str:
    """A digest of a request without its token."""
    asked = {name: value for name, value in request.items() if name != TOKEN}
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


def refuse_other(token: str, before: str, now: str) -> None:
    """Refuse a token that was used for another request.

    Raises:
        AwsError: `ConflictException`.
    """
    if before != now:
        raise AwsError(
            "ConflictException", f"The client request token '{token}' was used before with different request parameters."
        )


def version_of(pipeline: Pipeline, request: dict[str, Any]) -> Version:
    """The version that a request names by number or alias, or the latest.

    Raises:
        AwsError: `ResourceNotFound`, or it names one by both.
    """
    alias = request.get("PipelineVersionAlias")
    if alias is not None and "PipelineVersionId" in request:
        raise validation_error("Only one of PipelineVersionId and PipelineVersionAlias can be specified.")
    if alias is not None:
        return version_with(pipeline, alias)
    number: int = request.get("PipelineVersionId", len(pipeline.versions))
    if not 1 <= number <= len(pipeline.versions):
        raise not_found(f"Version {number} of the pipeline '{pipeline.arn}'")
    return pipeline.versions[number - 1]


def version_with(pipeline: Pipeline, alias: str) -> Version:
    """The version that has an alias.

    Raises:
        AwsError: `ResourceNotFound`.
    """
    found = next((version for version in pipeline.versions if alias in version.aliases), None)
    if found is None:
        raise not_found(f"Version alias '{alias}' of the pipeline '{pipeline.arn}'")
    return found


def new_aliases(taken: Iterable[Version], aliases: Iterable[str]) -> list[str]:
    """Aliases for a version, once each.

    Args:
        taken: The pipeline's other versions.
        aliases: The aliases.

    Raises:
        AwsError: One is a number, another version's, or they are too many.
    """
    wanted = list(dict.fromkeys(aliases))
    if numbers := [alias for alias in wanted if alias.isdecimal()]:
        raise validation_error(f"The pipeline version alias '{numbers[0]}' can't consist of numbers only.")
    if len(wanted) > MOST_ALIASES:
        raise validation_error(f"A pipeline version can have up to {MOST_ALIASES} aliases.")
    for version in taken:
        if common := sorted(set(wanted) & set(version.aliases)):
            raise AwsError(
                "ConflictException", f"The alias '{common[0]}' is assigned to version {version.number} of the pipeline already."
            )
    return wanted

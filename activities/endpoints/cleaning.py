"""Removes the endpoint configs and models that earlier promotions made for a target, but for the last of them.

What Slipway made is known by its name, which it gives to nothing else, and by its tags. What an endpoint of the account uses
stays, and so does what may be needed to go back.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from temporalio import activity

from activities.endpoints import deployment
from activities.endpoints.served import SageMakerAccount, is_missing, none_if_missing
from activities.origin import Origin
from activities.tags import ENDPOINT_TAG, PROMOTION_TAG
from slipway.api import Message
from slipway.app.spec import Target
from slipway.aws.clients import Aws
from slipway.errors import NeedsPersonError, RefusedError, SlipwayError
from slipway.gathering import gather_bounded
from slipway.names import slug_of
from slipway.served import TAG
from slipway.text import pluralize

AT_ONCE = 4
"""Things that are described at the same time."""
PAGES = 50
"""Pages of a list that are read, a hundred a page. Where there are more, nothing is removed: what is in use is not known."""
REMOVED_AT_ONCE = 50
"""Configs, and models, that are removed from one target at one time. The next promotion goes on."""
FAILURES_TOLD = 5
_NAME = re.compile(r"(?P<slug>.+-v(?P<version>[0-9]+))-[0-9a-f]{10}")


class CleanedTarget(Message):
    """A target that a promotion is done with."""

    target: Target
    region: str
    config: str
    """What it serves since."""
    former: str | None = None
    """What it served before, which it goes back to."""


class CleanUp(Message):
    """Input of `clean_up`."""

    targets: tuple[CleanedTarget, ...]
    keep: int
    """How many former configs of each target stay."""
    origin: Origin | None = None


class CleanedUp(Message):
    """Result of `clean_up`."""

    configs: int = 0
    """How many endpoint configs this try removed."""
    models: int = 0
    failures: tuple[str, ...] = ()
    """What stands in the way, some of it."""

    @property
    def line(self) -> str:
        """What was removed; empty if nothing was."""
        parts = [(self.configs, "endpoint config"), (self.models, "model")]
        said = " and ".join(pluralize(number, what) for number, what in parts if number)
        return f"removed {said} of earlier promotions" if said else ""


@dataclass
class _Removed:
    """What one try has removed."""

    configs: int = 0
    models: int = 0
    failures: list[str] = field(default_factory=list[str])


class CleanUpActivities:
    """The end of a promotion.

    Args:
        aws: Where to find AWS.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    @activity.defn
    async def clean_up(self, request: CleanUp) -> CleanedUp:
        """Removes what nobody needs any more. What cannot be removed is told, and is no error.

        If it is killed after it has removed something, the retry finds that gone, and removes the rest.

        Raises:
            TransientError: AWS slows the worker down, or the like.
        """
        removed, accounts = _Removed(), dict[tuple[str, str | None], AccountInUse]()
        for cleaned in request.targets:
            place = (cleaned.region, cleaned.target.role_arn)
            account = accounts.setdefault(place, AccountInUse(SageMakerAccount(self._aws, *place)))
            try:
                await _clean(account, request, cleaned, removed)
            except (NeedsPersonError, RefusedError) as error:
                removed.failures.append(f"{cleaned.target.endpoint}: {error.report.answered}; {error.report.remedy}")
        told = tuple(dict.fromkeys(removed.failures))
        return CleanedUp(configs=removed.configs, models=removed.models, failures=told[:FAILURES_TOLD])


def is_made_for(name: str, endpoint: str) -> bool:
    """Whether a config or model has a name that Slipway gives to those of an endpoint. A cut name is not known again."""
    found = _NAME.fullmatch(name)
    return found is not None and found["slug"] == slug_of(f"{endpoint}-v{found['version']}")


class AccountInUse:
    """What is in use in one account and region. It is looked at once, and only where something may be removed.

    Args:
        account: The account.
    """

    def __init__(self, account: SageMakerAccount) -> None:
        self.account = account
        self._used: asyncio.Task[tuple[frozenset[str], frozenset[str]]] | None = None

    async def used(self) -> tuple[frozenset[str], frozenset[str]]:
        """The configs that endpoints serve or are being updated to, and their models.

        Raises:
            SlipwayError: It cannot be seen.
        """
        if self._used is None:
            self._used = asyncio.create_task(self._look())
        return await self._used

    async def _look(self) -> tuple[frozenset[str], frozenset[str]]:
        listed = await self.listed(self.account.sagemaker.list_endpoints, "Endpoints")
        endpoints = await gather_bounded(self.account.endpoint, (each["EndpointName"] for each in listed), AT_ONCE)
        configs = frozenset(
            config
            for endpoint in endpoints
            if endpoint is not None
            for config in (endpoint.get("EndpointConfigName"), deployment.pending_config(endpoint))
            if config
        )
        variants = await self._variants_of(configs)
        if all("ModelName" in each for each in variants):
            return configs, _models_in(variants)
        return configs, _models_in(variants) | await self._models_of_components()

    async def models_of(self, configs: Collection[str]) -> frozenset[str]:
        """The models of some configs."""
        return _models_in(await self._variants_of(configs))

    async def _variants_of(self, configs: Collection[str]) -> list[dict[str, Any]]:
        described: list[Any] = list(await gather_bounded(self.account.config, configs, AT_ONCE))
        kinds = ("ProductionVariants", "ShadowProductionVariants")
        return [variant for config in described if config for kind in kinds for variant in config.get(kind, ())]

    async def _models_of_components(self) -> frozenset[str]:
        """The models of inference components, which variants without a model serve."""
        listed = await self.listed(self.account.sagemaker.list_inference_components, "InferenceComponents")

        async def model_of(name: str) -> str | None:
            describe: Any = self.account.sagemaker.describe_inference_component
            try:
                found = await self.account.call(
                    f"looking at the inference component {name}", describe, InferenceComponentName=name
                )
            except SlipwayError as error:
                return none_if_missing(error)
            return found.get("Specification", {}).get("ModelName")

        found = await gather_bounded(model_of, (each["InferenceComponentName"] for each in listed), AT_ONCE)
        return frozenset(filter(None, found))

    async def configs_of(self, endpoint: str) -> list[dict[str, Any]]:
        """The configs with a name as Slipway gives it to those of an endpoint, the newest first."""
        function = self.account.sagemaker.list_endpoint_configs
        found = await self.listed(function, "EndpointConfigs", NameContains=_stem(endpoint))
        return [each for each in found if is_made_for(each["EndpointConfigName"], endpoint)]

    async def listed(self, function: Any, member: str, **arguments: Any) -> list[dict[str, Any]]:
        """All there is of a kind, the newest first.

        Raises:
            NeedsPersonError: There is too much of it.
        """
        arguments |= {"MaxResults": 100, "SortBy": "CreationTime", "SortOrder": "Descending"}
        tried = f"listing {member} in {self.account.region}"
        found: list[dict[str, Any]] = []
        for _ in range(PAGES):
            answer: Any = await self.account.aws.call(tried, function, **arguments)
            found += answer[member]
            if not answer.get("NextToken"):
                return found
            arguments["NextToken"] = answer["NextToken"]
        raise NeedsPersonError(tried, f"there are more than {100 * PAGES:,}", "remove some by hand")

    async def is_own(self, arn: str, endpoint: str) -> bool:
        """Whether the tags say that a promotion made it, and for this endpoint. Earlier releases did not name the endpoint."""
        tags = await self.account.tags_of(arn)
        untagged = endpoint if slug_of(endpoint) == endpoint else None
        return PROMOTION_TAG in tags and tags.get(ENDPOINT_TAG, untagged) == endpoint


def _models_in(variants: Collection[dict[str, Any]]) -> frozenset[str]:
    """The models of some variants, and those that instance pools have instead."""
    pools = (pool for variant in variants for pool in variant.get("InstancePools", ()))
    names = [*(each.get("ModelName") for each in variants), *(pool.get("ModelNameOverride") for pool in pools)]
    return frozenset(filter(None, names))


async def _clean(account: AccountInUse, request: CleanUp, cleaned: CleanedTarget, removed: _Removed) -> None:
    """Remove what one target needs no more.

    Raises:
        SlipwayError: It cannot be seen, or not be removed.
    """
    name = cleaned.target.endpoint
    endpoint = await account.account.endpoint(name)
    if endpoint is None or deployment.is_moving(endpoint) or endpoint.get("EndpointConfigName") != cleaned.config:
        return  # somebody else is at work there
    left = (await account.account.tags_of(endpoint["EndpointArn"])).get(TAG)
    needed = {cleaned.config, cleaned.former, left}
    former = [each for each in await account.configs_of(name) if each["EndpointConfigName"] not in needed - {cleaned.former}]
    kept = former[: request.keep]
    old = [each for each in former[request.keep :] if each["EndpointConfigName"] not in needed][-REMOVED_AT_ONCE:]
    if old:
        used, _ = await account.used()
        for each in old:
            if each["EndpointConfigName"] not in used and await account.is_own(each["EndpointConfigArn"], name):
                delete: Any = account.account.sagemaker.delete_endpoint_config
                await _delete(account.account, delete, EndpointConfigName=each["EndpointConfigName"])
                removed.configs += 1
    if len(kept) == request.keep:
        await _clean_models(account, name, kept[-1]["CreationTime"], removed)


async def _clean_models(account: AccountInUse, endpoint: str, before: Any, removed: _Removed) -> None:
    """Remove the models that no config has any more. One that was made lately may still get its config."""
    sagemaker: Any = account.account.sagemaker
    listed = await account.listed(sagemaker.list_models, "Models", NameContains=_stem(endpoint), CreationTimeBefore=before)
    own = [each for each in listed if is_made_for(each["ModelName"], endpoint)]
    if not own:
        return
    _, used = await account.used()
    used |= await account.models_of([each["EndpointConfigName"] for each in await account.configs_of(endpoint)])
    for each in [each for each in own if each["ModelName"] not in used][-REMOVED_AT_ONCE:]:
        if await account.is_own(each["ModelArn"], endpoint):
            await _delete(account.account, sagemaker.delete_model, ModelName=each["ModelName"])
            removed.models += 1


async def _delete(account: SageMakerAccount, function: Any, **named: str) -> None:
    """Remove something that may be gone already."""
    try:
        await account.aws.call(f"removing {', '.join(named.values())}, which no endpoint uses", function, **named)
    except SlipwayError as error:
        if not is_missing(error):
            raise


def _stem(endpoint: str) -> str:
    """What the names of an endpoint's configs and models begin with."""
    return f"{slug_of(endpoint)}-v"

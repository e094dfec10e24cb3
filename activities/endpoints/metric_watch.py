"""Watching metrics of new models while traffic moves to them, and while they soak."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Any

from temporalio import activity

from activities.endpoints.measuring import Fleet, Judgement, Sample, Wanted, Window, judge, measure
from activities.endpoints.messages import AlarmPlace, Breach, EndpointPlan, Unjudged, WatchedModel
from activities.endpoints.served import SageMakerAccount, account_of
from slipway.api import Message
from slipway.app.watched_metrics import WatchedMetric
from slipway.aws.clients import Aws
from slipway.aws.looking import Answers, Described, Source
from slipway.aws.polling import Pollers, Polling
from slipway.errors import NeedsPersonError
from slipway.gathering import gather_all, gather_bounded

AT_ONCE = 8
"""Configs that are described at the same time."""
RULES_LIMIT = 1_000
"""Rules that a result names: it has to fit into one message of Temporal's."""


class Look(Message):
    """One rule on the fleet that a config made. As JSON it is the poller's key."""

    served: WatchedModel
    variant: str
    made: datetime
    """When the config was made: the former one alone had requests before."""
    rule: int
    """The rule's place in the spec."""
    metric: WatchedMetric

    def wanted(self, config: str, window: Window) -> Wanted:
        """What to look at in CloudWatch, for the fleet of a config."""
        fleet = Fleet(self.served.endpoint, self.variant, config)
        return Wanted(fleet, self.metric.metric, self.metric.statistic, window)

    def latest(self, now: datetime) -> Window:
        """The time that counts."""
        return Window.between(max(now - self.metric.window, self.served.since), now)

    @property
    def before(self) -> Window:
        """As long a time before there was a new model."""
        return Window.between(self.made - self.metric.window, self.made)


class Metrics:
    """Where metrics are looked at.

    Args:
        aws: Where to find AWS.
        polling: How often.
    """

    def __init__(self, aws: Aws, polling: Polling) -> None:
        self._aws = aws
        self._judgements = polling.pollers(self._judgements_at, account_of)

    async def watch(self, models: Sequence[WatchedModel], rules: Sequence[WatchedMetric]) -> MetricWatch:
        """A watch of rules on the models that some endpoints serve, or begin to serve.

        Raises:
            NeedsPersonError: A config is not there.
        """
        looks = await gather_bounded(partial(self._looks_of, rules=rules), models if rules else (), AT_ONCE)
        return MetricWatch(self._judgements, {look: at for at, of_one in enumerate(looks) for look in of_one})

    async def _looks_of(self, served: WatchedModel, rules: Sequence[WatchedMetric]) -> list[Look]:
        place = served.place
        config = await SageMakerAccount(self._aws, place.region, place.role_arn).config(served.config)
        if config is None:
            tried = f"watching the metrics of {served.endpoint} in {place.region}"
            raise NeedsPersonError(
                tried, f"the endpoint config {served.config} is gone", "see who deleted it; then retry or abort"
            )
        names = [variant.get("VariantName", "") for variant in config["ProductionVariants"]]
        variant = served.variant if served.variant in names else names[0]
        made = config["CreationTime"]
        return [Look(served=served, variant=variant, made=made, rule=at, metric=rule) for at, rule in enumerate(rules)]

    def _judgements_at(self, region: str | None, role_arn: str | None) -> Source[Judgement]:
        return Described(partial(judgements, SageMakerAccount(self._aws, region or "", role_arn)))


async def judgements(account: SageMakerAccount, keys: Collection[str]) -> Answers[Judgement]:
    """What comes of each look now."""
    now = datetime.now(UTC)
    looks = {key: Look.model_validate_json(key) for key in keys}
    found = await measure(account, [wanted for look in looks.values() for wanted in _wanted_now(look, now)])
    earlier = [
        look.wanted(look.served.former, look.before)
        for look in looks.values()
        if look.served.former and _sample_of(look, look.served.former, now, found).requests < look.metric.min_requests
        if _sample_of(look, look.served.config, now, found).requests >= look.metric.min_requests
    ]
    found |= await measure(account, earlier)
    return {key: _judgement(look, now, found) for key, look in looks.items()}


def _wanted_now(look: Look, now: datetime) -> Iterator[Wanted]:
    yield look.wanted(look.served.config, look.latest(now))
    if look.served.former:
        yield look.wanted(look.served.former, look.latest(now))


def _sample_of(look: Look, config: str, now: datetime, found: Mapping[Wanted, Sample]) -> Sample:
    return found[look.wanted(config, look.latest(now))]


def _judgement(look: Look, now: datetime, found: Mapping[Wanted, Sample]) -> Judgement:
    former = None
    if look.served.former:
        former = found.get(look.wanted(look.served.former, look.before)) or _sample_of(look, look.served.former, now, found)
    return judge(look.metric, _sample_of(look, look.served.config, now, found), former)


class MetricWatch:
    """Some looks, and what came of each so far.

    Args:
        pollers: Who looks.
        looks: The looks, with the place of the model of each.
    """

    def __init__(self, pollers: Pollers[Judgement], looks: Mapping[Look, int]) -> None:
        self._pollers = pollers
        self._looks = looks
        self._breaches: dict[Look, str] = {}
        self._unjudged: dict[Look, str] = {}
        self._judged: set[Look] = set()

    @property
    def breaches(self) -> tuple[Breach, ...]:
        """The rules that were breached; where they are too many, one of each model."""
        found = [Breach(model=self._looks[look], said=said) for look, said in self._breaches.items()]
        if len(found) > RULES_LIMIT:
            found = list({breach.model: breach for breach in found}.values())
        return tuple(found)

    @property
    def unjudged(self) -> tuple[Unjudged, ...]:
        """The rules that never could be judged, as many as fit."""
        never = [look for look in self._unjudged if look not in self._judged and look not in self._breaches]
        return tuple(Unjudged(model=self._looks[look], rule=look.rule, said=self._unjudged[look]) for look in never[:RULES_LIMIT])

    async def until_breach(self, until: datetime | None = None) -> None:
        """Watch until a rule is breached or the time is over; for ever where nothing is watched and there is no time.

        Raises:
            SlipwayError: The metrics cannot be looked at.
        """
        async with AsyncExitStack() as stack:
            watching = [asyncio.create_task(self._follow(look, until)) for look in self._looks]
            if not watching and until is None:
                await asyncio.Event().wait()
            for task in watching:
                stack.callback(task.cancel)
            left: Collection[asyncio.Task[None]] = watching
            while left and not self._breaches:
                done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()

    async def look_once_more(self) -> None:
        """Look at all of it now.

        Raises:
            SlipwayError: The metrics cannot be looked at.
        """
        await gather_all(*(self._follow(look, datetime.now(UTC)) for look in self._looks))

    async def _follow(self, look: Look, until: datetime | None) -> None:
        place = look.served.place
        poller = self._pollers.at(place.region, place.role_arn)
        note = partial(self._note, look)
        await poller.until(look.model_dump_json(), done=lambda found: bool(found.breach), deadline=until, tell=note)

    def _note(self, look: Look, found: Judgement) -> None:
        if found.breach:
            self._breaches[look] = found.breach
        elif found.unjudged:
            self._unjudged[look] = found.unjudged
        else:
            self._judged.add(look)


def watched(plan: EndpointPlan) -> WatchedModel:
    """A plan's model, from when this activity was first scheduled: an earlier try of it may have had requests, too."""
    return WatchedModel(
        place=AlarmPlace(region=plan.region, role_arn=plan.target.role_arn),
        endpoint=plan.target.endpoint,
        variant=plan.variant.name,
        config=plan.config,
        former=plan.former,
        since=activity.info().scheduled_time,
    )


def reason_of(metrics: MetricWatch) -> str:
    """Why a model that breaches rules goes back."""
    return "; ".join(breach.said for breach in metrics.breaches)


async def first_ended(task: asyncio.Task[Any], watch: Coroutine[Any, Any, None]) -> asyncio.Task[Any]:
    """The one of two that ended first; the other one is cancelled. Where both have ended it is the first one.

    Raises:
        SlipwayError: The watch failed.
    """
    watching = asyncio.ensure_future(watch)
    try:
        await asyncio.wait({task, watching}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task
        watching.result()
        return watching
    finally:
        for other in (task, watching):
            other.cancel()

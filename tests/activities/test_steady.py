"""Clients that ask without a pause, while the endpoint goes to another model and back."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from datetime import timedelta

import pytest

from slipway.api import LedgerState
from slipway.app.strategy import Canary, Linear, Rolling, Strategy
from tests.activities.serving import ALARM, Serving

MINUTE = timedelta(minutes=1)
STRATEGIES = {
    "at once": Strategy(bake=MINUTE),
    "canary": Strategy(canary=Canary(percent=50, wait=MINUTE), bake=MINUTE, alarms=(ALARM,)),
    "linear": Strategy(linear=Linear(percent=50, wait=MINUTE), bake=MINUTE, alarms=(ALARM,)),
    "rolling": Strategy(rolling=Rolling(percent=50, wait=MINUTE), alarms=(ALARM,)),
}


class Clients:
    """Clients of an endpoint, each on a thread of its own. They count what they got."""

    def __init__(self, serving: Serving, number: int = 2) -> None:
        self.seen: Counter[str] = Counter()
        self._runtime = serving.sandbox.client("sagemaker-runtime", serving.account)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(number)]

    async def __aenter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def _ask(self) -> None:
        asked = {"EndpointName": "screening-prod", "ContentType": "application/json", "Body": b"{}"}
        while not self._over.is_set():
            try:
                self.seen[self._runtime.invoke_endpoint(**asked)["Body"].read().decode()] += 1
            except Exception as error:  # noqa: BLE001  (the clients count whatever fails)
                self.seen[f"failed: {error}"] += 1


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
async def test_given_clients_without_a_pause_when_a_healthy_model_comes_and_goes_then_no_request_fails(
    serving: Serving, strategy: Strategy
) -> None:
    first = await serving.serve()
    async with Clients(serving) as clients:
        second = await serving.roll_out(serving.package("second"), strategy)
        assert (await serving.restore(second, first.config)).state is LedgerState.undone
    assert set(clients.seen) == {'{"model": "first"}', '{"model": "second"}'}

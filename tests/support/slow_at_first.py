"""A workflow whose first task takes longer than the SDK allows."""

from __future__ import annotations

import time
from typing import Any

from temporalio import workflow
from temporalio.client import Client

LIMIT = 2.0
"""Seconds after which the SDK fails a workflow task."""
_seen: dict[str, list[str]] = {}


@workflow.defn
class SlowAtFirst:
    """It ends with how each try to run it went, until one was quick."""

    @workflow.run
    async def run(self) -> list[str]:
        tries = _seen.setdefault(workflow.info().run_id, [])
        if tries:
            return tries
        tries.append("interrupted")
        ends = time.monotonic() + LIMIT + 0.5
        while time.monotonic() < ends:
            pass
        tries[0] = "slow"
        return tries


def options_of_slow(client: Client, queue: str) -> dict[str, Any]:
    """What a worker that runs it is made with."""
    return {"client": client, "task_queue": queue, "workflows": [SlowAtFirst]}

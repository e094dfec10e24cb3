"""Workflows whose first task, or first query, takes longer than the SDK allows."""

from __future__ import annotations

import time
from typing import Any

from temporalio import workflow
from temporalio.client import Client

LIMIT = 2.0
"""Seconds after which the SDK fails a workflow task."""
_seen: dict[str, list[str]] = {}


def _stand_still() -> None:
    ends = time.monotonic() + LIMIT + 0.5
    while time.monotonic() < ends:
        pass


@workflow.defn
class SlowAtFirst:
    """It ends with how each try to run it went, until one was quick."""

    @workflow.run
    async def run(self) -> list[str]:
        tries = _seen.setdefault(workflow.info().run_id, [])
        if tries:
            return tries
        tries.append("interrupted")
        _stand_still()
        tries[0] = "slow"
        return tries


@workflow.defn
class SlowToAnswer:
    """It ends at once."""

    @workflow.run
    async def run(self) -> None:
        return

    @workflow.query
    def asked(self) -> list[str]:
        asked = _seen.setdefault(workflow.info().run_id, [])
        if not asked:
            asked.append("once")
            _stand_still()
        return asked


def options_of_slow(client: Client, queue: str) -> dict[str, Any]:
    """What a worker that runs them is made with."""
    return {"client": client, "task_queue": queue, "workflows": [SlowAtFirst, SlowToAnswer]}

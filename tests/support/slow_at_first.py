"""Workflows whose first task, or first query, takes longer than the SDK allows."""

from __future__ import annotations

import time
from typing import Any

from temporalio import workflow
from temporalio.client import Client

TOO_LONG = 2.5
"""Seconds; the SDK fails a workflow task after two."""
MUCH_TOO_LONG = 5.0
"""Even where the whole process stands still for a moment meanwhile."""
_seen: dict[str, list[str]] = {}


def _stand_still(seconds: float) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        time.sleep(0.01)  # in many parts: an interruption comes between two of them


@workflow.defn
class SlowAtFirst:
    """It ends with how each try to run it went, until one was quick."""

    @workflow.run
    async def run(self, seconds: float) -> list[str]:
        tries = _seen.setdefault(workflow.info().run_id, [])
        if tries:
            return tries
        tries.append("interrupted")
        _stand_still(seconds)
        tries[0] = "slow"
        return tries


@workflow.defn
class SlowToAnswer:
    """It ends at once."""

    @workflow.run
    async def run(self) -> None:
        return

    @workflow.query
    def asked(self, seconds: float) -> list[str]:
        asked = _seen.setdefault(workflow.info().run_id, [])
        if not asked:
            asked.append("once")
            _stand_still(seconds)
        return asked


def options_of_slow(client: Client, queue: str) -> dict[str, Any]:
    """What a worker that runs them is made with."""
    return {"client": client, "task_queue": queue, "workflows": [SlowAtFirst, SlowToAnswer]}

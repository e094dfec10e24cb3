"""A workflow that decides by which of two signals it has; `python -m tests.support.first_of_two ADDRESS QUEUE` is its worker."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

STICKY = timedelta(seconds=3)
"""How long a task waits for a worker that had the workflow in memory. Ten seconds are the SDK's default."""


@activity.defn
async def note(found: str) -> str:
    """Do what was decided."""
    return found


@workflow.defn
class FirstOfTwo:
    """It ends with "a alone" where the signal a came by itself, and with "both" where b came at the same time."""

    def __init__(self) -> None:
        self._signals: list[str] = []

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: "a" in self._signals)
        found = "both" if "b" in self._signals else "a alone"
        await workflow.execute_activity(note, found, activity_id=found, start_to_close_timeout=timedelta(seconds=10))
        return found

    @workflow.signal
    def put(self, name: str) -> None:
        self._signals.append(name)

    @workflow.query
    def signals(self) -> list[str]:
        return self._signals


def options_of_two(client: Client, queue: str) -> dict[str, Any]:
    """What a worker that runs it is made with."""
    return {
        "client": client,
        "task_queue": queue,
        "workflows": [FirstOfTwo],
        "activities": [note],
        "sticky_queue_schedule_to_start_timeout": STICKY,
    }


def worker_of_two(client: Client, queue: str) -> Worker:
    """A worker that runs it as the SDK alone does."""
    return Worker(**options_of_two(client, queue), workflow_runner=UnsandboxedWorkflowRunner())


async def main(address: str, queue: str) -> None:
    await worker_of_two(await Client.connect(address), queue).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""The commands that promotions send to Temporal, in their order: a change must be meant, and harmless to what runs."""

from __future__ import annotations

from temporalio.client import Client

from tests.support.commands import BASELINE, commands

CURE = (
    "the workflows send other commands than tests/histories/commands.txt says. A promotion that runs while its worker is "
    "replaced fails on that, unless the change is behind workflow.patched(). Once it is, run `python -m tests.record_commands` "
    "and commit the difference with the reason"
)


async def test_given_the_committed_baseline_when_promotions_run_then_they_send_the_same_commands(client: Client) -> None:
    assert await commands(client) == BASELINE.read_text(), CURE

"""`slipway setup`."""

from __future__ import annotations

from slipway.cli.common import AsJson, Length
from slipway.cli.exits import Exit
from slipway.cli.out import Out
from slipway.temporal.connect import connect
from slipway.temporal.setup import RETENTION, set_up


async def setup(*, retention: Length = None, as_json: AsJson = False) -> int:
    """Make the Temporal namespace and the search attributes that Slipway needs. Safe to repeat.

    Args:
        retention: How long a new namespace keeps promotions that are over, as 90d. Default: 30d.
        as_json: What was made, as JSON.
    """
    out = Out(as_json=as_json)
    done = await set_up(await connect(), retention or RETENTION)
    made = f"added {', '.join(done.attributes_made)}" if done.attributes_made else "all there already"
    out.say(f"namespace {done.namespace}: {'made' if done.namespace_made else 'exists already'}; search attributes: {made}")
    out.data(done)
    return Exit.ok

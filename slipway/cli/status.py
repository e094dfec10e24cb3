"""`slipway status`."""

from __future__ import annotations

from slipway.cli.common import AsJson, PromotionId
from slipway.cli.exits import Exit
from slipway.cli.out import Out
from slipway.cli.reading import read
from slipway.cli.show import show_status
from slipway.temporal.connect import connect


async def status(promotion_id: PromotionId, /, *, as_json: AsJson = False) -> int:
    """Show one promotion: its stages, what it waits for, and how it ended."""
    out = Out(as_json=as_json)
    glance = await read(await connect(), promotion_id)
    out.show(show_status(glance.status, glance.progress))
    out.data({**glance.status.model_dump(mode="json"), "progress": glance.progress})
    return Exit.ok

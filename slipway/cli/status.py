"""`slipway status`."""

from __future__ import annotations

from slipway.cli.common import AsJson, PromotionId, ui_link
from slipway.cli.exits import Exit
from slipway.cli.out import Out
from slipway.cli.reading import read
from slipway.cli.show import show_status
from slipway.temporal.connect import connect


async def status(promotion_id: PromotionId, /, *, as_json: AsJson = False) -> int:
    """Show one promotion: its stages, what it waits for, and how it ended."""
    out, client = Out(as_json=as_json), await connect()
    snapshot = await read(client, promotion_id)
    link = ui_link(client.namespace, promotion_id)
    out.show(show_status(snapshot.status, snapshot.progress, link))
    out.data({**snapshot.status.model_dump(mode="json"), "progress": snapshot.progress, "url": link})
    return Exit.ok

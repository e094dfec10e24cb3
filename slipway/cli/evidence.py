"""`slipway evidence`."""

from __future__ import annotations

from slipway.cli.common import AsJson, PromotionId
from slipway.cli.exits import Exit
from slipway.cli.out import Out
from slipway.cli.reading import read_evidence
from slipway.cli.show import show_evidence
from slipway.temporal.connect import connect


async def evidence(promotion_id: PromotionId, /, *, as_json: AsJson = False) -> int:
    """Show what a promotion's approvers decide on, also after its end.

    Raises:
        NeedsPersonError: The evidence does not have the hash that it names.
    """
    out = Out(as_json=as_json)
    found = await read_evidence(await connect(), promotion_id)
    out.show(show_evidence(found.evidence, found.computed))
    out.data(found.document)
    found.check()
    return Exit.ok

"""`slipway reject`."""

from __future__ import annotations

from slipway.cli.common import AsJson, By, PromotionId, Reason, person
from slipway.cli.deciding import Hash, Yes, decide, look
from slipway.cli.out import Out
from slipway.temporal.connect import connect


async def reject(
    promotion_id: PromotionId,
    /,
    *,
    by: By = None,
    evidence: Hash = None,
    yes: Yes = False,
    reason: Reason = "",
    as_json: AsJson = False,
) -> int:
    """Reject the model of a promotion that waits for approval. What the promotion did is undone."""
    out, who, client = Out(as_json=as_json), person(by), await connect()
    seen = evidence or await look(client, "reject", promotion_id, who, out, yes=yes)
    return await decide(client, "reject", promotion_id, who, seen, reason, out)

"""`slipway approve`."""

from __future__ import annotations

from slipway.cli.common import AsJson, By, PromotionId, Reason, person
from slipway.cli.deciding import Hash, Yes, decide
from slipway.cli.out import Out
from slipway.cli.signing import Signing
from slipway.temporal.connect import connect

_UNSIGNED = Signing()


async def approve(
    promotion_id: PromotionId,
    /,
    *,
    by: By = None,
    evidence: Hash = None,
    yes: Yes = False,
    reason: Reason = "",
    signing: Signing = _UNSIGNED,
    as_json: AsJson = False,
) -> int:
    """Approve the model of a promotion that waits for approval."""
    out, who, client = Out(as_json=as_json), person(by), await connect()
    return await decide(client, "approve", promotion_id, who, evidence, reason, out, signing, yes=yes)

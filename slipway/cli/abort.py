"""`slipway abort`."""

from __future__ import annotations

from slipway.cli.common import AsJson, By, PromotionId, Reason, person
from slipway.cli.operating import operate
from slipway.cli.out import Out
from slipway.cli.signing import Signing
from slipway.temporal.connect import connect

_UNSIGNED = Signing()


async def abort(
    promotion_id: PromotionId,
    /,
    *,
    by: By = None,
    reason: Reason = "",
    signing: Signing = _UNSIGNED,
    as_json: AsJson = False,
) -> int:
    """End a promotion at any time. What it did is undone, the last first."""
    return await operate(await connect(), "abort", promotion_id, person(by), reason, Out(as_json=as_json), signing)

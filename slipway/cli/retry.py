"""`slipway retry`."""

from __future__ import annotations

from slipway.cli.common import AsJson, By, PromotionId, Reason, person
from slipway.cli.operating import operate
from slipway.cli.out import Out
from slipway.cli.signing import Signing
from slipway.temporal.connect import connect

_UNSIGNED = Signing()


async def retry(
    promotion_id: PromotionId,
    /,
    *,
    by: By = None,
    reason: Reason = "",
    signing: Signing = _UNSIGNED,
    as_json: AsJson = False,
) -> int:
    """Try a parked stage again, once its cause is fixed."""
    return await operate(await connect(), "retry", promotion_id, person(by), reason, Out(as_json=as_json), signing)

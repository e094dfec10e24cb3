"""`slipway retry`."""

from __future__ import annotations

from slipway.cli.common import AsJson, By, PromotionId, Reason, person
from slipway.cli.naming import Execution, Named, Package, Task
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
    execution: Execution = "",
    package: Package = "",
    task: Task = "",
    signing: Signing = _UNSIGNED,
    as_json: AsJson = False,
) -> int:
    """Try a parked stage again, once its cause is fixed."""
    client, out = await connect(), Out(as_json=as_json)
    named = Named(execution, package, task)
    return await operate(client, "retry", promotion_id, person(by), reason, out, signing, named)

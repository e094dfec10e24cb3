"""`slipway watch`."""

from __future__ import annotations

from slipway.cli.common import AsJson, Length, PromotionId
from slipway.cli.following import exit_of, follow
from slipway.cli.out import Out
from slipway.temporal.connect import connect


async def watch(
    promotion_id: PromotionId,
    /,
    *,
    timeout: Length = None,  # noqa: ASYNC109 -- it ends with the last status, not with an error
    as_json: AsJson = False,
) -> int:
    """Follow one promotion to its end, with the live progress of tasks, pipeline steps and traffic.

    It goes on while a worker or Temporal does not answer, as during an upgrade.

    Args:
        promotion_id: The promotion's id.
        timeout: How long to follow at most, as 30s, 10m, 72h or 2d. Default: as long as it takes.
        as_json: The whole status at each change, as JSON.
    """
    out = Out(as_json=as_json)
    return exit_of(await follow(await connect(), promotion_id, out, timeout))

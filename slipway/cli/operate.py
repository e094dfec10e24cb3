"""`slipway retry` and `slipway abort`."""

from __future__ import annotations

from pydantic import ValidationError

from slipway.api import OperatorCommand
from slipway.cli.common import AsJson, By, PromotionId, Reason, person
from slipway.cli.exits import Exit
from slipway.cli.out import Out
from slipway.errors import RefusedError
from slipway.temporal.connect import connect
from slipway.temporal.start import promotion, tell


async def retry(promotion_id: PromotionId, /, *, by: By = None, reason: Reason = "", as_json: AsJson = False) -> int:
    """Try a parked stage again, once its cause is mended."""
    return await operate("retry", promotion_id, by, reason, Out(as_json=as_json))


async def abort(promotion_id: PromotionId, /, *, by: By = None, reason: Reason = "", as_json: AsJson = False) -> int:
    """End a promotion at any time. What it did is undone, the last first."""
    return await operate("abort", promotion_id, by, reason, Out(as_json=as_json))


async def operate(name: str, promotion_id: str, by: str | None, reason: str, out: Out) -> int:
    """Send the command.

    Raises:
        RefusedError: A value is not allowed.
        WorkflowUpdateFailedError: The promotion does not take it.
    """
    who = person(by)
    try:
        command = OperatorCommand(by=who, reason=reason)
    except ValidationError as error:
        raise RefusedError("reading the command", str(error.errors()[0]["msg"]), f"see `slipway {name} --help`") from error
    receipt = await tell(promotion(await connect(), promotion_id), name, command)
    out.say(f"{promotion_id}: {receipt.text}")
    out.data({"id": promotion_id, "by": who, "text": receipt.text})
    return Exit.ok

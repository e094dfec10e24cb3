"""What `slipway retry` and `slipway abort` share."""

from __future__ import annotations

from temporalio.client import Client

from slipway.api import OperatorCommand
from slipway.cli.common import checked
from slipway.cli.exits import Exit
from slipway.cli.out import Out
from slipway.cli.reading import open_promotion
from slipway.temporal.start import send_update


async def operate(client: Client, name: str, promotion_id: str, who: str, reason: str, out: Out) -> int:
    """Send the command.

    Raises:
        RefusedError: A value is not allowed, or the promotion is over.
        WorkflowUpdateFailedError: The promotion does not take it.
    """
    command = checked(OperatorCommand, name, by=who, reason=reason)
    receipt = await send_update(await open_promotion(client, promotion_id), name, command)
    out.say(f"{promotion_id}: {receipt.text}")
    out.data({"id": promotion_id, "by": who, "text": receipt.text})
    return Exit.ok

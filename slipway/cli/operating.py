"""What `slipway retry` and `slipway abort` share."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from temporalio.client import Client

from slipway.api import OperatorCommand
from slipway.cli.common import checked
from slipway.cli.deciding import send
from slipway.cli.naming import NOTHING, Named
from slipway.cli.out import Out
from slipway.cli.reading import open_promotion, open_with_status, query_evidence
from slipway.cli.signing import Signing, find_key, make_document, show_document


async def operate(
    client: Client,
    name: Literal["retry", "abort"],
    promotion_id: str,
    who: str,
    reason: str,
    out: Out,
    signing: Signing,
    named: Named = NOTHING,
) -> int:
    """Send the command.

    Args:
        client: Temporal.
        name: `retry` or `abort`.
        promotion_id: The promotion.
        who: Who says so.
        reason: Why.
        out: Where to print.
        signing: Whether to sign, and with what.
        named: What a retry names.

    Raises:
        RefusedError: A value is not allowed, there is no key to sign with, or the promotion is over.
        WorkflowUpdateFailedError: The promotion does not take it.
    """
    command = checked(OperatorCommand, name, by=who, reason=reason, **asdict(named))
    if not signing.sign:
        return await send(await open_promotion(client, promotion_id), name, command, who, out)
    find_key(signing.key)
    opened = await open_with_status(client, promotion_id)
    found = await query_evidence(opened.handle)
    document = make_document(name, opened, found, who, reason, signing.expires, named)
    out.show(show_document(document))
    return await send(opened.handle, name, signing.sign_document(document), who, out)

"""`slipway approve` and `slipway reject`."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

from cyclopts import Parameter
from pydantic import ValidationError
from rich.prompt import Confirm

from slipway.api import Decision
from slipway.cli.common import AsJson, By, PromotionId, Reason, person
from slipway.cli.exits import Exit
from slipway.cli.out import Out
from slipway.cli.reading import read_evidence
from slipway.cli.show import show_evidence
from slipway.errors import RefusedError
from slipway.temporal.connect import connect
from slipway.temporal.start import promotion, tell

Hash = Annotated[
    str | None,
    Parameter(name="--evidence", help="The hash of the evidence that you looked at. Absent: it is shown, and you are asked."),
]


async def approve(
    promotion_id: PromotionId, /, *, by: By = None, evidence: Hash = None, reason: Reason = "", as_json: AsJson = False
) -> int:
    """Approve the model of a promotion that waits for approval."""
    return await decide("approve", promotion_id, by, evidence, reason, Out(as_json=as_json))


async def reject(
    promotion_id: PromotionId, /, *, by: By = None, evidence: Hash = None, reason: Reason = "", as_json: AsJson = False
) -> int:
    """Reject the model of a promotion that waits for approval. What the promotion did is undone."""
    return await decide("reject", promotion_id, by, evidence, reason, Out(as_json=as_json))


async def decide(name: str, promotion_id: str, by: str | None, evidence: str | None, reason: str, out: Out) -> int:
    """Show the evidence, and send the decision on it.

    Raises:
        RefusedError: A value is not allowed.
        WorkflowUpdateFailedError: The promotion does not take it.
    """
    who = person(by)
    handle = promotion(await connect(), promotion_id)
    if evidence is None:
        seen = await read_evidence(handle)
        out.show(show_evidence(seen))
        if out.is_live and sys.stdin.isatty() and not confirmed(f"{name} as {who} (claimed)?", out):
            out.say("nothing was decided")
            return Exit.ok
        evidence = seen.hash
    try:
        decision = Decision(by=who, evidence=evidence, reason=reason)
    except ValidationError as error:
        raise RefusedError("reading the decision", str(error.errors()[0]["msg"]), f"see `slipway {name} --help`") from error
    receipt = await tell(handle, name, decision)
    out.say(f"{promotion_id}: {receipt.text} (claimed)")
    out.data({"id": promotion_id, "evidence": evidence, "by": who, "text": receipt.text})
    return Exit.ok


def confirmed(question: str, out: Out) -> bool:
    """Ask on the terminal. Ctrl-C ends the command at once; asyncio's own handler would only note it while the question waits."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return Confirm.ask(question, console=out.console)
    finally:
        signal.signal(signal.SIGINT, before)

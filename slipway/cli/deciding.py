"""What `slipway approve` and `slipway reject` share: a decision needs the evidence's hash, a yes on the terminal, or --yes."""

from __future__ import annotations

import shlex
import signal
from typing import Annotated

from cyclopts import Parameter
from rich.prompt import Confirm
from temporalio.client import Client

from slipway.api import Decision
from slipway.cli.common import checked
from slipway.cli.exits import Exit
from slipway.cli.out import Out
from slipway.cli.reading import open_promotion, read_evidence
from slipway.cli.show import show_evidence
from slipway.errors import RefusedError
from slipway.temporal.start import send_update

Hash = Annotated[
    str | None,
    Parameter(
        name="--evidence",
        help="The hash of the evidence that you looked at. Without it, the evidence is shown and you are asked on the terminal. "
        "Where nobody can be asked (a pipe, a pager, CI, --json) the command is refused, unless --yes is given.",
    ),
]
Yes = Annotated[
    bool,
    Parameter(name="--yes", negative="", help="Decide on the evidence as it is now, without a question and without its hash."),
]


async def decide(client: Client, name: str, promotion_id: str, who: str, evidence: str | None, reason: str, out: Out) -> int:
    """Send the decision on evidence that somebody looked at.

    Args:
        client: Temporal.
        name: `approve` or `reject`.
        promotion_id: The promotion.
        who: Who decides.
        evidence: The hash.
        reason: Why.
        out: Where to print.

    Raises:
        RefusedError: A value is not allowed, or the promotion is over.
        WorkflowUpdateFailedError: The promotion does not take it.
    """
    decision = checked(Decision, name, by=who, evidence=evidence, reason=reason)
    receipt = await send_update(await open_promotion(client, promotion_id), name, decision)
    out.say(f"{promotion_id}: {receipt.text} (claimed)")
    out.data({"id": promotion_id, "evidence": evidence, "by": who, "text": receipt.text})
    return Exit.ok


async def look(client: Client, name: str, promotion_id: str, who: str, out: Out, *, yes: bool) -> str:
    """Show the evidence, and ask the person at the terminal.

    Returns:
        The hash that may be decided on.

    Raises:
        RefusedError: Nobody said yes; or there is no evidence, or the promotion is over.
        NeedsPersonError: The evidence does not have the hash that it names.
    """
    await open_promotion(client, promotion_id)
    found = await read_evidence(client, promotion_id)
    evidence = found.evidence
    out.show(show_evidence(evidence, found.computed))
    found.check()
    if yes or (out.can_ask and confirmed(f"{name} as {who} (claimed)?", out)):
        return evidence.hash
    out.data(found.document)
    again = f"slipway {name} {promotion_id} --by {shlex.quote(who)} --evidence {evidence.hash}"
    answered = "you did not say yes: nothing was decided" if out.can_ask else "nobody can be asked here: nothing was decided"
    raise RefusedError(f"asking whether to {name} {promotion_id}", answered, f"decide with --evidence <hash>, or --yes: {again}")


def confirmed(question: str, out: Out) -> bool:
    """Ask on the terminal; only a yes is a yes.

    Ctrl-C ends the process at once, by the system. A handler of Python's would miss one that comes just before the process
    begins to read; asyncio's would only note it while the question waits.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return Confirm.ask(question, console=out.console, default=False)
    except EOFError:
        return False
    finally:
        signal.signal(signal.SIGINT, before)

"""What `slipway approve` and `slipway reject` share: a decision needs the evidence's hash, a yes on the terminal, or --yes."""

from __future__ import annotations

import shlex
import signal
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.prompt import Confirm
from temporalio.client import Client

from slipway.api import Decision, IdentityLevel, Message, SignedCommand
from slipway.cli.common import checked
from slipway.cli.exits import Exit
from slipway.cli.out import Out
from slipway.cli.reading import FoundEvidence, open_with_status, query_evidence, required
from slipway.cli.show import show_evidence
from slipway.cli.signing import Signing, make_document, require_signed, show_document
from slipway.decisions.signatures import fingerprint_of
from slipway.errors import RefusedError
from slipway.temporal.start import Handle, send_update

DecisionKind = Literal["approve", "reject"]
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


async def decide(
    client: Client,
    name: DecisionKind,
    promotion_id: str,
    who: str,
    evidence: str | None,
    reason: str,
    out: Out,
    signing: Signing,
    *,
    yes: bool,
) -> int:
    """Decide on evidence that somebody looked at: on that of a hash, or on what is shown now.

    Args:
        client: Temporal.
        name: `approve` or `reject`.
        promotion_id: The promotion.
        who: Who decides.
        evidence: The hash. Without it the evidence is shown, and the person at the terminal is asked.
        reason: Why.
        out: Where to print.
        signing: Whether to sign, and with what.
        yes: Do not ask.

    Raises:
        RefusedError: Nobody said yes; or a value is not allowed, there is no evidence, or the promotion is over.
        NeedsPersonError: The evidence does not have the hash that it names.
        WorkflowUpdateFailedError: The promotion does not take it.
    """
    opened = await open_with_status(client, promotion_id)
    require_signed(opened, name, who, signing)
    if evidence and not signing.sign:
        command: Decision | SignedCommand = checked(Decision, name, by=who, evidence=evidence, reason=reason)
    else:
        found = required(opened.status, await query_evidence(opened.handle))
        if not evidence:
            out.show(show_evidence(found.evidence, found.computed))
        found.check()
        _check_same(evidence, found, name, promotion_id)
        document = make_document(name, opened, found, who, reason, signing.expires) if signing.sign else None
        if document:
            out.show(show_document(document))
        if not (evidence or yes):
            ask(name, promotion_id, who, found, out, signing)
        evidence = found.evidence.hash
        unsigned = checked(Decision, name, by=who, evidence=evidence, reason=reason)
        command = signing.sign_document(document) if document else unsigned
    return await send(opened.handle, name, command, who, out, evidence=evidence)


def _check_same(hash_: str | None, found: FoundEvidence, name: str, promotion_id: str) -> None:
    if hash_ and hash_ not in {found.evidence.hash, found.sha256}:
        raise RefusedError(
            f"signing the decision to {name} {promotion_id}",
            f"the evidence now has the hash {found.evidence.hash}, not {hash_}",
            f"look at it anew: slipway evidence {promotion_id}",
        )


async def send(handle: Handle, name: str, command: Message, who: str, out: Out, **more: str) -> int:
    """Send a command, and say what came of it.

    Raises:
        WorkflowUpdateFailedError: The promotion does not take it.
    """
    receipt = await send_update(handle, name, command)
    out.say(f"{handle.id}: {receipt.text}")
    known: dict[str, str] = {"level": IdentityLevel.claimed}
    if isinstance(command, SignedCommand):
        known = {"level": IdentityLevel.signed, "fingerprint": fingerprint_of(command.signature)}
        out.say(f"signed with the key {known['fingerprint']}")
    out.data({"id": handle.id, **more, "by": who, "text": receipt.text, **known})
    return Exit.ok


def ask(name: str, promotion_id: str, who: str, found: FoundEvidence, out: Out, signing: Signing) -> None:
    """Ask the person at the terminal.

    Raises:
        RefusedError: Nobody said yes.
    """
    if out.can_ask and confirmed(f"{name} as {who} ({signing.level})?", out):
        return
    out.data(found.document)
    sign = " --sign" if signing.sign else ""
    again = f"slipway {name} {promotion_id} --by {shlex.quote(who)} --evidence {found.evidence.hash}{sign}"
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

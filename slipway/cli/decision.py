"""`slipway decision`."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from temporalio.client import Client

from slipway.api import DOCUMENT_LIMIT, SIGNATURE_LIMIT, SignedCommand
from slipway.cli.common import By, Reason, person
from slipway.cli.exits import Exit
from slipway.cli.naming import NOTHING, Execution, Named, Package, Task
from slipway.cli.reading import open_with_status, query_evidence, required
from slipway.cli.signing import Expires, make_document
from slipway.decisions.document import DecisionDocument, Kind, parse_document
from slipway.decisions.signatures import fingerprint_of
from slipway.errors import RefusedError
from slipway.temporal.connect import connect

OptionalId = Annotated[str | None, Parameter(help="The promotion's id. Its document is printed.")]
KindOption = Annotated[Kind | None, Parameter(name="--kind", help="What is decided.")]
Attach = Annotated[
    Path | None,
    Parameter(
        name="--attach",
        help="A document whose signature is beside it, with `.sig` at the end of its name, as ssh-keygen writes it. Both are "
        "printed as the one JSON that a signal in the Temporal UI takes.",
    ),
]


async def decision(
    promotion_id: OptionalId = None,
    /,
    *,
    kind: KindOption = None,
    by: By = None,
    reason: Reason = "",
    expires: Expires = None,
    execution: Execution = "",
    package: Package = "",
    task: Task = "",
    attach: Attach = None,
) -> int:
    """Print the document of a decision, to sign it by hand; or, with --attach, document and signature as one JSON."""
    if attach:
        sys.stdout.write(attached(attach) + "\n")
        return Exit.ok
    if not (promotion_id and kind):
        answered = "it needs a promotion's id and --kind, or --attach and the document's file"
        raise RefusedError("reading the command line", answered, "see `slipway decision --help`")
    named = Named(execution, package, task)
    document = await document_of(await connect(), kind, promotion_id, person(by), reason, expires, named)
    # No line end: the file is signed letter for letter, and the document has none.
    sys.stdout.write(document.canonical())
    return Exit.ok


async def document_of(
    client: Client,
    kind: Kind,
    promotion_id: str,
    who: str,
    reason: str,
    expires: timedelta | None,
    named: Named = NOTHING,
) -> DecisionDocument:
    """The document of a decision on a promotion as it is now.

    Args:
        client: Temporal.
        kind: What is decided.
        promotion_id: The promotion.
        who: Who decides.
        reason: Why.
        expires: How long it may be handed in; none for the usual time.
        named: What a retry names.

    Raises:
        RefusedError: A value is not allowed, there is no evidence to decide on, or the promotion is over.
        NeedsPersonError: The evidence does not have the hash that it names.
    """
    opened = await open_with_status(client, promotion_id)
    found = await query_evidence(opened.handle)
    if kind in {"approve", "reject"}:
        required(opened.status, found).check()
    return make_document(kind, opened, found, who, reason, expires, named)


def attached(file: Path) -> str:
    """Document and signature as one JSON.

    Raises:
        RefusedError: One of them cannot be read, or is none.
    """
    document, signature = _read(file, DOCUMENT_LIMIT), _read(file.with_name(f"{file.name}.sig"), SIGNATURE_LIMIT)
    parse_document(document)
    fingerprint_of(signature)
    return json.dumps(SignedCommand(document=document, signature=signature).model_dump())


def _read(file: Path, limit: int) -> str:
    tried = f"reading {file}"
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            text = opened.read(limit + 1)
    except (OSError, UnicodeDecodeError) as error:
        remedy = "make both: `slipway decision <id> --kind approve > decision.json`, and `ssh-keygen -Y sign -n slipway-decision`"
        raise RefusedError(tried, str(error), remedy) from error
    if len(text) > limit:
        raise RefusedError(tried, f"it has more than {limit:,} characters", "name the document's file")
    return text

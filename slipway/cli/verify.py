"""`slipway verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from pydantic import ValidationError
from rich.table import Table
from rich.text import Text

from slipway.api import PromotionStatus
from slipway.cli.common import AsJson
from slipway.cli.exits import Exit
from slipway.cli.out import Out
from slipway.cli.reading import read
from slipway.cli.show import columns
from slipway.decisions.audit import Audit, CheckedDecision, audit
from slipway.decisions.signatures import SIGNERS_LIMIT
from slipway.errors import RefusedError
from slipway.temporal.connect import connect
from slipway.text import pluralize

_RECORD_LIMIT = 10_000_000
_WRITE_IT = "write it with `slipway status ID --json > status.json`"
Record = Annotated[
    str,
    Parameter(help="A file that holds what `slipway status ID --json` printed, which needs nothing else; or a promotion's id."),
]
AllowedSigners = Annotated[
    Path, Parameter(name="--allowed-signers", help="OpenSSH's file with the approvers' keys, as the policy names it.")
]


async def verify(record: Record, /, *, allowed_signers: AllowedSigners, as_json: AsJson = False) -> int:
    """Check the signatures of a promotion's decisions, also long after its end."""
    out = Out(as_json=as_json)
    signers = _read(allowed_signers, SIGNERS_LIMIT, "name the file with --allowed-signers")
    status = _status_in(Path(record)) or (await read(await connect(), record)).status
    checked = await audit(status, signers)
    out.show(_table(checked))
    for problem in checked.problems:
        out.say(problem)
    signed = sum(not each.problems for each in checked.decisions if each.fingerprint)
    total = pluralize(len(checked.decisions), "decision")
    out.say(f"{checked.promotion}: {signed} of {total} signed and good; {'nothing is wrong' if checked.is_good else 'NOT GOOD'}")
    out.data({**checked.model_dump(mode="json"), "good": checked.is_good})
    return Exit.ok if checked.is_good else Exit.usage


def _status_in(file: Path) -> PromotionStatus | None:
    """The status that a file holds; none where there is no such file."""
    if not file.is_file():
        return None
    try:
        return PromotionStatus.model_validate_json(_read(file, _RECORD_LIMIT, _WRITE_IT))
    except ValidationError as error:
        wrong = f"it is not the status of a promotion: {error.errors()[0]['msg']}"
        raise RefusedError(f"reading {file}", wrong, _WRITE_IT) from error


def _read(file: Path, limit: int, remedy: str) -> str:
    tried = f"reading {file}"
    try:
        with file.open("rb") as opened:
            content = opened.read(limit + 1)
        if len(content) > limit:
            raise RefusedError(tried, f"it has more than {limit:,} bytes", remedy)
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(tried, str(error), remedy) from error


def _table(checked: Audit) -> Table:
    table = columns("at", "decision", "by", "level", "key", "verdict")
    for each in checked.decisions:
        verdict = Text("; ".join(each.problems) or _good(each), style="red" if each.problems else "green")
        key = f"{each.key_type} {each.fingerprint}".strip()
        table.add_row(f"{each.at:%Y-%m-%d %H:%M:%S}", each.kind, Text(each.by), each.level.value, key, verdict)
    return table


def _good(decision: CheckedDecision) -> str:
    return ", ".join(filter(None, ("good" if decision.fingerprint else "", decision.note)))

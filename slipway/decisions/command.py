"""One command of one person, as a promotion and the activity that looks at its sender know it."""

from __future__ import annotations

from typing import Any, Literal

from slipway.api import Message, SignedCommand
from slipway.decisions.document import DecisionDocument

Kind = Literal["approve", "reject", "retry", "abort"]


class Command(Message):
    """What somebody wants. Where it is signed, all of it is what the document says."""

    kind: Kind
    by: str
    evidence: str = ""
    """The hash of the evidence as people see it."""
    reason: str = ""
    execution: str = ""
    """The ARN of the execution that an operator names."""
    package: str = ""
    """The same of a package."""
    task: str = ""
    """The same of a task that piped ran."""
    document: DecisionDocument | None = None
    signed: SignedCommand | None = None


class Delivery(Message):
    """The signal by which a command came: where its event is in the history. An update has no event of its sender's."""

    signal: str
    """Its name."""
    payload: dict[str, Any]
    """What it carried."""
    run: str
    """The run that got it."""
    upto: int
    """The history's length when it was handled."""

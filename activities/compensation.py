"""What every activity that undoes something returns."""

from __future__ import annotations

from slipway.api import LedgerState, Message


class Compensation(Message):
    """Result of every activity that undoes something."""

    state: LedgerState
    note: str

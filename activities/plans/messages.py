"""Input of the activity that looks ahead. Its output is in slipway/findings.py, and the plan in slipway/plan.py."""

from __future__ import annotations

from activities.origin import Origin
from slipway.api import Message, ModelPackage


class CheckAhead(Message):
    """Input of `check_ahead`."""

    origin: Origin
    package: ModelPackage | None = None
    """The package to roll out; none before there is one."""

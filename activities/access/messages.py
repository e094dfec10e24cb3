"""Input of the access activity. Its output is in slipway/findings.py, for commands show it."""

from __future__ import annotations

from activities.origin import Origin
from slipway.api import Message, ModelPackage


class CheckAccess(Message):
    """Input of `check_access`."""

    origin: Origin
    package: ModelPackage | None = None
    """The package to roll out; none before there is one."""

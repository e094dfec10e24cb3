"""A command of an operator that was taken."""

from __future__ import annotations

from slipway.api import IdentityLevel, OperatorCommand


class Operated(OperatorCommand):
    """An operator's command that was taken, and how it is known whose it is."""

    level: IdentityLevel = IdentityLevel.claimed

    @property
    def who(self) -> str:
        """The name with its level, as `ana (signed)`."""
        return f"{self.by} ({self.level})"

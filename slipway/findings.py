"""What was found that would hold a promotion up, as one list: for people, for `--json`, and for what decides."""

from __future__ import annotations

from enum import StrEnum

from slipway.api import Message


class Level(StrEnum):
    """What a finding means."""

    refuse = "refuse"
    """It would fail: nothing is changed until it is fixed."""
    warn = "warn"
    """It may fail, or could not be looked at; it stops nothing."""


class Finding(Message):
    """One thing that was found."""

    level: Level
    what: str
    """As `the role arn:… cannot be assumed`."""
    where: str
    """What names it, as `promotion.yaml: spec.rollout`."""
    why: str
    """What came back, or is missing."""
    remedy: str
    """What a person can do."""
    statement: str = ""
    """The policy statement to add, as JSON; empty where there is none."""

    @property
    def line(self) -> str:
        """The finding in one line, without the statement."""
        return f"{self.what} ({self.where}): {self.why} -- {self.remedy}"


class FindingList(Message):
    """All that was found, in the order in which it was looked for."""

    findings: tuple[Finding, ...] = ()

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """What must be fixed first."""
        return tuple(found for found in self.findings if found.level is Level.refuse)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What stops nothing."""
        return tuple(found for found in self.findings if found.level is Level.warn)

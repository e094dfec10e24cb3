"""What was found that would hold a promotion up, as one list: for people, for `--json`, and for what decides."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from slipway.errors import SlipwayError


class Level(StrEnum):
    """What a finding means."""

    refuse = "refuse"
    """It would fail: nothing is changed until it is fixed."""
    warn = "warn"
    """It may fail, could not be looked at, or something else happens than was asked for; it stops nothing."""


class Finding(BaseModel):
    """One thing that was found."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    level: Level
    what: str
    """As `the role arn:… cannot be assumed`."""
    where: str
    """What names it, as `promotion.yaml: spec.rollout`."""
    why: str
    """What came back, or is missing, or what follows from it."""
    remedy: str
    """What a person can do."""
    statement: str = ""
    """The policy statement to add, as JSON; empty where there is none."""

    @property
    def line(self) -> str:
        """The finding in one line, without the statement."""
        return f"{self.what} ({self.where}): {self.why} -- {self.remedy}"

    @classmethod
    def of(cls, error: SlipwayError, where: str, why: str, level: Level = Level.refuse) -> Finding:
        """What an error says that a promotion would end or park with.

        Args:
            error: The error.
            where: What names it.
            why: What would follow from it.
            level: What it means.
        """
        return cls(level=level, what=error.report.answered, where=where, why=why, remedy=error.report.remedy)


class FindingList(BaseModel):
    """All that was found, in the order in which it was looked for."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    findings: tuple[Finding, ...] = ()

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """What must be fixed first."""
        return tuple(found for found in self.findings if found.level is Level.refuse)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What stops nothing."""
        return tuple(found for found in self.findings if found.level is Level.warn)

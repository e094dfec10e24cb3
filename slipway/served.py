"""What served where and when: the records that promotions leave on model packages, and the history that they make.

A record is an entry of a package's `CustomerMetadataProperties`, which outlives Temporal's histories and is where the package is.
SageMaker allows 50 entries, of 128 characters for a key and 256 for a value, of letters, digits, spaces and `_.:/=+-@`
(API reference, UpdateModelPackage).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pydantic import Field

from slipway.api import AppRef, Line, Message
from slipway.errors import FailureReport
from slipway.text import one_line

SERVED = "slipway.served."
"""How the key of a record begins, before the promotion's id."""
LEFT = "slipway.left."
"""The same for a package that a rollback took off its targets, before the rollback's id."""
TAG = "slipway:config"
"""The tag of an endpoint that names the config which the last promotion left there."""
VALUE_LIMIT = 256
KEPT = 10
"""Records of a kind that a package has; the oldest go, so that there is room for the team's own entries."""
_NOT_ALLOWED = re.compile(r"[^\w .:/=+\-@]")
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class Served(Message):
    """One package that a promotion brought to its targets, as it recorded it."""

    promotion: str
    at: datetime
    """When all targets served it."""
    package: str = ""
    """The package's ARN."""
    version: int = 0
    evidence: str = ""
    """The evidence's hash; empty where it was not recorded."""
    spec_commit: str = ""
    """The commit of the deployment branch whose spec names the targets."""
    by: tuple[str, ...] = ()
    """Who approved, each with how that is known, as `ana:signed`. Empty where the gates alone decided."""
    endpoint: str = ""
    """The one target that it was for; empty for all of the spec's."""

    @property
    def key(self) -> str:
        """The key of its entry."""
        return f"{SERVED}{self.promotion}"

    @property
    def value(self) -> str:
        """The value of its entry. Names of people are cut where there is no room for all."""
        members = {
            "at": self.at.strftime(_TIME),
            "evidence": self.evidence,
            "spec": self.spec_commit,
            "only": self.endpoint,
            "by": "+".join(allowed(name).replace(" ", "_").replace("+", "_").replace("=", "_") for name in self.by),
        }
        return " ".join(f"{name}={value}" for name, value in members.items() if value)[:VALUE_LIMIT]


class ServedTarget(Message):
    """What one target serves now."""

    endpoint: str
    region: str
    package: str | None = None
    config: str | None = None
    drift: str = ""
    """How that differs from what the last promotion left there; empty where it does not."""
    served: tuple[Served, ...] = ()
    """What promotions brought there, the newest first."""

    def at(self, moment: datetime) -> Served | None:
        """What served there at a time, by the records; none where nothing is recorded."""
        return next((served for served in self.served if served.at <= moment), None)


class History(Message):
    """What the targets of an application served."""

    app: str
    targets: tuple[ServedTarget, ...]
    notices: tuple[str, ...] = ()
    """What could not be looked at."""


class HistoryRequest(Message):
    """Input of HistoryWorkflow: whose history."""

    app: AppRef
    endpoint: Line = Field(default="", max_length=63)
    """The one target to look at; empty for all of the spec's."""


class HistoryAnswer(Message):
    """The result of HistoryWorkflow."""

    history: History | None = None
    failure: FailureReport | None = None
    """Why there is none."""


def allowed(text: str) -> str:
    """A text in which each character that a value may not have is `_`."""
    return _NOT_ALLOWED.sub("_", one_line(text))


def left_entry(rollback: str, at: datetime, reason: str) -> tuple[str, str]:
    """Key and value of the entry of a package that a rollback took off its targets."""
    return f"{LEFT}{rollback}", f"at={at.strftime(_TIME)} reason={allowed(reason)}"[:VALUE_LIMIT]


def records_in(package: str, version: int, metadata: Mapping[str, str]) -> list[Served]:
    """The records of one package, the newest first. An entry that cannot be read is none."""
    found = [_read(key.removeprefix(SERVED), value) for key, value in metadata.items() if key.startswith(SERVED)]
    records = [record.model_copy(update={"package": package, "version": version}) for record in found if record]
    return sorted(records, key=lambda record: record.at, reverse=True)


def left_at(metadata: Mapping[str, str]) -> datetime | None:
    """When a rollback last took a package off its targets; none where none did."""
    times = [_time(_members(value).get("at", "")) for key, value in metadata.items() if key.startswith(LEFT)]
    return max((time for time in times if time), default=None)


def too_many(metadata: Mapping[str, str], prefix: str) -> list[str]:
    """The keys of the oldest records of a kind, so that one more has room."""
    keys = [key for key in metadata if key.startswith(prefix)]
    oldest = sorted(keys, key=lambda key: _members(metadata[key]).get("at", ""))
    return oldest[: max(0, len(keys) - KEPT + 1)]


def of_endpoint(records: Sequence[Served], endpoint: str) -> tuple[Served, ...]:
    """Those that were for an endpoint, the newest first."""
    return tuple(sorted((each for each in records if each.endpoint in {"", endpoint}), key=lambda each: each.at, reverse=True))


def _read(promotion: str, value: str) -> Served | None:
    members = _members(value)
    at = _time(members.get("at", ""))
    if at is None:
        return None
    return Served(
        promotion=promotion,
        at=at,
        evidence=members.get("evidence", ""),
        spec_commit=members.get("spec", ""),
        by=tuple(name for name in members.get("by", "").split("+") if name),
        endpoint=members.get("only", ""),
    )


def _members(value: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in value.split(" "))
    return {name: content for name, _, content in pairs}


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None

"""A promotion as Markdown: what the Temporal UI shows without a click."""

from __future__ import annotations

import json
from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from slipway.api import LedgerEntry, PromotionStatus, StageReport, StageState, WaitingFor
    from slipway.errors import FailureReport


_MARKS = {
    StageState.pending: "·",
    StageState.running: "…",
    StageState.waiting: "?",
    StageState.parked: "!",
    StageState.done: "✓",
    StageState.failed: "✗",
}
_YOU = "<your name>"
SUMMARY_LIMIT = 400
"""Bytes of a summary that Temporal takes (`limit.userMetadataSummarySize`)."""


def render(status: PromotionStatus) -> str:
    """The whole page."""
    parts = [_headline(status)]
    if status.waiting_for:
        parts.append(_waiting(status, status.waiting_for))
    parts.append(_stages(status))
    if status.outcome and status.reason:
        parts.append(f"**{status.outcome}**: {status.reason}")
    if status.outcome or any(entry.note for entry in status.ledger):
        parts += _ledger(status)
    if status.notices:
        parts.append("\n".join(f"- {notice}" for notice in status.notices))
    return "\n\n".join(parts)


def _headline(status: PromotionStatus) -> str:
    digest = status.image.rpartition("@")[2][:19]
    commit = f", built from `{status.commit[:12]}`" if status.commit else ""
    return f"**{status.id}**: `{digest}`{commit}, requested by {status.requested_by} (claimed)"


def on_timeline(waiting: WaitingFor) -> str:
    """One line for the timer that runs meanwhile: the Temporal UI's first page shows it."""
    who = f" by {', '.join(waiting.who)}" if waiting.who else ""
    return f"{waiting.what}{who}: {waiting.commands[0]}".encode()[:SUMMARY_LIMIT].decode(errors="ignore")


def _stages(status: PromotionStatus) -> str:
    # A list: the UI sets a table's cells without a gap.
    return "\n".join(map(_line, status.stages))


def _line(stage: StageReport) -> str:
    tries = f" (attempt {stage.attempts})" if stage.attempts > 1 else ""
    summary = f": {' '.join(stage.summary.split())}" if stage.summary else ""
    return f"- {_MARKS[stage.state]} **{stage.name}** {stage.state}{tries}{_times(stage)}{summary}"


def _times(stage: StageReport) -> str:
    if stage.started_at is None:
        return ""
    if stage.ended_at is None:
        return f" since {_time(stage.started_at)}"
    return f" in {_took(stage.started_at, stage.ended_at)} from {_time(stage.started_at)}"


def _waiting(status: PromotionStatus, waiting: WaitingFor) -> str:
    until = f", until {_time(waiting.until)}" if waiting.until else ""
    who = ", ".join(waiting.who) or "any operator"
    lines = [f"### Waits for {waiting.what} since {_time(waiting.since)}{until}", f"Who can unblock it: **{who}**"]
    if waiting.failure:
        lines.append(_failure(waiting.failure))
    lines.append("```\n" + "\n".join(waiting.commands) + "\n```")
    names, payload = signal_of(status, waiting)
    lines.append(f"Or send the signal {names} with this input:\n\n```json\n{payload}\n```")
    return "\n\n".join(lines)


def signal_of(status: PromotionStatus, waiting: WaitingFor) -> tuple[str, str]:
    """The signals that unblock a promotion, and the input to paste into the Temporal UI's form."""
    names = " or ".join(f"`{command.split()[1]}`" for command in waiting.commands)
    payload = {"by": _YOU, "reason": ""}
    if not waiting.failure and status.evidence:
        payload = {"by": _YOU, "evidence": status.evidence, "reason": ""}
    return names, json.dumps(payload)


def _failure(failure: FailureReport) -> str:
    return f"- tried: {failure.tried}\n- answered: {failure.answered}\n- to do: {failure.remedy}"


def _ledger(status: PromotionStatus) -> list[str]:
    if not status.ledger:
        return []
    return ["\n".join(map(_entry, status.ledger))]


def _entry(entry: LedgerEntry) -> str:
    note = f": {entry.note}" if entry.note else ""
    return f"- {entry.stage}, {entry.inverse}: {entry.state}{note}"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _took(start: datetime, end: datetime) -> str:
    seconds = int((end - start).total_seconds())
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"

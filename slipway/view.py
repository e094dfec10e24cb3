"""A promotion's status as people read it: marks, lengths and lines, for the terminal, for logs and for the Temporal UI.

Pure: the caller says what time it is, so that a workflow may use all of it. What formats a line (colours, Markdown) is elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from slipway.api import (
    ChampionSummary,
    DecisionRecord,
    Evidence,
    EvidenceSummary,
    IdentityLevel,
    LedgerEntry,
    Outcome,
    PackageContainer,
    PromotionStatus,
    ReportFile,
    ServedEndpoint,
    StageReport,
    StageState,
    WaitingFor,
)
from slipway.app.gates import GateResult, unreadable
from slipway.evidence_hash import HASH_DIGITS
from slipway.text import one_line

MARKS = {
    StageState.pending: "·",
    StageState.running: "▶",
    StageState.waiting: "?",
    StageState.parked: "!",
    StageState.done: "✓",
    StageState.failed: "✗",
}
"""One mark for each state, the same wherever a stage is shown."""
_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


@dataclass(frozen=True)
class StageView:
    """A stage in words."""

    name: str
    state: StageState
    mark: str
    label: str
    """The state, and which attempt it is where it is not the first."""
    length: str
    """How long it took, or has taken so far; empty before it began."""
    summary: str
    """One line."""

    @property
    def line(self) -> str:
        """The whole stage in one line. A stage that still runs has no length in it: the line stays the same meanwhile."""
        length = f" {self.length}" if self.length and self.state in {StageState.done, StageState.failed} else ""
        summary = f": {self.summary}" if self.summary else ""
        return f"{self.mark} {self.name} {self.label}{length}{summary}"


def stage_view(stage: StageReport, now: datetime | None = None) -> StageView:
    """A stage in words.

    Args:
        stage: The stage.
        now: The time, to show how long a stage has run so far.
    """
    attempt = f" (attempt {stage.attempts})" if stage.attempts > 1 else ""
    end = stage.ended_at or now
    length = format_length(end - stage.started_at) if stage.started_at and end else ""
    return StageView(
        name=stage.name.value,
        state=stage.state,
        mark=MARKS[stage.state],
        label=f"{stage.state.value}{attempt}",
        length=length,
        summary=" ".join(stage.summary.split()),
    )


def request_line(status: PromotionStatus) -> str:
    """Who asked for it, and from which commit the image was built; of a rollback, what for."""
    if status.rollback:
        where = status.rollback.endpoint or "every target"
        to = f"version {status.rollback.version}" if status.rollback.version else "the last good version"
        return one_line(f"rollback of {where} to {to}, requested by {status.requested_by} (claimed): {status.rollback.reason}")
    return f"requested by {status.requested_by} (claimed), commit {status.commit or 'unknown'}"


def waiting_line(waiting: WaitingFor) -> str:
    """What it waits for, since when and until when."""
    until = f", until {format_moment(waiting.until)}" if waiting.until else ""
    return f"waiting for {waiting.what} since {format_moment(waiting.since)}{until}"


def who_line(waiting: WaitingFor) -> str:
    """Who can unblock it."""
    return ", ".join(waiting.who) or "any operator"


_IDENTITY = {
    IdentityLevel.claimed: "decisions are claimed here: whoever reaches the namespace can write any name",
    IdentityLevel.temporal: "decisions have to be signed, or be signals that the approver sent with a login of their own",
    IdentityLevel.signed: "decisions have to be signed with a key of the approver",
}


def identity_line(needed: IdentityLevel) -> str:
    """How well it must be known who decides, and what that means."""
    return _IDENTITY[needed]


_DECIDED = {"approve": "approved", "reject": "rejected", "retry": "retried", "abort": "aborted"}


def decision_line(decision: DecisionRecord) -> str:
    """A decision in one line: when, what and by whom, how that is known, on which evidence, and why."""
    known = [decision.level.value]
    if decision.fingerprint:
        known.append(f"key {decision.fingerprint}")
    if decision.principal:
        known.append(f"sent by {decision.principal}")
    evidence = f", evidence {decision.evidence[:HASH_DIGITS]}" if decision.evidence else ""
    reason = f": {decision.reason}" if decision.reason else ""
    what = f"{_DECIDED.get(decision.kind, decision.kind)} by {decision.by} ({', '.join(known)})"
    return one_line(f"{format_moment(decision.at)} {what}{evidence}{reason}")


def failure_lines(waiting: WaitingFor) -> tuple[str, ...]:
    """What failed and what to do about it; nothing where nothing failed."""
    if not waiting.failure:
        return ()
    return (f"tried: {waiting.failure.tried}", f"answered: {waiting.failure.answered}", f"do: {waiting.failure.remedy}")


def waiting_lines(waiting: WaitingFor, identity: IdentityLevel) -> tuple[str, ...]:
    """All about a wait, the commands that end it last.

    Args:
        waiting: The wait.
        identity: How well those who approve have to be known.
    """
    known = () if waiting.failure else (identity_line(identity),)
    commands = (f"$ {command}" for command in waiting.commands)
    return (waiting_line(waiting), f"who: {who_line(waiting)}", *known, *failure_lines(waiting), *commands)


def outcome_line(status: PromotionStatus) -> str:
    """How it ended, and why."""
    outcome = status.outcome.value if status.outcome else "not over"
    return f"{outcome}: {status.reason}" if status.reason else outcome


def ledger_line(entry: LedgerEntry) -> str:
    """What became of one effect."""
    note = f": {entry.note}" if entry.note else ""
    return f"{entry.stage}: {entry.inverse}: {entry.state}{note}"


def endpoint_line(served: ServedEndpoint) -> str:
    """What one target serves."""
    return f"{served.endpoint} ({served.region}) serves {served.package or 'nothing'}"


def end_lines(status: PromotionStatus) -> tuple[str, ...]:
    """How it ended, what became of its effects where it was not promoted, and what is served."""
    if status.outcome is None:
        return ()
    effects = () if status.outcome is Outcome.promoted else tuple(f"  {ledger_line(entry)}" for entry in status.ledger)
    return (outcome_line(status), *effects, *(f"  {endpoint_line(served)}" for served in status.endpoints))


GATE_COLUMNS = ("gate", "challenger", "champion", "rule", "verdict")


def gate_cells(gate: GateResult) -> tuple[str, ...]:
    """A gate as a row under GATE_COLUMNS."""
    verdict = "cannot be read" if gate.problem else "met" if gate.passed else "not met"
    return (one_line(gate.metric), format_number(gate.value), format_number(gate.champion), one_line(gate.rule), verdict)


def gate_line(gate: GateResult) -> str:
    """A gate in one line, where there is no table."""
    metric, value, champion, rule, verdict = gate_cells(gate)
    why = f": {one_line(gate.problem)}" if gate.problem else ""
    return f"{metric}: challenger {value}, champion {champion}, {rule}: {verdict}{why}"


def problem_lines(gates: Iterable[GateResult]) -> tuple[str, ...]:
    """Why gates cannot be read, below a table of them."""
    return tuple(one_line(f"cannot be read: {fault}") for fault in unreadable(gates))


def summary_lines(summary: EvidenceSummary) -> tuple[str, ...]:
    """What the evidence says beside the gates: containers, targets, the spec's last change, and whether there is more."""
    more = (f"gates and champions that are left out here: {summary.left_out}",) if summary.left_out else ()
    changed = (one_line(f"promotion.yaml last changed by {summary.spec_change}"),) if summary.spec_change else ()
    return (
        *(one_line(f"pipeline image: {line}") for line in summary.image_origin),
        *(one_line(f"container: {image}") for image in summary.containers),
        *(line for champion in summary.champions for line in _target_lines(champion)),
        *(one_line(f"fallback: {line}") for line in summary.findings),
        *changed,
        *more,
    )


def _target_lines(champion: ChampionSummary) -> tuple[str, ...]:
    lines = (f"champion of {champion_line(champion)}",)
    return (*lines, one_line(f"rollout of {champion.endpoint}: {champion.rollout}")) if champion.rollout else lines


def evidence_lines(summary: EvidenceSummary) -> tuple[str, ...]:
    """The summary where there is no table."""
    return (*map(gate_line, summary.gates), *summary_lines(summary))


def champion_line(champion: ChampionSummary) -> str:
    """What one target served when the evidence was gathered, in words that stay true after the rollout."""
    place = f"{champion.endpoint} ({champion.region})" if champion.region else champion.endpoint
    unmeasured = f" ({champion.unmeasured})" if champion.unmeasured else ""
    drift = f" (changed by hand: {champion.drift}; who approves adopts it)" if champion.drift else ""
    return one_line(f"{place}: {champion.package or 'none'}{unmeasured}{drift}")


def evidence_command(promotion_id: str) -> str:
    """The command that shows all of the evidence."""
    return f"slipway evidence {promotion_id}"


def evidence_facts(evidence: Evidence) -> tuple[tuple[str, str], ...]:
    """What an approver looks at beside the gates: each fact's name and value, the hash last."""
    champions = (champion_line(ChampionSummary.of(champion)) for champion in evidence.champions)
    plans = zip(evidence.champions, evidence.rollout_plan, strict=False)
    cached = (f"{step.name} did not run; its result is from {step.cached_from}" for step in evidence.steps if step.cached_from)
    changed = evidence.spec_change
    # Evidence of an older release has the first container's image alone.
    containers = evidence.containers or (PackageContainer(image=evidence.model_image),)
    return (
        *((("purpose", one_line(evidence.purpose)),) if evidence.purpose else ()),
        ("model", evidence.package.arn),
        *(fact for container in containers for fact in _container_facts(container)),
        *((("image", evidence.image),) if evidence.image else ()),
        *(("image", one_line(line)) for line in (evidence.image_origin.lines if evidence.image_origin else ())),
        *((("taskdef", f"{evidence.taskdef.file} at {evidence.taskdef.commit[:12]}"),) if evidence.taskdef.commit else ()),
        *((("spec", f"promotion.yaml last changed by {changed.line}"),) if changed else ()),
        *(("report", _report_fact(report)) for report in evidence.reports),
        *((("smoke", f"the request's body is the git blob {evidence.smoke}"),) if evidence.smoke else ()),
        *((("smoke", f"the answer's schema is the git blob {evidence.smoke_schema}"),) if evidence.smoke_schema else ()),
        *(("champion", line) for line in champions),
        *(("rollout", f"{champion.target.endpoint}: {plan}") for champion, plan in plans),
        *(
            ("change", one_line(f"{champion.target.endpoint}: {change.line}"))
            for champion in evidence.champions
            for change in champion.changes
        ),
        *(("fallback", one_line(finding.line)) for finding in evidence.findings or ()),
        *(("rollback", line) for line in evidence.rollback_plan.splitlines()),
        *(("cached", line) for line in cached),
        *((("sha-256", evidence.sha256),) if evidence.sha256 else ()),
        ("evidence", evidence.hash),
    )


def _report_fact(report: ReportFile) -> str:
    if report.unread:
        return one_line(f"{report.uri}, which no gate needs, could not be read: {report.unread}")
    return f"{report.uri}, SHA-256 {report.sha256}"


def _container_facts(container: PackageContainer) -> Iterator[tuple[str, str]]:
    yield "container", container.image
    for artifact in container.artifacts:
        yield "file", f"{artifact.uri}, {artifact.facts}"
    if container.environment:
        yield "sets", f"{', '.join(sorted(container.environment))} (the hash covers the values, which are not shown)"


def format_moment(moment: datetime) -> str:
    """A time to the second, as `2026-01-02 03:04:05 UTC`."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def format_length(length: timedelta) -> str:
    """A length of time, as `0.8 s`, `2 min 5 s` or `2 h 5 min`."""
    seconds = length.total_seconds()
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{int(seconds) // _MINUTE} min {int(seconds) % _MINUTE} s"
    return f"{int(seconds) // _HOUR} h {int(seconds) % _HOUR // _MINUTE} min"


def format_age(age: timedelta) -> str:
    """How long ago something was, in one unit, as `12m`."""
    seconds = max(int(age.total_seconds()), 0)
    for unit, size in (("d", _DAY), ("h", _HOUR), ("m", _MINUTE)):
        # Two of a unit at least: `90m` says more than `1h`.
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def format_number(value: float | None) -> str:
    """A metric's value."""
    return "-" if value is None else f"{value:.6g}"

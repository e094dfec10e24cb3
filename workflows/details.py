"""A promotion as Markdown: the current details that the Temporal UI shows without a click. What is said is in slipway/view.py.

Names, reasons and answers come from strangers: each is escaped or in a fence, so that nobody can draw a decision on the page.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from slipway.api import EvidenceSummary, IdentityLevel, LedgerState, PromotionStatus, StageReport, WaitingFor
    from slipway.errors import FailureReport
    from slipway.text import code_span, fenced, markdown
    from slipway.view import (
        decision_line,
        evidence_command,
        evidence_lines,
        format_moment,
        identity_line,
        ledger_line,
        outcome_line,
        request_line,
        stage_view,
        waiting_line,
        who_line,
    )

from workflows.activity_options import summary_of

_YOU = "<your name>"
LEDGER_SHOWN = 100
"""Effects that the page names; the command shows all."""


def render(status: PromotionStatus) -> str:
    """The whole page."""
    parts = [_headline(status)]
    if status.outcome:
        parts.append(f"**{markdown(outcome_line(status))}**")
    if status.waiting_for:
        parts.append(_waiting(status, status.waiting_for))
    if status.evidence_summary:
        parts.append(_evidence(status, status.evidence_summary))
    if status.decisions:
        parts.append(f"Decisions\n\n{_list(markdown(decision_line(decision)) for decision in status.decisions)}")
    parts.append(_list(map(_stage, status.stages)))
    if status.outcome or any(entry.note for entry in status.ledger):
        parts.append(_ledger(status))
    parts.append(_list(map(markdown, status.notices)))
    return "\n\n".join(part for part in parts if part)


def _ledger(status: PromotionStatus) -> str:
    """What became of the effects; where there are many, what a person has to do goes first."""
    entries = sorted(status.ledger, key=lambda entry: entry.state is not LedgerState.needs_person)
    shown = entries if len(entries) > LEDGER_SHOWN else status.ledger
    lines = [markdown(ledger_line(entry)) for entry in shown[:LEDGER_SHOWN]]
    more = len(status.ledger) - len(lines)
    return _list([*lines, f"and {more} more: {code_span(f'slipway status {status.id}')}"] if more else lines)


def on_timeline(waiting: WaitingFor) -> str:
    """One line for the timer that runs meanwhile: the Temporal UI's first page shows it."""
    who = f" by {', '.join(waiting.who)}" if waiting.who else ""
    return summary_of(f"{waiting.what}{who}: {waiting.commands[0]}")


def _headline(status: PromotionStatus) -> str:
    if status.rollback:
        return f"**{markdown(status.id)}**: {markdown(request_line(status))}"
    digest = status.image.rpartition("@")[2][:19]
    commit = f", built from {code_span(status.commit[:12])}" if status.commit else ""
    return f"**{markdown(status.id)}**: {code_span(digest)}{commit}, requested by {markdown(status.requested_by)} (claimed)"


def _stage(stage: StageReport) -> str:
    # The page is not redrawn while a stage runs: it shows since when, and how long it took once it has ended.
    view = stage_view(stage)
    time = f" since {format_moment(stage.started_at)}" if stage.started_at and not stage.ended_at else ""
    if stage.started_at and stage.ended_at:
        time = f" in {view.length} from {format_moment(stage.started_at)}"
    summary = f": {markdown(view.summary)}" if view.summary else ""
    return f"{view.mark} **{view.name}** {view.label}{time}{summary}"


def _waiting(status: PromotionStatus, waiting: WaitingFor) -> str:
    headline = waiting_line(waiting)
    signs = status.identity is IdentityLevel.signed
    parts = [
        f"### {markdown(headline[0].upper() + headline[1:])}",
        f"Who can unblock it: **{markdown(who_line(waiting))}**",
        _failure(waiting.failure) if waiting.failure else markdown(identity_line(status.identity)),
        fenced("\n".join(map(_wrapped, waiting.commands))),
        _claimed_signal(status, waiting) if waiting.failure or not signs else "",
        _signed_signal(status, waiting) if signs else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _evidence(status: PromotionStatus, summary: EvidenceSummary) -> str:
    """What the decision is about, a line for each gate and each target, and the command that shows all of it."""
    headline = f"Evidence {code_span(status.evidence or '')}"
    return f"{headline}\n\n{_list(map(markdown, evidence_lines(summary)))}\n\n{fenced(evidence_command(status.id))}"


def _failure(failure: FailureReport) -> str:
    """What failed and what to do about it; lines of a log in a fence below."""
    answered, _, log = failure.answered.partition("\n")
    told = (("tried", failure.tried), ("answered", answered), ("do", failure.remedy))
    lines = _list(f"{name}: {markdown(text)}" for name, text in told)
    return f"{lines}\n\n{fenced(log)}" if log.strip() else lines


def _claimed_signal(status: PromotionStatus, waiting: WaitingFor) -> str:
    """The signals that unblock a promotion, and the input to paste into the Temporal UI's form."""
    payload = {"by": _YOU, "reason": ""}
    if not waiting.failure and status.evidence:
        payload = {"by": _YOU, "evidence": status.evidence, "reason": ""}
    return f"Or send the signal {_names(waiting)} with this input:\n\n{fenced(json.dumps(payload), 'json')}"


def _signed_signal(status: PromotionStatus, waiting: WaitingFor) -> str:
    """The commands that make and sign a decision without sending it, and what to do with what they print."""
    kind = waiting.commands[0].split()[1]
    commands = (
        f"slipway decision {status.id} --kind {kind} --by <you> > decision.json",
        "ssh-keygen -Y sign -n slipway-decision -f <your key> decision.json",
        "slipway decision --attach decision.json",
    )
    lines = fenced("\n".join(map(_wrapped, commands)))
    told = f"Then send the signal of the same kind, {_names(waiting)}, with what the last command printed as its input."
    return f"Or sign the decision by hand:\n\n{lines}\n\n{told}"


def _wrapped(command: str) -> str:
    """A command over lines that the page does not cut, still one command for a shell."""
    verb, *options = command.split(" --")
    return " \\\n    --".join([" --".join([verb, *options[:1]]), *options[1:]])


def _names(waiting: WaitingFor) -> str:
    """The signals that unblock a promotion: those of the commands."""
    return " or ".join(code_span(command.split()[1]) for command in waiting.commands)


def _list(lines: Iterable[str]) -> str:
    # A list: the UI sets a table's cells without a gap.
    return "\n".join(f"- {line}" for line in lines)

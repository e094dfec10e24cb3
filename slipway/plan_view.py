"""A plan as people read it: plain text for a terminal, Markdown for a pull request. Pure.

Names and values come from strangers: each is one line, and in Markdown escaped or in a fence.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from slipway.differences import NONE, FieldChange
from slipway.findings import Finding, Level
from slipway.plan import (
    ApprovalPlan,
    ImageAction,
    ImagePlan,
    PipelinePlan,
    PromotionPlan,
    RevisionAction,
    TargetAction,
    TargetPlan,
    TaskdefPlan,
    TaskPlan,
)
from slipway.text import code_span, fenced, markdown, one_line, pluralize

WIDTH = 80
SEE = "not known: see the findings"


@dataclass(frozen=True)
class Section:
    """One stage, or one target of the last one."""

    title: str
    lines: tuple[str, ...]
    """The first says what would be done."""
    changes: tuple[FieldChange, ...] = ()


_OF_A_PROMOTION = re.compile(r"[,;] then (?:retry|start again)(?:[,;] or abort)?$")
"""What an operator does after a remedy. Nobody has started this one."""


def remedy_of(finding: Finding) -> str:
    """What a person can do, before there is a promotion."""
    return _OF_A_PROMOTION.sub("", finding.remedy)


def headline(plan: PromotionPlan) -> str:
    """Whether the promotion would go on until people are asked."""
    if plan.would_go:
        return f"{plan.promotion} would go on until people decide, or the gates do"
    return f"{plan.promotion} would be refused: {pluralize(len(plan.refusals), 'finding')} to fix first"


def source_line(plan: PromotionPlan) -> str:
    """What was looked at."""
    ref = plan.ref or plan.app.branch
    return f"{plan.asked_image}, files of {plan.app.folder} on {ref} at {plan.commit[:12]}"


def sections(plan: PromotionPlan) -> tuple[Section, ...]:
    """The stages that could be looked at, in their order."""
    found: list[Section] = []
    if plan.image:
        found.append(Section("1 image", tuple(_image(plan.image))))
    if plan.taskdef:
        found.append(_taskdef(plan.taskdef))
    if plan.task:
        found.append(Section("3 task", (_revision(plan.task), f"run once on the cluster {plan.task.cluster}"), plan.task.changes))
    if plan.pipeline:
        found.append(Section("4 pipeline", (_pipeline(plan.pipeline),)))
    if plan.approval:
        found.append(Section("5 approval", tuple(_approval(plan.approval))))
    return (*found, *(Section("6 rollout", tuple(_target(target)), target.changes) for target in plan.rollout))


def _image(image: ImagePlan) -> Iterator[str]:
    target = image.target.partition("@")[0]
    match image.action:
        case ImageAction.copy_it:
            yield f"copy to {target}, tag {image.tag}"
        case ImageAction.there:
            yield f"already in {target} as {image.tag}: nothing is copied"
        case ImageAction.nothing:
            yield f"already in the target repository {target}: nothing is copied"
        case None:
            yield SEE
    if image.scan:
        yield f"scan: {image.scan}"
    yield from image.origin


def _taskdef(taskdef: TaskdefPlan) -> Section:
    changed = [file for file in taskdef.files if file.changed]
    by_piped = taskdef.writer == "pipecd"
    if not taskdef.files:
        lines = (SEE,)
    elif not changed:
        lines = (f"{taskdef.files[0].file} already has this image: no commit",)
    elif by_piped:
        lines = ("piped's event watcher commits the image, before the promotion begins",)
    else:
        lines = (f"commit and push: {taskdef.message}",)
    return Section(
        "2 taskdef", lines, tuple(FieldChange(field=file.file, live=file.before, after=file.after) for file in changed)
    )


def _revision(task: TaskPlan) -> str:
    now = f" (the newest now is {task.live.rpartition('/')[2]})" if task.live else " (its first)"
    match task.action:
        case RevisionAction.register:
            return f"register a new revision of {task.family}{now}"
        case RevisionAction.reuse:
            newest = "" if task.live == task.revision else now
            return f"use {task.revision.rpartition('/')[2]} again, which has the same content{newest}"
        case RevisionAction.by_piped:
            return f"piped registers {task.family} and runs it; the promotion follows its task"
        case None:
            return SEE


def _pipeline(pipeline: PipelinePlan) -> str:
    if pipeline.made_from:
        return f"follow {pipeline.pipeline}, and make a package of its step {pipeline.made_from} in {pipeline.package_group}"
    return f"follow {pipeline.pipeline}, which registers a package in {pipeline.package_group}"


def _approval(approval: ApprovalPlan) -> Iterator[str]:
    if approval.mode == "auto":
        yield "the gates alone decide"
    else:
        yield f"ask {', '.join(approval.approvers)}: {approval.quorum} must approve (decisions at least {approval.identity})"
    yield from (f"{bar.metric}: {bar.problem or bar.message}" for bar in approval.gates)


def _target(target: TargetPlan) -> Iterator[str]:
    place = f"{target.endpoint} ({target.region}{', ' + target.account if target.account else ''})"
    match target.action:
        case TargetAction.create:
            yield f"create {place}"
        case TargetAction.update:
            yield f"update {place}, which serves {target.champion or 'no package'}"
        case None:
            yield f"{place}: {SEE}"
    yield target.rollout
    if target.drift:
        yield f"changed by hand: {target.drift}"
    if target.rescales:
        yield "its automatic scaling is taken off for the update, and put back"


# --- text ---


def as_text(plan: PromotionPlan) -> str:
    """The plan for a terminal of 80 columns."""
    lines = [headline(plan), *_wrapped(source_line(plan), "  ")]
    for section in sections(plan):
        first, *rest = section.lines
        lines += ["", *_wrapped(f"{section.title:<12}{one_line(first)}", "", " " * 12)]
        lines += [line for each in rest for line in _wrapped(one_line(each), " " * 12)]
        lines += [line for change in section.changes for line in _change(change)]
    if plan.findings:
        lines += ["", "findings"]
        lines += [line for finding in plan.findings for line in _finding(finding)]
    return "\n".join(lines)


def _change(change: FieldChange) -> Iterator[str]:
    line = f"{' ' * 12}{one_line(change.line)}"
    if len(line) <= WIDTH or not (change.live or change.after):
        yield line
        return
    yield f"{' ' * 12}{one_line(change.field)}"
    yield f"{' ' * 14}- {one_line(change.live) or NONE}"
    yield f"{' ' * 14}+ {one_line(change.after) or NONE}"


def _finding(finding: Finding) -> Iterator[str]:
    yield from _wrapped(f"{finding.level.value:<8}{one_line(finding.what)}", "  ", " " * 10)
    for name, text in (("where", finding.where), ("why", finding.why), ("do", remedy_of(finding)), ("add", finding.statement)):
        if text:
            yield from _wrapped(f"{name + ':':<7}{one_line(text)}", " " * 10, " " * 17)


def _wrapped(text: str, indent: str, following: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if following is None else following,
        break_long_words=False,
        break_on_hyphens=False,
    )


# --- Markdown ---


def as_markdown(plan: PromotionPlan) -> str:
    """The plan for the comment of a pull request, or for the summary of a job."""
    mark = "✅" if plan.would_go else "❌"
    ref = code_span(plan.ref or plan.app.branch)
    source = f"{code_span(plan.asked_image)}, files of {code_span(plan.app.folder)} on {ref} at {code_span(plan.commit[:12])}"
    parts = [f"### {mark} {markdown(headline(plan))}", source]
    if found := sections(plan):
        rows = "\n".join(f"| {section.title} | {'<br>'.join(map(markdown, section.lines))} |" for section in found)
        parts.append(f"| Stage | What it would do |\n|---|---|\n{rows}")
    if plan.findings:
        parts.append("**Findings**\n\n" + "\n".join(map(_finding_item, plan.findings)))
    parts += [_differences(section) for section in found if section.changes]
    return "\n\n".join(parts) + "\n"


def _finding_item(finding: Finding) -> str:
    level = "**refuse**" if finding.level is Level.refuse else "warn"
    what, where, why, remedy = map(markdown, (finding.what, finding.where, finding.why, remedy_of(finding)))
    item = f"- {level}: {what} ({where})<br>{why}<br>*Do:* {remedy}"
    return f"{item}\n\n{textwrap.indent(fenced(finding.statement, 'json'), '  ')}\n" if finding.statement else item


def _differences(section: Section) -> str:
    """Live and afterwards, as a difference of text."""
    lines: list[str] = []
    for change in section.changes:
        lines.append(f"  {one_line(change.field)}")
        lines += [f"- {one_line(change.live)}"] if change.live else []
        lines += [f"+ {one_line(change.after)}"] if change.after else []
    name = section.title if section.title != "6 rollout" else f"6 rollout: {section.lines[0]}"
    summary = f"<summary>{markdown(name)}: {pluralize(len(section.changes), 'field')}</summary>"
    body = fenced("\n".join(lines), "diff")
    return f"<details>{summary}\n\n{body}\n\n</details>"

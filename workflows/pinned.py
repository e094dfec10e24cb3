"""Which commit of the application's files counts. It is pinned at the start, and may move when the gates are read anew.

What has been done already must read the same at the new commit: then everything that is checked at the effects is checked by one
commit, as before.
"""

from __future__ import annotations

from collections.abc import Collection

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.taskdefs import AppSnapshot
    from slipway.api import Evidence, StageName
    from slipway.app.gates import explain_unreadable
    from slipway.app.spec import SPEC_FILE
    from slipway.errors import NeedsPersonError, cap
    from slipway.temporal.failures import report_of, to_application_error

_OPEN = {
    StageName.approval: frozenset({"spec.gates", "spec.approval", "spec.rollout"}),
    StageName.rollout: frozenset({"spec.gates", "spec.approval"}),
}
"""By the stage that is retried: the parts that no stage has gone by for good."""


def changed_parts(pinned: AppSnapshot, found: AppSnapshot) -> tuple[str, ...]:
    """The parts of the application's files that do not say the same at two commits."""
    before, after = pinned.spec.spec, found.spec.spec
    same = {
        "metadata": pinned.spec.metadata == found.spec.metadata,
        "spec.image": before.image == after.image,
        "spec.git": before.git == after.git,
        "spec.task": before.task == after.task,
        "spec.pipeline": before.pipeline == after.pipeline,
        "spec.model": before.model == after.model,
        "spec.gates": before.gates == after.gates,
        "spec.approval": before.approval == after.approval,
        "spec.rollout": before.rollout == after.rollout,
        "app.pipecd.yaml": (pinned.ecs, pinned.handler) == (found.ecs, found.handler),
    }
    return tuple(part for part, is_same in same.items() if not is_same)


def done_already(parts: Collection[str], stage: StageName) -> tuple[str, ...]:
    """Those parts by which the promotion has gone already when a stage is retried."""
    return tuple(part for part in parts if part not in _OPEN.get(stage, frozenset()))


def cannot_read_anew(error: ActivityError) -> ApplicationError:
    """The error of reading the files anew. A mistake in them ends no promotion whose model is trained: it parks."""
    report = report_of(error)
    remedy = f"{report.remedy}; then retry, or abort"
    return to_application_error(NeedsPersonError(f"reading the gates anew: {report.tried}", report.answered, remedy))


def unreadable_gates(evidence: Evidence, commit: str, branch: str) -> ApplicationError | None:
    """The error that parks a promotion some of whose gates cannot be held against the model; none where all can be."""
    if not any(gate.problem for gate in evidence.gates):
        return None
    return to_application_error(
        NeedsPersonError(
            f"holding the gates of {SPEC_FILE} at {commit[:12]} against {evidence.package.arn}",
            explain_unreadable(evidence.gates, evidence.metrics),
            f"correct the gate on {cap(branch, 100)}, where `retry` reads it anew, or the report; then retry, or abort",
        )
    )

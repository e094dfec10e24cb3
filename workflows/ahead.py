"""What is done about what would stop a promotion later: what is wrong at its targets, and permissions that are missing. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.taskdefs import AppSnapshot
    from slipway.errors import NeedsPersonError
    from slipway.findings import Finding, FindingList
    from slipway.oci.reference import ImageReference
    from slipway.policy.check import account_of
    from slipway.temporal.failures import to_application_error

TRIED = "looking for what would stop the promotion later"
SHOWN = 5
"""Findings that an error has whole, with their statements."""


class HeldUpError(NeedsPersonError):
    """Something has to be put right first. Policy statements that are to be added are in the error, whole."""

    limit = 6_000


def crosses_accounts(app: AppSnapshot) -> bool:
    """Whether the files name another account than the worker's, as far as they tell."""
    spec = app.spec.spec
    roles = any(target.role_arn for target in spec.rollout.targets)
    ecr = ImageReference.parse(spec.image.target).ecr
    cluster = account_of(app.ecs.cluster_arn)
    return roles or spec.model.package_group.startswith("arn:") or bool(ecr and cluster and ecr.account != cluster)


def what_holds_up(found: FindingList) -> ApplicationError | None:
    """The error that parks a promotion which would not get to its end; none where it would."""
    refusals = found.refusals
    if not refusals:
        return None
    first, rest = refusals[:SHOWN], refusals[SHOWN:]
    lines = [line for finding in first for line in (finding.line, finding.statement) if line]
    more = [f"and {len(rest)} more, which are shown once these are fixed"] if rest else []
    said = "\n".join([_headline(refusals), *lines, *more])
    remedy = "do what each line says"
    if any(finding.statement for finding in refusals):
        remedy += ", and add each statement to the policy that its line names"
    return to_application_error(HeldUpError(TRIED, said, f"{remedy}; then retry; or abort"))


def _headline(refusals: Iterable[Finding]) -> str:
    return "; ".join(finding.what for finding in refusals)[:1_000]


def told(finding: Finding) -> str:
    """A warning as a notice has it."""
    return f"{finding.line}: {finding.statement}" if finding.statement else finding.line

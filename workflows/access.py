"""What is done about permissions that are missing in other accounts. Pure."""

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

SHOWN = 5
"""Findings that an error has whole, with their statements."""


class AccessMissingError(NeedsPersonError):
    """Other accounts have to allow something first. Their policy statements are in the error, whole."""

    limit = 6_000


def crosses_accounts(app: AppSnapshot) -> bool:
    """Whether the files name another account than the worker's, as far as they tell."""
    spec = app.spec.spec
    roles = any(target.role_arn for target in spec.rollout.targets)
    ecr = ImageReference.parse(spec.image.target).ecr
    cluster = account_of(app.ecs.cluster_arn)
    return roles or spec.model.package_group.startswith("arn:") or bool(ecr and cluster and ecr.account != cluster)


def missing_access(found: FindingList) -> ApplicationError | None:
    """The error that parks a promotion which would fail for want of permissions; none where it would not."""
    refusals = found.refusals
    if not refusals:
        return None
    first, rest = refusals[:SHOWN], refusals[SHOWN:]
    lines = [line for finding in first for line in (finding.line, finding.statement) if line]
    more = [f"and {len(rest)} more, which are shown once these are fixed"] if rest else []
    said = "\n".join([_headline(refusals), *lines, *more])
    return to_application_error(
        AccessMissingError(
            "looking whether the accounts let each other in, before the promotion goes on",
            said,
            "add each statement to the policy that its line names, then retry; or abort",
        )
    )


def _headline(refusals: Iterable[Finding]) -> str:
    return "; ".join(finding.what for finding in refusals)[:1_000]


def told(finding: Finding) -> str:
    """A warning as a notice has it."""
    return f"{finding.line}: {finding.statement}" if finding.statement else finding.line

"""Holds an application's files against the policy. Pure functions; each refusal says what the file says and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from slipway.api import AppRef
from slipway.app.lint import App
from slipway.app.pipecd import PipecdApp
from slipway.app.regions import region_of_cluster
from slipway.app.spec import SPEC_FILE, ModelPromotion, Spec, Target, group_name
from slipway.app.taskdef import TaskDefinition
from slipway.errors import RefusedError
from slipway.git.process import without_credentials
from slipway.git.rules import app_file, normalise_url
from slipway.oci.reference import ImageReference
from slipway.policy.model import AppEntry, WorkerPolicy

DOCUMENTED = "docs/policy.md has every key"


@dataclass(frozen=True)
class Use:
    """One thing that an application wants to touch."""

    limit: str
    """The entry's attribute that must allow it."""
    where: str
    """The file and the key that name it."""
    value: str


def entry_for(policy: WorkerPolicy, app: AppRef) -> AppEntry:
    """The first entry that covers an application.

    Raises:
        RefusedError: There is none; the error says which one to add.
    """
    url, folder = normalise_url(app.repository), app_file(app.folder)
    for entry in policy.apps:
        if entry.covers(url, app.branch, folder):
            return entry
    add = f"{{repository: {url}, branch: {app.branch}, folder: {folder or '.'}, …}}"
    raise RefusedError(
        f"looking for {folder or '.'} on {app.branch} of {without_credentials(app.repository)} in the worker's policy",
        "no entry covers it",
        f"start with an app that has an entry, or ask the worker's owner to add `- {add}` to the policy's apps; {DOCUMENTED}",
    )


def require_branch(policy: WorkerPolicy, app: AppRef) -> None:
    """Checks that some entry is for the application's branch.

    Raises:
        RefusedError: The worker may not use this branch or repository at all; the error says what to add.
    """
    url = normalise_url(app.repository)
    if any(entry.covers_branch(url, app.branch) for entry in policy.apps):
        return
    known = sorted({entry.branch for entry in policy.apps if entry.covers_branch(url, entry.branch)})
    said = f"of this repository only {', '.join(known)} is on the worker's list" if known else "it is not on the worker's list"
    raise RefusedError(
        f"using the branch {app.branch} of {without_credentials(app.repository)}",
        said,
        f"start with what is on it, or ask the worker's owner to add {url}@{app.branch} to SLIPWAY_REPOSITORIES, "
        f"or an entry with `repository: {url}` and `branch: {app.branch}` to the policy",
    )


def require_allowed(entry: AppEntry, app: AppRef, uses: Iterable[Use]) -> None:
    """Checks that the entry allows all that an application wants to touch.

    Raises:
        RefusedError: It does not; each use outside is listed.
    """
    outside = [use for use in uses if not _allows(entry, use)]
    if outside:
        _refuse(app, [_said(entry, use) for use in outside])


def require_approval(entry: AppEntry, app: AppRef, spec: Spec) -> None:
    """Checks that the app's own approval rules ask for no less than the policy's.

    Raises:
        RefusedError: They ask for less.
    """
    floor, own = entry.approval, spec.approval
    if own.mode == "auto" and not floor.auto:
        _refuse(app, [f"{SPEC_FILE}: spec.approval.mode is auto; the policy's approval.auto is false"])
    if own.mode == "manual" and own.quorum < floor.quorum:
        _refuse(app, [f"{SPEC_FILE}: spec.approval.quorum is {own.quorum}; the policy's approval.quorum is {floor.quorum}"])


def require_targets(entry: AppEntry, app: AppRef, spec: Spec) -> None:
    """Checks that the rollout has no more targets than the policy allows.

    Raises:
        RefusedError: It has more.
    """
    targets, limit = len(spec.rollout.targets), entry.limits.targets
    if targets > limit:
        _refuse(app, [f"{SPEC_FILE}: spec.rollout.waves have {targets} targets; the policy's limits.targets is {limit}"])


def require_app(entry: AppEntry, ref: AppRef, app: App) -> None:
    """Checks that the entry allows all that an application's files name, and as many targets.

    Raises:
        RefusedError: It does not; each use outside is listed.
    """
    file = app.pipecd.ecs.task_definition_file
    uses = (*uses_of_spec(app.spec), *uses_of_task(app.pipecd), *uses_of_definition(app.taskdef, file))
    require_allowed(entry, ref, uses)
    require_approval(entry, ref, app.spec.spec)
    require_targets(entry, ref, app.spec.spec)


def uses_of_spec(promotion: ModelPromotion) -> Iterator[Use]:
    """What `promotion.yaml` names."""
    spec, file = promotion.spec, f"{SPEC_FILE}: spec"
    ecr = ImageReference.parse(spec.image.target).ecr
    yield Use("image_sources", f"{file}.image.source", spec.image.source)
    yield Use("image_targets", f"{file}.image.target", spec.image.target)
    if ecr:
        yield Use("accounts", f"{file}.image.target", ecr.account)
        yield Use("regions", f"{file}.image.target", ecr.region)
    yield Use("pipelines", f"{file}.pipeline.name", spec.pipeline.name)
    yield from uses_of_group(spec.model.package_group, f"{file}.model.packageGroup")
    if role := spec.rollout.variant.execution_role_arn:
        yield from _role(f"{file}.rollout.variant.executionRoleArn", role)
    for number, wave in enumerate(spec.rollout.waves):
        for position, target in enumerate(wave.targets):
            yield from uses_of_target(target, f"{file}.rollout.waves[{number}].targets[{position}]")


def uses_of_group(group: str, where: str) -> Iterator[Use]:
    """What a model package group names, which is given by its name or ARN."""
    yield Use("package_groups", where, group_name(group))
    if group.startswith("arn:"):
        yield Use("accounts", where, account_of(group))


def uses_of_target(target: Target, where: str) -> Iterator[Use]:
    """What one target names."""
    yield Use("endpoints", f"{where}.endpoint", target.endpoint)
    if target.region:
        yield Use("regions", f"{where}.region", target.region)
    if target.role_arn:
        yield from _role(f"{where}.roleArn", target.role_arn)
    if target.execution_role_arn:
        yield from _role(f"{where}.executionRoleArn", target.execution_role_arn)


def uses_of_task(pipecd: PipecdApp) -> Iterator[Use]:
    """What PipeCD's file names."""
    where, ecs = f"{pipecd.file}: {'.'.join(pipecd.input_path)}.clusterArn", pipecd.ecs
    yield Use("clusters", where, ecs.cluster_arn)
    if ecs.cluster_arn.startswith("arn:"):
        yield Use("accounts", where, account_of(ecs.cluster_arn))
        yield Use("regions", where, region_of_cluster(ecs))


def uses_of_definition(definition: TaskDefinition, file: str) -> Iterator[Use]:
    """What the task definition names."""
    yield Use("families", f"{file}: family", str(definition["family"]))
    for key in ("taskRoleArn", "executionRoleArn"):
        if role := definition.get(key):
            yield from _role(f"{file}: {key}", str(role))


def _role(where: str, arn: str) -> Iterator[Use]:
    yield Use("roles", where, arn)
    if arn.startswith("arn:"):
        yield Use("accounts", where, account_of(arn))


def account_of(arn: str) -> str:
    """The account that an ARN names."""
    return arn.split(":")[4] if arn.count(":") >= 5 else ""  # noqa: PLR2004 -- an ARN has six parts


def _allows(entry: AppEntry, use: Use) -> bool:
    patterns: tuple[str, ...] = getattr(entry, use.limit)
    return any(fnmatchcase(use.value, pattern) for pattern in patterns)


def _said(entry: AppEntry, use: Use) -> str:
    key = AppEntry.model_fields[use.limit].alias
    patterns: tuple[str, ...] = getattr(entry, use.limit)
    return f"{use.where} is {use.value or 'empty'}; the policy's {key} are {', '.join(patterns) or 'empty'}"


def _refuse(app: AppRef, said: list[str]) -> None:
    raise RefusedError(
        f"holding {app.folder} on {app.branch} of {without_credentials(app.repository)} against the worker's policy",
        "\n".join(said),
        f"correct the file on the deployment branch, or ask the worker's owner to widen the app's entry; {DOCUMENTED}",
    )

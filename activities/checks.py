"""What each activity must agree with before it runs: by its name, a check for each that changes AWS or git, or assumes roles.

An activity that is neither here nor among `READS` is refused, so that a new one cannot be forgotten.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.access.messages import CheckAccess
from activities.approvals import Approvals
from activities.endpoints.cleaning import CleanUp
from activities.endpoints.messages import ChangeScaling, EndpointPlan, PlanRollout, RestoreEndpoint, UpdateEndpoint
from activities.endpoints.plan import NEW_VARIANT, plan_rollout
from activities.endpoints.scaling import DIMENSION
from activities.endpoints.served import SageMakerAccount
from activities.event_commits import VerifyImage, require_held
from activities.evidence import GatherEvidence
from activities.guard import Guard, known_origin, promoted_image
from activities.images.messages import CopyImage, ResolveImage
from activities.images.origins import ImageOrigins
from activities.origin import Origin, actor_of
from activities.packages import describe_package
from activities.pipelines.finding import is_anothers
from activities.pipelines.messages import Execution
from activities.plans.messages import CheckAhead
from activities.promotions import first_run_of
from activities.records import RecordServed
from activities.registry import CreateModelPackage, SetApproval, WithdrawApproval
from activities.tags import PROMOTION_TAG
from activities.taskdefs import RevertImage, WriteImage
from activities.tasks.messages import RegisterTaskDefinition, RunTask, StopTask
from activities.tasks.piped import PipedTask, Tasks, by_piped
from slipway.api import ModelPackage
from slipway.app.lint import App
from slipway.app.regions import region_of_app
from slipway.app.spec import SPEC_FILE, Variant
from slipway.aws.clients import Aws, acting_for, region_of
from slipway.errors import NeedsPersonError, RefusedError
from slipway.git.rules import app_file, normalise_url
from slipway.oci.reference import ImageReference
from slipway.policy.check import Use, account_of

READS = frozenset(
    {
        "read_app",
        "check_scan",
        "find_task",
        "follow_task",
        "find_execution",
        "follow_execution",
        "find_model_package",
        "follow_endpoint",
        "watch_alarms",
        "follow_branch",
        "smoke_endpoint",
        "identify_person",
        "find_former_package",
        "require_no_rollout",
        "read_history",
        "plan_promotion",
    }
)
"""Activities that change nothing, and need no check. `plan_promotion` compares what it reads with the policy, and tells of it."""


OF_ROLLBACKS = frozenset(
    {
        "check_access",
        "check_ahead",
        "gather_evidence",
        "preflight",
        "look_again",
        "prepare_endpoint",
        "update_endpoint",
        "mark_endpoint",
        "record_served",
        "restore_endpoint",
        "clean_up",
    }
)
"""The activities that a rollback may run beside `READS`. It has no gates, so it must approve no package."""


class PolicyInterceptor(Interceptor):
    """Give it to the Worker, behind the interceptor that explains errors.

    Args:
        guard: What applications may do.
        approvals: What people approved.
        origins: Looks who signed an image.
        aws: Where to look whose effect something is.
    """

    def __init__(self, guard: Guard, approvals: Approvals, origins: ImageOrigins, aws: Aws) -> None:
        self._checks = Checks(guard, approvals, origins, aws)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _CheckedInbound(next, self._checks)


class _CheckedInbound(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, checks: Checks) -> None:  # noqa: A002
        super().__init__(next)
        self._checks = checks

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        name, request = activity.info().activity_type, input.args[0] if input.args else None
        origin = origin_of(request)
        with acting_for(actor_of(origin) if origin else None):
            await self._checks.check(name, request)
            return await super().execute_activity(input)


class Checks:
    """The checks by the activity's name.

    Args:
        guard: What applications may do.
        approvals: What people approved.
        origins: Looks who signed an image.
        aws: Where to look whose effect something is.
    """

    def __init__(self, guard: Guard, approvals: Approvals, origins: ImageOrigins, aws: Aws) -> None:
        self._guard = guard
        self._approvals = approvals
        self._origins = origins
        self._aws = aws
        self.by_name: Mapping[str, Callable[[Any], Awaitable[None]]] = {
            "resolve_image": self._resolve_image,
            "copy_image": self._copy_image,
            "verify_image": self._verify_image,
            "write_image": self._write_image,
            "revert_image": self._revert_image,
            "register_task_definition": self._register_task_definition,
            "run_task": self._run_task,
            "stop_task": self._stop_task,
            "retry_execution": self._retry_execution,
            "stop_execution": self._stop_execution,
            "create_model_package": self._create_model_package,
            "set_approval": self._set_approval,
            "withdraw_approval": self._withdraw_approval,
            "check_access": self._check_access,
            "check_ahead": self._check_ahead,
            "gather_evidence": self._gather_evidence,
            "preflight": self._preflight,
            "look_again": self._look_again,
            "mark_endpoint": self._mark_endpoint,
            "record_served": self._record_served,
            "prepare_endpoint": self._prepare_endpoint,
            "update_endpoint": self._update_endpoint,
            "restore_endpoint": self._restore_endpoint,
            "clean_up": self._clean_up,
            "take_off_scaling": self._take_off_scaling,
            "take_off_scaling_again": self._undo_scaling,
            "put_back_scaling": self._undo_scaling,
        }

    async def check(self, name: str, request: Any) -> None:
        """Check one activity before it runs.

        Raises:
            NeedsPersonError: It is not what the spec says, the policy does not allow it, or the input names no promotion.
        """
        if name in READS:
            return
        origin = origin_of(request)
        if origin and origin.request.rollback and name not in OF_ROLLBACKS:
            tried = f"running {name} for the rollback {origin.promotion_id}"
            raise NeedsPersonError(tried, "a rollback builds, trains and approves no model", "start a promotion for that")
        if name not in self.by_name:
            raise NeedsPersonError(f"running {name}", "no check is written for this activity", "add one to activities/checks.py")
        try:
            await self.by_name[name](request)
        except RefusedError as error:
            # The policy may have been narrowed by mistake. The promotion parks; it does not end and undo what serves.
            report = error.report
            raise NeedsPersonError(report.tried, report.answered, f"{report.remedy}; then retry, or abort") from error

    async def _resolve_image(self, request: ResolveImage) -> None:
        # It only reads. What ECR answers is bounded by the worker's role; any other host is asked only where the spec names it.
        try:
            if ImageReference.parse(request.image).ecr:
                return
        except ValueError:
            return  # it is no image; the activity says so
        origin = known_origin("resolve_image", request.origin)
        _agree(origin, "an image", request.image, _source(origin, await self._guard.permit(origin)))

    async def _copy_image(self, request: CopyImage) -> None:
        origin = known_origin("copy_image", request.origin)
        app = await self._guard.permit(origin)
        image = app.spec.spec.image
        _agree(origin, "an image", request.source, _source(origin, app))
        _agree(origin, "the repository", request.target_repository, image.target)
        _agree(origin, "the referrers", request.referrers or image.referrers, image.referrers)
        await self._origins.require(origin, image)

    async def _verify_image(self, request: VerifyImage) -> None:
        # It only reads. But it asks a registry for a tag, which is to be one that the spec names.
        origin = known_origin("verify_image", request.origin)
        app = await self._guard.permit(origin)
        _agree_on_branch(origin, request)
        _agree(origin, "the writer", "pipecd", app.spec.spec.git.writer)
        _agree(origin, "the commit", request.commit, origin.commit)
        _agree(origin, "the replacements", request.handler.replacements, app.handler.replacements)
        _agree(origin, "an image", request.image, _source(origin, app))

    async def _write_image(self, request: WriteImage) -> None:
        origin = known_origin("write_image", request.origin)
        app = await self._guard.permit(origin)
        _agree_on_branch(origin, request)
        _agree(origin, "the writer", "slipway", app.spec.spec.git.writer)
        _agree(origin, "the event", request.event, app.spec.spec.git.event.name)
        _agree(origin, "the replacements", request.handler.replacements, app.handler.replacements)
        _agree(origin, "the image", request.image, promoted_image(origin, app))
        await _agree_on_run(origin, request)
        await self._origins.require(origin, app.spec.spec.image)

    async def _revert_image(self, request: RevertImage) -> None:
        # The commit carries the promotion's id and run in its trailers, and only that commit is reverted.
        origin = known_origin("revert_image", request.origin)
        await self._guard.require_on_branch(origin)
        _agree_on_branch(origin, request)
        await _agree_on_run(origin, request)

    async def _register_task_definition(self, request: RegisterTaskDefinition) -> None:
        origin = known_origin("register_task_definition", request.origin)
        app = await self._guard.permit(origin)
        _agree(origin, "the launcher", "slipway", app.spec.spec.task.launcher)
        _agree(origin, "the app", _place(request), _place(origin))
        _agree(origin, "the image", request.image, promoted_image(origin, app))
        _agree(origin, "the region", request.region, _region(app))
        _agree(origin, "the file", request.file, app.pipecd.ecs.task_definition_file)
        _agree(origin, "the containers", request.containers or app.containers, app.containers)
        _agree(origin, "the attachment", request.attachment, app.pipecd.attachment)
        _agree(origin, "what the file holds", request.held, await self._held(origin, app, request))
        await self._guard.permit_definition(origin, app, request.commit)
        await self._origins.require(origin, app.spec.spec.image)

    async def _held(self, origin: Origin, app: App, request: RegisterTaskDefinition) -> str:
        """What the file must hold in the image's place: nothing else where Slipway wrote it."""
        if app.spec.spec.git.writer == "slipway":
            return ""
        _agree(origin, "the commit", request.commit, origin.commit)
        repository = await self._guard.repository_of(origin)
        return await require_held(self._aws, repository, origin.app, app.handler, origin.commit, _source(origin, app))

    async def _run_task(self, request: RunTask) -> None:
        origin = known_origin("run_task", request.origin)
        app = await self._guard.permit(origin)
        _agree(origin, "the promotion", request.promotion_id, origin.promotion_id)
        _agree(origin, "the launcher", "slipway", app.spec.spec.task.launcher)
        _agree(origin, "the family", _family(request.task_definition.arn), app.taskdef["family"])
        _agree(origin, "the cluster and network", request.ecs, app.pipecd.ecs)

    async def _stop_task(self, request: StopTask) -> None:
        origin = known_origin("stop_task", request.origin)
        await self._guard.require_on_branch(origin)
        ecs = self._aws.ecs(region_of(request.task.arn))
        tried = f"looking at who started the task {request.task.arn}"
        answer = await self._aws.call(
            tried, ecs.describe_tasks, cluster=request.task.cluster, tasks=[request.task.arn], include=["TAGS"]
        )
        for task in answer["tasks"]:
            if not (piped := by_piped(task)) or not await self._is_run_for(origin, piped):
                _require_own(origin, f"the task {request.task.arn}", task.get("startedBy"))

    async def _is_run_for(self, origin: Origin, task: PipedTask) -> bool:
        """Whether piped ran the task for the promotion's image, which the spec leaves to it."""
        with contextlib.suppress(RefusedError):
            app = await self._guard.permit(origin)
            if app.spec.spec.task.launcher == "pipecd":
                repository = await self._guard.repository_of(origin)
                return await Tasks(self._aws, repository, origin, app, origin.commit).may_be_own(task)
        return False

    async def _retry_execution(self, execution: Execution) -> None:
        origin = known_origin("retry_execution", execution.origin)
        pipeline = (await self._guard.permit(origin)).spec.spec.pipeline.name
        _agree(origin, "the pipeline", _pipeline(execution.arn), pipeline.lower())

    async def _stop_execution(self, execution: Execution) -> None:
        origin = known_origin("stop_execution", execution.origin)
        await self._guard.require_on_branch(origin)
        name = await self._display_name(execution.arn) or ""
        if name == origin.promotion_id:
            return
        if not is_anothers(name, origin.promotion_id):
            # Its task did not name it, and it bears no mark of the promotion: the app's own pipeline is the bound then.
            with contextlib.suppress(RefusedError):
                pipeline = (await self._guard.permit(origin)).spec.spec.pipeline.name
                _agree(origin, "the pipeline", _pipeline(execution.arn), pipeline.lower())
                return
        _require_own(origin, f"the execution {execution.arn}", name)

    async def _set_approval(self, request: SetApproval) -> None:
        origin = known_origin("set_approval", request.origin)
        app = await self._guard.permit(origin, _owner_of(request.package))
        _agree_on_group(origin, request.package.arn, app)
        if request.status == "Approved":
            await self._approvals.require_package(origin, app, request)

    async def _create_model_package(self, request: CreateModelPackage) -> None:
        origin = known_origin("create_model_package", request.origin)
        spec = (await self._guard.permit(origin)).spec.spec
        model = spec.model
        _agree(origin, "the pipeline", _pipeline(request.execution.arn), spec.pipeline.name.lower())
        _agree(origin, "the package group", request.group, model.package_group)
        _agree(origin, "the step", request.step, model.from_step)
        _agree(origin, "the container", request.container, model.container)
        _agree(origin, "the instance types", request.instance_types, spec.package_instance_types)
        _agree(origin, "the report", request.report, model.report)

    async def _withdraw_approval(self, request: WithdrawApproval) -> None:
        origin = known_origin("withdraw_approval", request.origin)
        await self._guard.require_on_branch(origin)
        with contextlib.suppress(RefusedError):
            _agree_on_group(origin, request.package.arn, await self._guard.permit(origin))
            return
        tried = f"looking at what made {request.package.arn}"
        sagemaker = self._aws.sagemaker(region_of(request.package.arn))
        package = await self._aws.call(tried, sagemaker.describe_model_package, ModelPackageName=request.package.arn)
        made_by = package.get("MetadataProperties", {}).get("GeneratedBy")
        _require_own(origin, request.package.arn, await self._display_name(made_by) if made_by else None)

    async def _check_access(self, request: CheckAccess) -> None:
        # It only reads. But it assumes the roles that the spec names, and the policy says which they may be.
        await self._guard.permit(request.origin)

    async def _check_ahead(self, request: CheckAhead) -> None:
        # The same, and more of what the spec names.
        package = request.package
        app = await self._guard.permit(request.origin, *([_owner_of(package)] if package else []))
        if package:
            _agree_on_group(request.origin, package.arn, app)

    async def _gather_evidence(self, request: GatherEvidence) -> None:
        # It only reads, and asks what an older release asked without a check. The same as there where it looks ahead.
        if request.ahead:
            origin = known_origin("gather_evidence", request.origin)
            await self._check_ahead(CheckAhead(origin=origin, package=request.package))

    async def _preflight(self, asked: PlanRollout) -> None:
        # It only reads. But a policy that was narrowed meanwhile must stop a rollout before its first target.
        await self._guard.permit(known_origin("preflight", asked.origin), _owner_of(asked.package))

    async def _mark_endpoint(self, plan: EndpointPlan) -> None:
        await self._permit_plan("mark_endpoint", plan)

    async def _record_served(self, request: RecordServed) -> None:
        origin = known_origin("record_served", request.origin)
        app = await self._guard.permit(origin, *map(_owner_of, (request.package, *request.left)))
        for package in (request.package, *request.left):
            _agree_on_group(origin, package.arn, app)
        await self._approvals.require_record(origin, app, request)

    async def _clean_up(self, request: CleanUp) -> None:
        # What is removed needs no decision: the activity looks that the promotion's own config is served, and the others are not.
        origin = known_origin("clean_up", request.origin)
        app = await self._guard.permit(origin)
        rollout = app.spec.spec.rollout
        _agree(origin, "what is kept", request.keep, rollout.keep)
        for cleaned in request.targets:
            if cleaned.target not in rollout.targets:
                _agree(origin, "the endpoint", cleaned.target.endpoint, ", ".join(target.endpoint for target in rollout.targets))
            _agree(origin, "the region", cleaned.region, cleaned.target.region or _region(app))

    async def _look_again(self, request: UpdateEndpoint) -> None:
        await self._preflight(request.plan)

    async def _prepare_endpoint(self, plan: EndpointPlan) -> None:
        await self._permit_plan("prepare_endpoint", plan)

    async def _update_endpoint(self, request: UpdateEndpoint) -> None:
        await self._permit_plan("update_endpoint", request.plan)
        _agree_on_former(request)

    async def _permit_plan(self, activity_type: str, plan: EndpointPlan) -> None:
        origin = known_origin(activity_type, plan.origin)
        app = await self._guard.permit(origin, _owner_of(plan.package))
        _agree_on_plan(origin, plan, app)
        if origin.request.rollback:
            await self._require_approved_before(plan.package)
        await self._approvals.require_plan(origin, app, plan)

    async def _require_approved_before(self, package: ModelPackage) -> None:
        """A rollback has no gates: what it goes back to is a package that was approved by a promotion of its own."""
        status = (await describe_package(self._aws, package.arn)).get("ModelApprovalStatus")
        if status != "Approved":
            raise RefusedError(f"going back to {package.arn}", f"it is {status}", "go back to a package that is Approved")

    async def _restore_endpoint(self, request: RestoreEndpoint) -> None:
        _agree_on_former(request)
        await self._permit_undoing("restore_endpoint", request.plan)

    async def _take_off_scaling(self, request: ChangeScaling) -> None:
        await self._permit_plan("take_off_scaling", request.plan)
        _agree_on_scaled(request)

    async def _undo_scaling(self, request: ChangeScaling) -> None:
        # What is put back is what the tag on the promotion's own endpoint config names; the activities compare it.
        await self._permit_undoing(activity.info().activity_type, request.plan)
        _agree_on_scaled(request)

    async def _permit_undoing(self, activity_type: str, plan: EndpointPlan) -> None:
        origin = known_origin(activity_type, plan.origin)
        await self._guard.require_on_branch(origin)
        _agree_on_names(origin, plan)
        with contextlib.suppress(RefusedError):
            _agree_on_plan(origin, plan, await self._guard.permit(origin))
            return
        account = SageMakerAccount(self._aws, plan.region, plan.target.role_arn)
        tags = await account.tags_of_config(plan.config)
        _require_own(origin, f"the endpoint config {plan.config}", tags.get(PROMOTION_TAG))

    async def _display_name(self, execution: str) -> str | None:
        describe = self._aws.sagemaker(region_of(execution)).describe_pipeline_execution
        found = await self._aws.call(f"looking at the execution {execution}", describe, PipelineExecutionArn=execution)
        return found.get("PipelineExecutionDisplayName")


def origin_of(request: Any) -> Origin | None:
    """The promotion that an activity's input names: itself, in its plan, or in its execution."""
    named = (request, getattr(request, "plan", None), getattr(request, "execution", None))
    found = (getattr(part, "origin", None) for part in named)
    return next((origin for origin in found if isinstance(origin, Origin)), None)


def _agree(origin: Origin, what: str, asked: object, written: object) -> None:
    if asked != written:
        raise RefusedError(
            f"running {activity.info().activity_type} for the promotion {origin.promotion_id}",
            f"it is asked for {what} {asked}, and {SPEC_FILE} and the files beside it at {origin.commit[:12]} say {written}",
            "start a promotion with `slipway start`: activities are not started by hand",
        )


def _agree_on_branch(origin: Origin, request: VerifyImage | WriteImage | RevertImage) -> None:
    _agree(origin, "the app", _place(request), _place(origin))
    _agree(origin, "the promotion", request.promotion_id, origin.promotion_id)


async def _agree_on_run(origin: Origin, request: WriteImage | RevertImage) -> None:
    if request.run:  # absent where an older release recorded the input; then no commit with a run counts
        _agree(origin, "the first run", request.run, await first_run_of(origin.promotion_id))


def _agree_on_plan(origin: Origin, plan: EndpointPlan, app: App) -> None:
    """The plan's target is one of the spec's, and its names are those that follow from what it rolls out."""
    spec = app.spec.spec
    targets = spec.rollout.targets
    if plan.target not in targets:
        _agree(origin, "the endpoint", plan.target.endpoint, ", ".join(target.endpoint for target in targets))
    _agree(origin, "the promotion", plan.promotion_id, origin.promotion_id)
    _agree(origin, "the region", plan.region, plan.target.region or _region(app))
    _agree_on_group(origin, plan.package.arn, app)
    if plan.variant != _variant_of_older_releases(spec.rollout.variant):
        _agree(origin, "the variant", plan.variant, spec.rollout.variant)
    _agree(origin, "the strategy", plan.strategy, spec.rollout.strategy)
    _agree(origin, "the settings", plan.settings, spec.rollout.settings)
    _agree_on_names(origin, plan)


def _variant_of_older_releases(variant: Variant) -> Variant:
    """The variant as older releases recorded it, which gave it a name where the spec has none."""
    return variant.model_copy(update={"name": variant.name or NEW_VARIANT})


def _agree_on_names(origin: Origin, plan: EndpointPlan) -> None:
    """The names follow from what the plan brings and from what it starts from."""
    names = plan_rollout(plan, plan.former)
    _agree(origin, "the names", (plan.model, plan.config), (names.model, names.config))


def _agree_on_former(request: UpdateEndpoint | RestoreEndpoint) -> None:
    """What an endpoint is put back to is what its plan starts from.

    The name of the plan's config is bound to that, and `prepare_endpoint` makes the config only while the former one is served.
    """
    plan = request.plan
    if plan.former is not None:
        origin = known_origin(activity.info().activity_type, plan.origin)
        _agree(origin, "the former config", request.previous_config, plan.former)


def _agree_on_scaled(request: ChangeScaling) -> None:
    """The variant is one of the plan's endpoint, and the one that the spec names."""
    plan, target = request.plan, request.scaling.target
    origin = known_origin(activity.info().activity_type, plan.origin)
    variant = plan.variant.name or str(target.get("ResourceId", "")).rpartition("/")[2]
    expected = f"endpoint/{plan.target.endpoint}/variant/{variant}"
    for part in (target, *request.scaling.policies, *request.scaling.actions):
        found = tuple(part.get(name) for name in ("ServiceNamespace", "ResourceId", "ScalableDimension"))
        _agree(origin, "the scaled variant", found, ("sagemaker", expected, DIMENSION))


def _require_own(origin: Origin, what: str, made_by: str | None) -> None:
    if made_by != origin.promotion_id:
        raise NeedsPersonError(
            f"undoing {what} for the promotion {origin.promotion_id}",
            f"it carries {made_by or 'no promotion'}, and a promotion undoes only what is its own",
            "see what it is, and undo it by hand if it must be undone",
        )


def _place(named: VerifyImage | WriteImage | RevertImage | RegisterTaskDefinition | Origin) -> tuple[str, str, str]:
    app = named.app
    return normalise_url(app.repository), app.branch, app_file(app.folder)


def _source(origin: Origin, app: App) -> str:
    return f"{app.spec.spec.image.source}@{origin.request.digest}"


def _region(app: App) -> str:
    return region_of_app(app.spec, app.pipecd.ecs)


def _family(arn: str) -> str:
    return arn.rpartition("/")[2].partition(":")[0]


def _pipeline(arn: str) -> str:
    return arn.partition(":pipeline/")[2].partition("/")[0].lower()


def _owner_of(package: ModelPackage) -> Use:
    """The account of a package: a group of the same name in another account is another group."""
    return Use("accounts", f"the model package {package.arn}", account_of(package.arn))


def _agree_on_group(origin: Origin, package: str, app: App) -> None:
    """The package is in the spec's group; where that is given by its ARN, in its account as well."""
    written = app.spec.spec.model.package_group.lower()
    owner, _, path = package.lower().partition(":model-package/")
    name = path.partition("/")[0]
    asked = f"{owner}:model-package-group/{name}" if written.startswith("arn:") else name
    _agree(origin, "the package group", asked, written)

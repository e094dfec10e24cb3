"""Looks ahead: what a promotion would do, and what would stop it before or after its training. Reads only.

The plan that people ask for, and the look that a promotion takes before it changes anything, are the same code. So a promotion
stops where its plan says so.
"""

from __future__ import annotations

from temporalio import activity

from activities.collecting import Collector
from activities.endpoints.served import Looks
from activities.evidence_size import fitting_changes, fitting_findings
from activities.images.origins import ImageOrigins
from activities.origin import Origin, actor_of
from activities.plans.ahead import accounts_and_targets, app_of, what_would_stop
from activities.plans.messages import CheckAhead
from activities.plans.stages import StagesLook
from activities.plans.targets import TargetFound
from activities.repositories import Repositories, findings_at
from activities.rollout_plans import plans_of
from activities.taskdefs import require_source
from slipway.app.gates import GateBar
from slipway.app.lint import App
from slipway.app.problems import Problem, Severity
from slipway.app.spec import SPEC_FILE, Spec
from slipway.aws.clients import Aws, acting_for
from slipway.errors import RefusedError
from slipway.findings import Finding, FindingList, Level
from slipway.gathering import both
from slipway.git.repository import Repository
from slipway.plan import ApprovalPlan, PipelinePlan, PlanRequest, PromotionPlan, TargetAction, TargetPlan
from slipway.policy.check import account_of, entry_for, require_app
from slipway.policy.model import AppEntry

AT_ONCE = "the promotion would end at its first stage"


class PlanActivities:
    """The looks before a promotion, and of one that has begun.

    Args:
        aws: Where to find AWS.
        repositories: Where the application's files are read from.
        origins: Looks who signed an image.
    """

    def __init__(self, aws: Aws, repositories: Repositories, origins: ImageOrigins) -> None:
        self._aws = aws
        self._repositories = repositories
        self._origins = origins

    @activity.defn
    async def check_ahead(self, request: CheckAhead) -> FindingList:
        """What would stop a promotion that has begun, at a later stage: accounts, task definition, endpoints, gates. Reads only.

        Before there is a package, what may be over by the rollout is left out: the training takes hours.

        Raises:
            TransientError: AWS does not answer.
        """
        origin, looks = request.origin, Looks(self._aws)
        repository = await self._repositories.open(origin.app)
        app = await app_of(repository, origin)
        if request.package is not None:
            return await what_would_stop(looks, origin, app, request.package)
        # Both are made at the same time. What each finds is told in their order.
        found, later = Collector(), Collector()
        look = StagesLook(self._aws, repository, origin, app, found)
        _, (targets, _) = await both(look.task_to_run(), accounts_and_targets(looks, origin, app, None, later))
        found.add(*later.findings, *(each for target in targets for each in target.obstacles if each.level is Level.refuse))
        return FindingList(findings=fitting_findings(found.findings))

    @activity.defn
    async def plan_promotion(self, request: PlanRequest) -> PromotionPlan:
        """What a promotion of this image would do, by the files of any branch or pull request. Reads only.

        The repository and its deployment branch are on the list as for a promotion. What the files name is compared with the
        policy first. Where that allows less, nothing on AWS is asked and no role assumed.

        Raises:
            RefusedError: The policy has no entry for the application, or there is no such reference.
            TransientError: AWS or the remote does not answer.
        """
        asked, found = request.request, Collector()
        entry = entry_for(await self._repositories.policies(), asked.app)
        repository = await self._repositories.open(asked.app)
        commit = await (repository.commit_of(request.ref) if request.ref else repository.head(asked.app.branch))
        plan = PromotionPlan(
            promotion=asked.promotion_id,
            app=asked.app,
            asked_image=asked.image,
            ref=request.ref,
            commit=commit,
            would_go=False,
        )
        app = await self._files(request, entry, repository, commit, found)
        if app and not found.is_refused:
            origin = Origin(request=asked, commit=commit)
            with acting_for(actor_of(origin)):
                plan = await self._stages(plan, StagesLook(self._aws, repository, origin, app, found), entry)
        return plan.model_copy(update={"would_go": not found.is_refused, "findings": fitting_findings(found.findings)})

    async def _files(
        self, request: PlanRequest, entry: AppEntry, repository: Repository, commit: str, found: Collector
    ) -> App | None:
        """The application's files, if a promotion could use them."""
        asked = request.request
        findings = await findings_at(repository, asked.app, commit)
        found.add(*map(_of_problem, findings.problems))
        app = findings.app
        if app is None:
            return None
        found.check(lambda: require_source(asked.image, app.spec.spec.image.source), f"{SPEC_FILE}: spec.image.source", AT_ONCE)
        try:
            require_app(entry, asked.app, app)
        except RefusedError as error:
            for line in error.report.answered.splitlines():
                why = "the worker uses nothing that its owner does not allow, and looked at nothing of it"
                found.refuse(line, "the worker's policy", why, error.report.remedy)
        return app

    async def _stages(self, plan: PromotionPlan, look: StagesLook, entry: AppEntry) -> PromotionPlan:
        spec, found = look.app.spec.spec, look.found
        image = await look.image(self._origins)
        taskdef, task = await look.task_to_run()
        targets, bars = await accounts_and_targets(Looks(self._aws), look.origin, look.app, None, found)
        for target in targets:
            outlook = target.outlook
            found.add(*target.obstacles, *(outlook.fallbacks if outlook else ()))
            if outlook and outlook.drift and spec.approval.mode == "manual":
                where, why = f"the endpoint {target.target.endpoint}", "what was changed by hand is carried over"
                found.warn(outlook.drift, where, why, "see who changed it; who approves the promotion adopts it")
        return plan.model_copy(
            update={
                "image": image,
                "taskdef": taskdef,
                "task": task,
                "pipeline": PipelinePlan(
                    pipeline=spec.pipeline.name, package_group=spec.model.package_group, made_from=spec.model.from_step or ""
                ),
                "approval": _approval(spec, entry, bars),
                "rollout": _rollout(spec, targets, task.region),
            }
        )


def _of_problem(problem: Problem) -> Finding:
    is_error = problem.severity is Severity.error
    place = f"{problem.file}:{problem.line}:{problem.column}" if problem.line else problem.file
    path = f"{problem.path} " if problem.path else ""
    return Finding(
        level=Level.refuse if is_error else Level.warn,
        what=f"{path}{problem.message}",
        where=place,
        why=AT_ONCE if is_error else "something else may happen than the file seems to say",
        remedy=problem.help,
    )


def _approval(spec: Spec, entry: AppEntry, bars: tuple[GateBar, ...]) -> ApprovalPlan:
    approval = spec.approval
    return ApprovalPlan(
        mode=approval.mode,
        quorum=max(approval.quorum, entry.approval.quorum),
        approvers=approval.approvers,
        identity=entry.approval.level,
        gates=bars,
    )


def _rollout(spec: Spec, targets: tuple[TargetFound, ...], region: str) -> tuple[TargetPlan, ...]:
    waves = [number for number, wave in enumerate(spec.rollout.waves, start=1) for _ in wave.targets]
    changes = fitting_changes([found.outlook.changes if found.outlook else () for found in targets])
    plans = zip(targets, waves, plans_of(spec.rollout), changes, strict=True)
    return tuple(
        TargetPlan(
            endpoint=found.target.endpoint,
            region=found.target.region or region,
            account=account_of(found.target.role_arn or ""),
            wave=wave,
            action=_action(found),
            champion=found.champion.package if found.champion else None,
            rollout=how,
            changes=changed,
            drift=found.outlook.drift if found.outlook else "",
            rescales=bool(found.outlook and found.outlook.rescales),
        )
        for found, wave, how, changed in plans
    )


def _action(found: TargetFound) -> TargetAction | None:
    """None where it is not known what there is."""
    if found.outlook is None or not found.outlook.changes:
        return None
    return TargetAction.create if found.outlook.is_new else TargetAction.update

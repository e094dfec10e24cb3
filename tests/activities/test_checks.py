"""What the worker makes sure of before an activity changes AWS or git, whoever scheduled it."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from slipway_sandbox.testing import build_image, layer_of, member, push_image
from temporalio.testing import ActivityEnvironment

from activities.approvals import Approvals
from activities.approvers import Approvers
from activities.checks import READS, Checks
from activities.endpoints.cleaning import CleanedTarget, CleanUp
from activities.endpoints.messages import ChangeScaling, EndpointPlan, PlanRollout, RestoreEndpoint, Scaling, UpdateEndpoint
from activities.endpoints.plan import plan_rollout
from activities.evidence import EvidenceActivities, GatherEvidence
from activities.guard import Guard
from activities.images.messages import CopyImage, ResolveImage
from activities.origin import Origin, actor_of
from activities.pipelines.messages import Execution
from activities.registry import CreateModelPackage, SetApproval, WithdrawApproval
from activities.repositories import Repositories
from activities.taskdefs import ReadApp, RevertImage, TaskdefActivities
from activities.tasks.messages import RegisteredTaskDefinition, RunTask, StartedTask, StopTask
from slipway.api import AppRef, ModelPackage, PromotionRequest, TaskdefCommit
from slipway.app.lint import App
from slipway.app.spec import KEPT_CONFIGS, Container, Report, Target
from slipway.aws.clients import Aws
from slipway.errors import NeedsPersonError, RefusedError
from slipway.policy.model import AppEntry, Limits, WorkerPolicy, policy_of_branches
from slipway.policy.source import Signers
from tests.activities.test_registered import names_of, registered
from tests.support.effects import register_task_definition, write_image
from tests.support.piped import run_as_piped
from tests.support.signed_images import origins_of

DIGEST = f"sha256:{'a' * 64}"
NEIGHBOUR = "apps/spam"


SCALED: dict[str, Any] = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/screening-prod/variant/AllTraffic",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}


def scaling_of(endpoint: str, **more: Any) -> Scaling:
    """A variant's scaling as a promotion records it."""
    return Scaling(target={**SCALED, "ResourceId": f"endpoint/{endpoint}/variant/AllTraffic"}, **more)


def cleaned_target(**changes: Any) -> CleanedTarget:
    """The app's target, once a promotion is done with it."""
    target = CleanedTarget(target=Target(endpoint="screening-prod"), region="us-east-1", config="c")
    return target.model_copy(update=changes)


class Owner:
    """The worker's owner: has a policy, and may change it at any time."""

    def __init__(self, repository: str) -> None:
        [anything] = policy_of_branches([repository]).apps
        self.policy = WorkerPolicy(api_version="slipway.dev/v1", kind="WorkerPolicy", apps=(anything,))

    async def __call__(self) -> WorkerPolicy:
        return self.policy

    def narrow(self, **limits: Any) -> None:
        """Allow less."""
        entries = tuple(AppEntry.model_validate({**dict(entry), **limits}) for entry in self.policy.apps)
        self.policy = self.policy.model_copy(update={"apps": entries})


class Office:
    """One app with its promotion, and the checks that hold its activities."""

    def __init__(self, deployment: Any, account: str, aws: Aws, owner: Owner, cache: Path) -> None:
        self.deployment, self.account, self.owner = deployment, account, owner
        self.repositories = Repositories(owner, cache)
        self.guard = Guard(self.repositories)
        approvers = Approvers(self.repositories, Signers(cache))
        origins = origins_of(aws, self.repositories)
        approvals = Approvals(approvers, EvidenceActivities(aws, self.repositories, origins).gather_evidence)
        self.checks = Checks(self.guard, approvals, origins, aws)
        self.registry = f"{account}.dkr.ecr.us-east-1.amazonaws.com"
        head = deployment.push({"note.txt": "1"})
        request = PromotionRequest(app=deployment.app, image=f"{self.registry}/screening-ci@{DIGEST}")
        self.origin = Origin(request=request, commit=head)
        self.package = ModelPackage(
            arn=f"arn:aws:sagemaker:us-east-1:{account}:model-package/screening/1", version=1, region="us-east-1"
        )

    async def app(self, origin: Origin) -> App:
        return await self.guard.permit(origin)

    def leave_task_to_piped(self) -> Origin:
        """The same promotion at a commit where piped runs the task."""
        spec, app = self.deployment.file("promotion.yaml"), self.deployment.file("app.pipecd.yaml")
        files = {
            "promotion.yaml": spec.replace("  git:", "  task: {launcher: pipecd}\n  git:"),
            "app.pipecd.yaml": app.replace("runStandaloneTask: false", "runStandaloneTask: true"),
        }
        return self.origin.model_copy(update={"commit": self.deployment.push(files)})

    async def plan(self, **changes: Any) -> EndpointPlan:
        origin = changes.pop("origin", self.origin)
        spec = (await self.app(self.origin)).spec.spec
        asked = {
            "promotion_id": origin.promotion_id,
            "package": self.package,
            "target": spec.rollout.waves[0].targets[0],
            "region": "us-east-1",
            "variant": spec.rollout.variant,
            "strategy": spec.rollout.strategy,
            "origin": origin,
        }
        return plan_rollout(PlanRollout.model_validate({**asked, **changes}))

    async def check(self, name: str, request: Any) -> None:
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(environment.info, activity_type=name)
        await environment.run(self.checks.check, name, request)

    async def requests(self) -> dict[str, Any]:
        """One request of each activity that goes forward, as a promotion makes it."""
        app, origin = await self.app(self.origin), self.origin
        image = f"{self.registry}/screening@{DIGEST}"
        arn = f"arn:aws:ecs:us-east-1:{self.account}:task-definition/screening:1"
        execution = f"arn:aws:sagemaker:us-east-1:{self.account}:pipeline/screening-training/execution/abc"
        content = self.deployment.file("taskdef.yaml")
        committed = self.deployment.push({"taskdef.yaml": content + "# written\n"})
        plan = await self.plan()
        return {
            "copy_image": CopyImage(
                source=origin.request.image, target_repository=f"{self.registry}/screening", tag="x", origin=origin
            ),
            "write_image": write_image(origin, app, image),
            "register_task_definition": register_task_definition(origin, committed, image),
            "run_task": RunTask(
                promotion_id=origin.promotion_id,
                attempt=1,
                task_definition=RegisteredTaskDefinition(arn=arn, containers=("pipeline",), reused=False),
                ecs=app.pipecd.ecs,
                origin=origin,
            ),
            "retry_execution": Execution(arn=execution, region="us-east-1", display_name="x", origin=origin),
            "set_approval": SetApproval(package=self.package, status="Approved", description="by ana", origin=origin),
            "gather_evidence": GatherEvidence(
                promotion_id=origin.promotion_id,
                app=self.deployment.app,
                package=self.package,
                gates=app.spec.spec.gates,
                targets=app.spec.spec.rollout.targets,
                image=image,
                taskdef=TaskdefCommit(commit=committed, changed=True, file="taskdef.yaml", before="a", after="b"),
                steps=(),
                origin=origin,
                ahead=True,
            ),
            "preflight": plan,
            "prepare_endpoint": plan,
            "update_endpoint": UpdateEndpoint(plan=plan, previous_config=None),
            "take_off_scaling": ChangeScaling(plan=plan, scaling=scaling_of("screening-prod")),
            "clean_up": CleanUp(targets=(cleaned_target(),), keep=KEPT_CONFIGS, origin=origin),
        }


@pytest.fixture
def owner(deployment: Any) -> Owner:
    return Owner(deployment.app.repository)


@pytest.fixture
def office(deployment: Any, account: str, aws: Aws, owner: Owner, tmp_path: Path) -> Office:
    return Office(deployment, account, aws, owner, tmp_path / "cache")


FORWARD = (
    "copy_image",
    "write_image",
    "register_task_definition",
    "run_task",
    "retry_execution",
    "set_approval",
    "gather_evidence",
    "preflight",
    "prepare_endpoint",
    "update_endpoint",
    "take_off_scaling",
    "clean_up",
)


def test_given_the_activities_of_a_worker_then_each_is_checked_or_known_to_change_nothing(office: Office) -> None:
    assert set(office.checks.by_name) | READS == set(names_of(registered()))
    assert not set(office.checks.by_name) & READS


@pytest.mark.parametrize("name", FORWARD)
async def test_given_what_the_spec_says_then_the_activity_may_run(office: Office, name: str) -> None:
    await office.check(name, (await office.requests())[name])


@pytest.mark.parametrize("name", FORWARD)
async def test_given_a_policy_that_was_narrowed_then_the_activity_changes_nothing_and_waits(office: Office, name: str) -> None:
    request = (await office.requests())[name]
    office.owner.narrow(endpoints=("other",))
    with pytest.raises(NeedsPersonError, match="endpoint is screening-prod; the policy's endpoints are other"):
        await office.check(name, request)


@pytest.mark.parametrize("name", FORWARD)
async def test_given_no_promotion_in_the_input_then_a_person_is_needed(office: Office, name: str) -> None:
    request = (await office.requests())[name]
    plan = getattr(request, "plan", None)
    bare = request.model_copy(update={"plan": plan.model_copy(update={"origin": None})} if plan else {"origin": None})
    with pytest.raises(NeedsPersonError, match="does not say which promotion"):
        await office.check(name, bare)


@pytest.mark.parametrize("name", FORWARD)
async def test_given_a_commit_off_the_branch_then_the_activity_is_not_run(office: Office, name: str) -> None:
    request = (await office.requests())[name]
    commit = office.deployment.push_ref("refs/heads/feature/mallory", {})
    origin = office.origin.model_copy(update={"commit": commit})
    plan = getattr(request, "plan", None)
    moved = request.model_copy(update={"plan": plan.model_copy(update={"origin": origin})} if plan else {"origin": origin})
    with pytest.raises(NeedsPersonError, match="not on the branch main"):
        await office.check(name, moved)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("copy_image", {"source": f"111111111111.dkr.ecr.us-east-1.amazonaws.com/evil@{DIGEST}"}),
        ("copy_image", {"target_repository": "111111111111.dkr.ecr.us-east-1.amazonaws.com/spam"}),
        ("copy_image", {"referrers": "ignore"}),
        ("write_image", {"image": f"111111111111.dkr.ecr.us-east-1.amazonaws.com/evil@{DIGEST}"}),
        ("write_image", {"promotion_id": "spam-1"}),
        ("write_image", {"app": AppRef(repository="https://example.com/other")}),
        ("register_task_definition", {"image": f"evil@{DIGEST}"}),
        ("register_task_definition", {"region": "eu-west-1"}),
        ("run_task", {"promotion_id": "spam-1"}),
        (
            "run_task",
            {
                "task_definition": RegisteredTaskDefinition(
                    arn="arn:aws:ecs:us-east-1:111111111111:task-definition/spam:1", containers=("x",), reused=True
                )
            },
        ),
        ("retry_execution", {"arn": "arn:aws:sagemaker:us-east-1:111111111111:pipeline/spam/execution/abc"}),
        (
            "set_approval",
            {"package": ModelPackage(arn="arn:aws:sagemaker:us-east-1:1:model-package/spam/1", version=1, region="us-east-1")},
        ),
        (
            "gather_evidence",
            {"package": ModelPackage(arn="arn:aws:sagemaker:us-east-1:1:model-package/spam/1", version=1, region="us-east-1")},
        ),
        ("prepare_endpoint", {"target": Target(endpoint="spam-prod")}),
        ("prepare_endpoint", {"promotion_id": "spam-1"}),
        ("prepare_endpoint", {"config": "spam-config"}),
        ("prepare_endpoint", {"region": "eu-west-1"}),
        ("clean_up", {"keep": 1}),
        ("clean_up", {"targets": (cleaned_target(target=Target(endpoint="spam-prod")),)}),
        ("clean_up", {"targets": (cleaned_target(region="eu-west-1"),)}),
        ("take_off_scaling", {"scaling": scaling_of("spam-prod")}),
        ("take_off_scaling", {"scaling": scaling_of("screening-prod", policies=({**SCALED, "ResourceId": "table/spam"},))}),
        ("take_off_scaling", {"scaling": scaling_of("screening-prod", actions=({**SCALED, "ServiceNamespace": "ecs"},))}),
    ],
)
async def test_given_something_that_the_spec_does_not_say_then_the_activity_is_not_run(
    office: Office, name: str, change: dict[str, Any]
) -> None:
    request = (await office.requests())[name].model_copy(update=change)
    with pytest.raises(NeedsPersonError, match="activities are not started by hand"):
        await office.check(name, request)


async def test_given_a_registry_that_the_spec_does_not_name_then_it_is_not_asked(office: Office) -> None:
    elsewhere = f"registry.test/evil@{DIGEST}"
    with pytest.raises(NeedsPersonError, match="activities are not started by hand"):
        await office.check("resolve_image", ResolveImage(image=elsewhere, origin=office.origin))
    with pytest.raises(NeedsPersonError, match="does not say which promotion"):
        await office.check("resolve_image", ResolveImage(image=elsewhere))


async def test_given_the_registry_that_the_spec_names_then_it_is_asked(office: Office) -> None:
    spec = office.deployment.file("promotion.yaml")
    head = office.deployment.push({"promotion.yaml": spec.replace(f"{office.registry}/screening-ci", "ghcr.io/acme/screening")})
    request = office.origin.request.model_copy(update={"image": f"ghcr.io/acme/screening@{DIGEST}"})
    origin = office.origin.model_copy(update={"request": request, "commit": head})
    await office.check("resolve_image", ResolveImage(image=request.image, origin=origin))


async def test_given_an_image_in_ecr_of_an_older_release_then_it_is_looked_for_without_a_promotion(office: Office) -> None:
    await office.check("resolve_image", ResolveImage(image=f"{office.registry}/screening-ci@{DIGEST}"))


@pytest.mark.parametrize("name", ["set_approval", "prepare_endpoint", "update_endpoint"])
async def test_given_a_package_of_a_stranger_account_in_a_group_of_the_same_name_then_it_is_not_served(
    office: Office, name: str
) -> None:
    office.owner.narrow(accounts=(office.account,))
    arn = "arn:aws:sagemaker:us-east-1:111111111111:model-package/screening/1"
    package = ModelPackage(arn=arn, version=1, region="us-east-1")
    plan = await office.plan(package=package)
    requests = {
        "set_approval": SetApproval(package=package, status="Approved", description="", origin=office.origin),
        "prepare_endpoint": plan,
        "update_endpoint": UpdateEndpoint(plan=plan, previous_config=None),
    }
    with pytest.raises(NeedsPersonError, match=r"model-package/screening/1 is 111111111111; the policy's accounts are"):
        await office.check(name, requests[name])


@pytest.mark.parametrize("message", [UpdateEndpoint, RestoreEndpoint])
async def test_given_another_former_config_than_the_plans_then_the_endpoint_is_not_touched(
    office: Office, message: type[UpdateEndpoint | RestoreEndpoint]
) -> None:
    started = plan_rollout(await office.plan(), "by-hand")
    name = "update_endpoint" if message is UpdateEndpoint else "restore_endpoint"
    request = message.model_validate({"plan": started, "previous_config": "by-hand", "reason": ""})
    await office.check(name, request)
    with pytest.raises(NeedsPersonError, match="the former config without-a-vpc"):
        await office.check(name, request.model_copy(update={"previous_config": "without-a-vpc"}))
    other = started.model_copy(update={"former": "without-a-vpc"})
    with pytest.raises(NeedsPersonError, match="the names"):
        await office.check(name, request.model_copy(update={"plan": other, "previous_config": "without-a-vpc"}))


async def test_given_a_variant_without_a_name_when_an_older_release_recorded_its_default_then_the_plan_agrees(
    office: Office,
) -> None:
    variant = (await office.plan()).variant
    assert variant.name is None
    await office.check("prepare_endpoint", await office.plan(variant=variant.model_copy(update={"name": "AllTraffic"})))
    with pytest.raises(NeedsPersonError, match="the variant"):
        await office.check("prepare_endpoint", await office.plan(variant=variant.model_copy(update={"name": "other"})))


async def test_given_a_later_task_definition_with_the_neighbours_role_then_it_is_not_registered(office: Office) -> None:
    role = f"arn:aws:iam::{office.account}:role/task"
    office.owner.narrow(roles=(role,))
    request = (await office.requests())["register_task_definition"]
    content = office.deployment.file("taskdef.yaml").replace("role/task", "role/spam")
    commit = office.deployment.push({"taskdef.yaml": content})
    with pytest.raises(NeedsPersonError, match=r"executionRoleArn is .*role/spam; the policy's roles are"):
        await office.check("register_task_definition", request.model_copy(update={"commit": commit}))


async def test_given_a_neighbour_who_names_the_apps_endpoint_then_its_promotion_is_refused_before_any_effect(
    office: Office, run: Any
) -> None:
    app = office.deployment.app
    files = ("promotion.yaml", "app.pipecd.yaml", "taskdef.yaml", "smoke.json")
    office.deployment.push({f"../spam/{name}": office.deployment.file(name) for name in files})
    mine, theirs = office.owner.policy.apps[0], office.owner.policy.apps[0]
    mine = mine.model_copy(update={"folder": app.folder, "endpoints": ("screening-*",)})
    theirs = theirs.model_copy(update={"folder": NEIGHBOUR, "endpoints": ("spam-*",)})
    office.owner.policy = office.owner.policy.model_copy(update={"apps": (mine, theirs)})
    asked = ReadApp(app=app.model_copy(update={"folder": NEIGHBOUR}), image=office.origin.request.image)
    with pytest.raises(RefusedError, match="endpoint is screening-prod; the policy's endpoints are spam-"):
        await run(TaskdefActivities(office.repositories).read_app, asked)


async def test_given_another_branch_when_the_app_is_read_then_it_is_refused_with_what_to_add(office: Office, run: Any) -> None:
    asked = ReadApp(app=office.deployment.app.model_copy(update={"branch": "feature/mallory"}), image=office.origin.request.image)
    with pytest.raises(RefusedError, match="only main is on the worker's list") as refused:
        await run(TaskdefActivities(office.repositories).read_app, asked)
    assert "@feature/mallory to SLIPWAY_REPOSITORIES" in refused.value.report.remedy


async def test_given_a_commit_that_is_off_the_branch_by_force_when_an_effect_is_asked_for_then_it_is_refused(
    office: Office,
) -> None:
    await office.guard.permit(office.origin)
    office.deployment.drop_head()
    repository = await office.repositories.open(office.origin.app)
    await repository.head("main")  # as of the next look at the remote
    with pytest.raises(RefusedError, match="it is not on the branch main"):
        await office.guard.permit(office.origin)


# --- A package that Slipway makes ---

FROM_STEP = """\
  model:
    packageGroup: screening
    fromStep: Train
    container: {image: "model@sha256:1", contentTypes: [text/csv], responseTypes: [text/csv]}
"""


def made(office: Office, **changes: Any) -> CreateModelPackage:
    """The request of a promotion whose spec has Slipway make the package."""
    spec = office.deployment.file("promotion.yaml").replace("  model: {packageGroup: screening}\n", FROM_STEP)
    origin = office.origin.model_copy(update={"commit": office.deployment.push({"promotion.yaml": spec})})
    arn = f"arn:aws:sagemaker:us-east-1:{office.account}:pipeline/screening-training/execution/abc"
    asked = CreateModelPackage(
        execution=Execution(arn=arn, region="us-east-1", display_name="x"),
        group="screening",
        step="Train",
        container=Container(image="model@sha256:1", content_types=("text/csv",), response_types=("text/csv",)),
        instance_types=("ml.m5.large",),
        origin=origin,
    )
    return asked.model_copy(update=changes)


async def test_given_a_spec_that_has_slipway_make_the_package_then_it_may_be_made(office: Office) -> None:
    await office.check("create_model_package", made(office))


@pytest.mark.parametrize(
    "change",
    [
        {"group": "spam"},
        {"step": "TrainTwo"},
        {"instance_types": ("ml.p4d.24xlarge",)},
        {"container": Container(image="evil@sha256:1", content_types=("text/csv",), response_types=("text/csv",))},
        {"report": Report(step="Evaluate", output="evaluation", file="evaluation.json")},
        {
            "execution": Execution(
                arn="arn:aws:sagemaker:us-east-1:1:pipeline/spam/execution/abc", region="us-east-1", display_name="x"
            )
        },
    ],
)
async def test_given_another_package_than_the_spec_says_then_it_is_not_made(office: Office, change: dict[str, Any]) -> None:
    with pytest.raises(NeedsPersonError, match="activities are not started by hand"):
        await office.check("create_model_package", made(office, **change))


@pytest.mark.parametrize(("account", "may"), [("333333333333", True), ("444444444444", False)])
async def test_given_a_group_by_its_arn_then_a_package_of_another_accounts_group_of_that_name_is_not_approved(
    office: Office, account: str, may: bool
) -> None:
    group = "arn:aws:sagemaker:us-east-1:333333333333:model-package-group/screening"
    spec = office.deployment.file("promotion.yaml").replace("packageGroup: screening", f"packageGroup: '{group}'")
    origin = office.origin.model_copy(update={"commit": office.deployment.push({"promotion.yaml": spec})})
    arn = f"arn:aws:sagemaker:us-east-1:{account}:model-package/screening/1"
    package = ModelPackage(arn=arn, version=1, region="us-east-1")
    request = SetApproval(package=package, status="Rejected", description="", origin=origin)
    if may:
        await office.check("set_approval", request)
        return
    with pytest.raises(NeedsPersonError, match="activities are not started by hand"):
        await office.check("set_approval", request)


async def test_given_a_spec_that_finds_its_package_then_none_is_made(office: Office) -> None:
    with pytest.raises(NeedsPersonError, match="activities are not started by hand"):
        await office.check("create_model_package", made(office, origin=office.origin))


# --- Undoing ---


class Executions:
    """Pipelines in the account, and executions of them."""

    def __init__(self, sandbox: Any, account: str) -> None:
        self.sagemaker, self.account = sandbox.client("sagemaker", account), account

    def start(self, pipeline: str, name: str) -> str:
        definition = json.dumps({"Version": "2020-12-01", "Steps": [{"Name": "Stop", "Type": "Fail", "Arguments": {}}]})
        role = f"arn:aws:iam::{self.account}:role/pipeline"
        self.sagemaker.create_pipeline(PipelineName=pipeline, PipelineDefinition=definition, RoleArn=role)
        started = self.sagemaker.start_pipeline_execution(PipelineName=pipeline, PipelineExecutionDisplayName=name)
        return started["PipelineExecutionArn"]


@pytest.mark.parametrize(
    ("pipeline", "name", "may"),
    [
        ("screening-training", "{promotion}", True),
        ("screening-training", "execution-1795980266539", True),
        ("screening-training", "{promotion}-2", False),
        ("spam-training", "execution-1795980266539", False),
        ("spam-training", "{promotion}", True),
    ],
)
async def test_given_an_execution_then_it_is_stopped_if_it_is_the_promotions_by_name_or_the_apps_and_no_other_promotions(
    office: Office, sandbox: Any, account: str, pipeline: str, name: str, may: bool
) -> None:
    arn = Executions(sandbox, account).start(pipeline, name.format(promotion=office.origin.promotion_id))
    request = Execution(arn=arn, region="us-east-1", display_name="x", origin=office.origin)
    if may:
        await office.check("stop_execution", request)
        return
    with pytest.raises(NeedsPersonError, match="undoes only what is its own"):
        await office.check("stop_execution", request)


async def test_given_a_policy_without_the_app_when_its_commit_is_reverted_then_that_is_allowed_while_its_branch_is_there(
    office: Office,
) -> None:
    request = RevertImage(app=office.origin.app, promotion_id=office.origin.promotion_id, reason="", origin=office.origin)
    office.owner.narrow(folder="elsewhere")
    await office.check("revert_image", request)
    office.owner.narrow(branch="other")
    with pytest.raises(NeedsPersonError, match="only other is on the worker's list"):
        await office.check("revert_image", request)


async def test_given_a_remote_that_does_not_answer_when_an_effect_is_undone_then_what_the_worker_knows_suffices(
    office: Office, tmp_path: Path
) -> None:
    await office.guard.permit(office.origin)
    office.deployment.bare.rename(tmp_path / "gone.git")
    await office.guard.require_on_branch(office.origin)


async def test_given_the_commit_of_another_promotion_then_it_is_not_reverted(office: Office) -> None:
    request = RevertImage(app=office.origin.app, promotion_id="spam-1", reason="", origin=office.origin)
    with pytest.raises(NeedsPersonError, match="the promotion spam-1"):
        await office.check("revert_image", request)


@pytest.mark.parametrize("name", ["take_off_scaling_again", "put_back_scaling"])
async def test_given_scaling_of_another_endpoint_when_it_is_undone_then_it_is_left_alone(office: Office, name: str) -> None:
    request = ChangeScaling(plan=await office.plan(), scaling=scaling_of("screening-prod"))
    await office.check(name, request)
    with pytest.raises(NeedsPersonError, match="the scaled variant"):
        await office.check(name, request.model_copy(update={"scaling": scaling_of("spam-prod")}))


async def test_given_a_narrowed_policy_when_an_endpoint_is_restored_then_the_config_must_be_the_promotions(
    office: Office, sandbox: Any
) -> None:
    plan = await office.plan()
    restore = RestoreEndpoint(plan=plan, previous_config=None, reason="")
    sagemaker = sandbox.client("sagemaker", office.account)
    sagemaker.create_model(ModelName=plan.model, PrimaryContainer={"Image": f"{office.registry}/model:1"})
    variant = {"VariantName": "AllTraffic", "ModelName": plan.model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    make = {"EndpointConfigName": plan.config, "ProductionVariants": [variant]}
    tag = {"Key": "slipway-promotion", "Value": office.origin.promotion_id}
    arn = sagemaker.create_endpoint_config(**make, Tags=[{**tag, "Value": "spam-1"}])["EndpointConfigArn"]
    await office.check("restore_endpoint", restore)
    office.owner.narrow(endpoints=("other",))
    with pytest.raises(NeedsPersonError, match="it carries spam-1"):
        await office.check("restore_endpoint", restore)
    sagemaker.add_tags(ResourceArn=arn, Tags=[tag])
    await office.check("restore_endpoint", restore)


async def test_given_a_neighbours_package_when_it_is_withdrawn_under_a_narrowed_policy_then_it_is_left_alone(
    office: Office, sandbox: Any
) -> None:
    sagemaker = sandbox.client("sagemaker", office.account)
    sagemaker.create_model_package_group(ModelPackageGroupName="screening")
    image = push_image(sandbox, office.account, "model", "v1", build_image([layer_of(member("serve"))]))
    sandbox.client("s3", office.account).create_bucket(Bucket=f"models-{office.account}")
    sandbox.client("s3", office.account).put_object(Bucket=f"models-{office.account}", Key="model.tar.gz", Body=b"")
    container = {"Image": image, "ModelDataUrl": f"s3://models-{office.account}/model.tar.gz"}
    content = {"SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}
    inference = {"Containers": [container], **content}
    made = sagemaker.create_model_package(ModelPackageGroupName="screening", InferenceSpecification=inference)
    package = ModelPackage(arn=made["ModelPackageArn"], version=1, region="us-east-1")
    request = WithdrawApproval(package=package, reason="", origin=office.origin)
    await office.check("withdraw_approval", request)
    office.owner.narrow(package_groups=("other",))
    with pytest.raises(NeedsPersonError, match="carries no promotion"):
        await office.check("withdraw_approval", request)


async def test_given_a_task_that_ecs_has_forgotten_then_stopping_it_is_no_harm(office: Office, sandbox: Any) -> None:
    sandbox.client("ecs", office.account).create_cluster(clusterName="pipelines")
    arn = f"arn:aws:ecs:us-east-1:{office.account}:task/pipelines/{'0' * 32}"
    task = StartedTask(arn=arn, cluster="pipelines", started_at="2026-01-01T00:00:00Z")  # pyright: ignore[reportArgumentType]
    await office.check("stop_task", StopTask(task=task, reason="", origin=office.origin))


async def test_given_a_task_that_piped_ran_then_only_one_of_the_promotions_image_is_stopped(office: Office, sandbox: Any) -> None:
    deployment, ecs = office.deployment, sandbox.client("ecs", office.account)
    ecs.create_cluster(clusterName="pipelines")
    origin = office.leave_task_to_piped()
    taskdef = deployment.file("taskdef.yaml").replace(f"{office.registry}/screening:old", f"{office.registry}/screening@{DIGEST}")
    commit = deployment.push({"taskdef.yaml": taskdef})

    def stop(commit: str, image: str) -> StopTask:
        task = run_as_piped(ecs, office.account, commit, image)
        return StopTask(task=StartedTask(arn=task, cluster="pipelines", started_at=datetime.now(UTC)), reason="", origin=origin)

    await office.check("stop_task", stop(commit, f"{office.registry}/screening@{DIGEST}"))
    for other in (stop(office.origin.commit, f"{office.registry}/screening@{DIGEST}"), stop(commit, "another")):
        with pytest.raises(NeedsPersonError, match="carries no promotion"):
            await office.check("stop_task", other)
    slipways = stop(commit, f"{office.registry}/screening@{DIGEST}").model_copy(update={"origin": office.origin})
    with pytest.raises(NeedsPersonError, match="carries no promotion"):
        await office.check("stop_task", slipways)


@pytest.mark.parametrize("name", ["register_task_definition", "run_task"])
async def test_given_an_app_whose_task_piped_runs_then_slipway_neither_registers_nor_runs_it(office: Office, name: str) -> None:
    request = (await office.requests())[name].model_copy(update={"origin": office.leave_task_to_piped()})
    with pytest.raises(NeedsPersonError, match=r"the launcher slipway, and .* say pipecd"):
        await office.check(name, request)


def test_given_a_promotion_then_its_sessions_name_it_and_its_app(office: Office) -> None:
    actor = actor_of(office.origin)
    assert actor.session == office.origin.promotion_id
    assert actor.tag == f"{office.deployment.app.repository.removesuffix('.git')}@main@apps/screening"


async def test_given_a_policy_with_fewer_targets_than_the_rollout_has_when_it_begins_then_preflight_says_both_numbers(
    office: Office,
) -> None:
    one, two = "[{endpoint: screening-prod}]", "[{endpoint: screening-prod}, {endpoint: screening-b}]"
    text = office.deployment.file("promotion.yaml")
    assert one in text
    commit = office.deployment.push({"promotion.yaml": text.replace(one, two)})
    office.origin = office.origin.model_copy(update={"commit": commit})
    plan = await office.plan()
    await office.check("preflight", plan)
    office.owner.narrow(limits=Limits(targets=1))
    with pytest.raises(NeedsPersonError, match=r"waves have 2 targets; the policy's limits\.targets is 1"):
        await office.check("preflight", plan)

"""What a plan says of a situation is what the promotion's own activities then do, or stop with."""

from __future__ import annotations

import json
from typing import Any

import pytest
from slipway_sandbox.testing import TestImage, build_image, fresh_account, layer_of, member, push_image
from slipway_sandbox.testing.iam import RoleMaker, allow, trusting

from activities.endpoints.activities import EndpointActivities
from activities.evidence import EvidenceActivities, GatheredEvidence, GatherEvidence
from activities.images.activities import ImageActivities
from activities.images.messages import CheckScan, CopyImage, ResolveImage
from activities.origin import Origin
from activities.plans.activities import PlanActivities
from activities.plans.messages import CheckAhead
from activities.repositories import Repositories
from activities.taskdefs import ReadApp, TaskdefActivities, WriteImage
from activities.tasks.activities import TaskActivities
from activities.tasks.messages import RegisteredTaskDefinition, RegisterTaskDefinition
from slipway.api import ModelPackage, PromotionRequest, TaskdefCommit
from slipway.app.endpoint_settings import EndpointSettings
from slipway.app.strategy import Strategy
from slipway.aws.clients import Aws
from slipway.aws.polling import Polling
from slipway.differences import changes_between
from slipway.errors import NeedsPersonError, RefusedError, SlipwayError
from slipway.findings import Finding
from slipway.plan import ImageAction, PlanRequest, PromotionPlan, RevisionAction, TargetAction
from slipway.policy.model import policy_of_branches
from slipway.policy.source import fixed
from tests.activities.serving import ALARM, Serving
from tests.support.signed_images import Key, origins_of

ENDPOINT = "screening-prod"
ROLLOUT = "  rollout:\n"
OTHER_ROLE = "arn:aws:iam::444444444444:role/somebody-else"


class Situation:
    """A team's accounts and files as a test makes them, the plan of a promotion, and the promotion's activities."""

    def __init__(self, serving: Serving, aws: Aws, image: TestImage) -> None:
        self.serving, self.run, self.deployment = serving, serving.run, serving.deployment
        self.sandbox, self.account, self.repositories = serving.sandbox, serving.account, serving.repositories
        self.ecr, self.ecs = (self.sandbox.client(name, self.account) for name in ("ecr", "ecs"))
        self.ecr.create_repository(repositoryName="screening")
        self.ecs.create_cluster(clusterName="pipelines")
        registry = f"{self.account}.dkr.ecr.us-east-1.amazonaws.com"
        push_image(self.sandbox, self.account, "screening-ci", "v1", image)
        self.image, self.target = f"{registry}/screening-ci@{image.digest}", f"{registry}/screening@{image.digest}"
        self.write("promotion.yaml", "approvers: [ana]", "approvers: [ana, bo]")
        origins = origins_of(aws, self.repositories)
        self.plans = PlanActivities(aws, self.repositories, origins)
        self.images = ImageActivities(aws, origins, Polling(0.05))
        self.taskdefs = TaskdefActivities(self.repositories)
        self.tasks = TaskActivities(aws, self.repositories, Polling(0.05))
        self.evidence = EvidenceActivities(aws, self.repositories, origins)
        self.endpoints: EndpointActivities = serving.activities

    @property
    def request(self) -> PromotionRequest:
        return PromotionRequest(app=self.deployment.app, image=self.image)

    def write(self, file: str, old: str, new: str) -> None:
        """A commit that replaces a text in a file of the app."""
        text = self.deployment.file(file)
        assert old in text
        self.deployment.push({file: text.replace(old, new) + "\n"})

    async def plan(self, ref: str = "") -> PromotionPlan:
        return await self.run(self.plans.plan_promotion, PlanRequest(request=self.request, ref=ref))

    async def refused(self) -> Finding:
        """The one finding of a plan that is refused."""
        plan = await self.plan()
        [finding] = plan.refusals
        assert not plan.would_go
        return finding

    # --- the promotion ---

    async def origin(self) -> Origin:
        """The promotion, once it has read the app's files."""
        found = await self.run(self.taskdefs.read_app, ReadApp(app=self.deployment.app, image=self.image))
        return Origin(request=self.request, commit=found.commit)

    async def stopped(self) -> tuple[Finding, ...]:
        """What the promotion parks with before it changes anything."""
        found = await self.run(self.plans.check_ahead, CheckAhead(origin=await self.origin()))
        return found.refusals

    async def resolve(self) -> Any:
        return await self.run(self.images.resolve_image, ResolveImage(image=self.image, origin=await self.origin()))

    async def copy(self) -> Any:
        repository, _, _ = self.target.partition("@")
        copy = CopyImage(source=self.image, target_repository=repository, tag=self.request.tag, referrers="copy")
        return await self.run(self.images.copy_image, copy)

    async def write_image(self) -> str:
        """The commit with the image."""
        app = await self.run(self.taskdefs.read_app, ReadApp(app=self.deployment.app, image=self.image))
        write = WriteImage(
            app=self.deployment.app,
            promotion_id=self.request.promotion_id,
            handler=app.handler,
            event="image-update",
            image=self.target,
            requested_by="ci",
            source_commit="",
        )
        return (await self.run(self.taskdefs.write_image, write)).commit

    async def register(self, commit: str) -> RegisteredTaskDefinition:
        register = RegisterTaskDefinition(
            app=self.deployment.app,
            commit=commit,
            file="taskdef.yaml",
            region="us-east-1",
            image=self.target,
            containers=("pipeline",),
        )
        return await self.run(self.tasks.register_task_definition, register)

    async def gathered(self, package: ModelPackage, **more: object) -> GatheredEvidence:
        found = await self.run(self.taskdefs.read_app, ReadApp(app=self.deployment.app, image=self.image))
        spec = found.spec.spec
        gather = GatherEvidence(
            promotion_id=self.request.promotion_id,
            app=self.deployment.app,
            package=package,
            gates=spec.gates,
            targets=spec.rollout.targets,
            image=self.target,
            taskdef=TaskdefCommit(commit="1" * 40, changed=True, file="taskdef.yaml", before="a", after="b"),
            steps=(),
            rollout=spec.rollout,
            differences=True,
        )
        return await self.run(self.evidence.gather_evidence, gather.model_copy(update=more))

    def watch_an_alarm_that_is_on(self) -> None:
        """The strategy names an alarm, which is in ALARM now."""
        strategy = f"strategy: {{canary: {{percent: 25, wait: 5m}}, alarms: [{ALARM}]}}"
        self.write("promotion.yaml", ROLLOUT, f"{ROLLOUT}    {strategy}\n")
        self.serving.put_alarm("ALARM")

    def asked_since(self, number: int) -> list[str]:
        """What AWS was asked since a call, each question with its arguments."""
        calls = self.sandbox.calls(account=self.account, since=number)
        return [f"{call['operation']} {json.dumps(call['request'], sort_keys=True)}" for call in calls]

    @property
    def last_call(self) -> int:
        """The number of the last call."""
        return int(self.sandbox.calls()[-1]["number"])

    def described(self) -> dict[str, Any]:
        """What the endpoint serves: its config, and its model in the place of the model's name."""
        sagemaker = self.serving.sagemaker
        config = sagemaker.describe_endpoint_config(EndpointConfigName=self.serving.served())
        model = sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
        unlike = {"EndpointConfigName", "EndpointConfigArn", "CreationTime", "ResponseMetadata", "ModelName", "ModelArn"}
        config["Model"] = {name: value for name, value in model.items() if name not in unlike}
        return {name: value for name, value in config.items() if name not in unlike}


@pytest.fixture(scope="module")
def pipeline_image() -> TestImage:
    return build_image([layer_of(member("app", b"trains"))], command=["app"])


@pytest.fixture
def situation(serving: Serving, aws: Aws, pipeline_image: TestImage) -> Situation:
    return Situation(serving, aws, pipeline_image)


# --- image ---


async def test_given_an_image_that_is_not_in_the_target_when_it_is_planned_then_it_is_copied_and_the_next_plan_knows(
    situation: Situation,
) -> None:
    plan = await situation.plan()
    assert plan.would_go, plan.findings
    assert plan.image
    assert (plan.image.action, plan.image.target, plan.image.tag) == (
        ImageAction.copy_it,
        situation.target,
        situation.request.tag,
    )
    assert (await situation.copy()).copied_blobs > 0
    [tagged] = situation.ecr.describe_images(repositoryName="screening")["imageDetails"]
    assert tagged["imageTags"] == [plan.image.tag]
    again = await situation.plan()
    assert again.image
    assert again.image.action is ImageAction.there
    assert (await situation.copy()).copied_blobs == 0


async def test_given_an_image_that_is_not_there_when_it_is_planned_then_it_is_refused_as_the_promotion_is(
    situation: Situation,
) -> None:
    situation.image = f"{situation.image.partition('@')[0]}@sha256:{'0' * 64}"
    finding = await situation.refused()
    with pytest.raises(RefusedError) as error:
        await situation.resolve()
    assert finding.what == error.value.report.answered


async def test_given_an_unsigned_image_when_somebody_must_have_signed_it_then_the_plan_and_the_promotion_refuse_it(
    situation: Situation,
) -> None:
    key = json.dumps(Key().pem)
    situation.write("promotion.yaml", "  git:", f"    signedBy: [{{key: {key}}}]\n  git:")
    finding = await situation.refused()
    with pytest.raises(RefusedError) as error:
        await situation.resolve()
    assert "it has no signature" in finding.what
    assert finding.what == error.value.report.answered


async def test_given_what_a_scan_found_when_the_spec_does_not_accept_it_then_the_plan_and_the_promotion_refuse_it(
    situation: Situation,
) -> None:
    situation.write("promotion.yaml", "  git:", "    scan: {failOn: HIGH, timeout: 1m}\n  git:")
    early = await situation.plan()
    assert early.would_go
    assert [finding.what for finding in early.findings] == ["ECR has no scan of the image yet"]
    body = {"account": situation.account, "repository": "screening-ci", "findings": [{"name": "CVE-1", "severity": "CRITICAL"}]}
    situation.sandbox.control("POST", "ecr/scan-findings", body)
    situation.ecr.start_image_scan(repositoryName="screening-ci", imageId={"imageDigest": situation.image.rpartition("@")[2]})
    app = await situation.run(situation.taskdefs.read_app, ReadApp(app=situation.deployment.app, image=situation.image))
    with pytest.raises(RefusedError) as error:
        await situation.run(situation.images.check_scan, CheckScan(image=situation.image, policy=app.spec.spec.image.scan))
    assert (await situation.refused()).what == error.value.report.answered == "1 CRITICAL at or above HIGH"


async def test_given_no_target_repository_when_it_is_planned_then_it_is_refused_with_what_the_copy_parks_with(
    situation: Situation,
) -> None:
    situation.ecr.delete_repository(repositoryName="screening")
    finding = await situation.refused()
    with pytest.raises(NeedsPersonError) as error:
        await situation.copy()
    assert finding.what == error.value.report.answered


# --- task definition ---


async def test_given_a_newer_revision_when_it_is_planned_then_the_difference_is_what_is_registered(situation: Situation) -> None:
    first = await situation.plan()
    assert first.task
    assert first.taskdef
    assert (first.task.action, first.task.live) == (RevisionAction.register, "")
    assert [(file.changed, file.after) for file in first.taskdef.files] == [(True, situation.target)]
    await situation.copy()
    registered = await situation.register(await situation.write_image())
    assert not registered.reused
    same = await situation.plan()
    assert same.task
    assert same.taskdef
    assert (same.task.action, same.task.revision, same.task.changes) == (RevisionAction.reuse, registered.arn, ())
    assert [file.changed for file in same.taskdef.files] == [False]
    assert (await situation.register(await situation.write_image())).reused
    situation.write("taskdef.yaml", 'memory: "512"', 'memory: "1024"')
    situation.write("taskdef.yaml", "    essential: true", "    essential: true\n    environment: [{name: TOKEN, value: secret}]")
    changed = await situation.plan()
    assert changed.task
    assert changed.task.action is RevisionAction.register
    assert [change.line for change in changed.task.changes] == [
        "memory: 512 → 1024",
        "containerDefinitions[pipeline].environment[TOKEN].value: (none) → (not shown)",
    ]
    assert not (await situation.register((await situation.origin()).commit)).reused


async def test_given_a_typo_in_a_pull_request_when_its_reference_is_planned_then_it_is_refused_and_the_branch_is_not(
    situation: Situation,
) -> None:
    head = situation.deployment.push_ref(
        "refs/pull/7/merge", {"taskdef.yaml": situation.deployment.file("taskdef.yaml").replace("family:", "famly:")}
    )
    plan = await situation.plan("refs/pull/7/merge")
    assert (plan.ref, plan.commit, plan.would_go) == ("refs/pull/7/merge", head, False)
    assert [finding.where.partition(":")[0] for finding in plan.refusals] == ["taskdef.yaml"]
    assert plan.image is None
    assert (await situation.plan()).would_go
    with pytest.raises(RefusedError):
        await situation.run(situation.plans.check_ahead, CheckAhead(origin=Origin(request=situation.request, commit=head)))


# --- endpoint ---


async def test_given_a_new_endpoint_when_it_is_planned_then_the_plan_has_all_that_it_gets(situation: Situation) -> None:
    [target] = (await situation.plan()).rollout
    assert (target.action, target.champion) == (TargetAction.create, None)
    planned = {change.field: change.after for change in target.changes}
    await situation.serving.serve("first")
    served = {change.field: change.after for change in changes_between({}, situation.described())}
    own = {name: value for name, value in planned.items() if not value.startswith("(")}
    assert own == {name: served[name] for name in own}
    assert planned.keys() <= served.keys()


async def test_given_a_live_endpoint_when_the_variant_changes_then_evidence_and_plan_show_what_the_rollout_changes(
    situation: Situation,
) -> None:
    champion = await situation.serving.serve("first")
    settings = EndpointSettings(environment={"MODE": "fast"}, volume_size=30)
    situation.write("promotion.yaml", "instanceType: ml.m5.large", "instanceType: ml.m5.xlarge")
    situation.write("promotion.yaml", ROLLOUT, f"{ROLLOUT}    settings: {{environment: {{MODE: fast}}, volumeSize: 30}}\n")
    [target] = (await situation.plan()).rollout
    assert (target.action, target.champion) == (TargetAction.update, champion.package.arn)
    variant = "ProductionVariants[AllTraffic]"
    assert [(change.field, change.live, change.after) for change in target.changes] == [
        (f"{variant}.ModelName", champion.model, "(a new model)"),
        (f"{variant}.InstanceType", "ml.m5.large", "ml.m5.xlarge"),
        (f"{variant}.VolumeSizeInGB", "", "30"),
        ("Model.PrimaryContainer.ModelPackageName", champion.package.arn, "(the package that the pipeline makes)"),
        ("Model.PrimaryContainer.Environment.MODE", "", "(not shown)"),
    ]
    package = situation.serving.package("second")
    [seen] = (await situation.gathered(package)).champions
    assert [change.field for change in seen.changes] == [change.field for change in target.changes]
    before = situation.described()
    asked = situation.serving.asked(package, Strategy(), settings, instance_type="ml.m5.xlarge")
    found = await situation.run(situation.endpoints.preflight, asked)
    await situation.serving.update(found.plan, found.current_config)
    await situation.serving.follow(found.plan)
    after = changes_between(before, situation.described())
    assert {change.field: change.after for change in after} == {change.field: change.after for change in seen.changes}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (ROLLOUT, f"{ROLLOUT}    settings: {{serverless: {{memory: 2048, maxConcurrency: 5}}}}\n", "is of another kind"),
        ("instanceType: ml.m5.large", "name: other, instanceType: ml.m5.large", "the spec's is other"),
        (ROLLOUT, f"{ROLLOUT}    strategy: {{bake: 5m, alarms: [{ALARM}, no-such-alarm]}}\n", "there is no alarm no-such-alarm"),
    ],
    ids=["another kind", "another variant", "no alarm"],
)
async def test_given_a_target_that_cannot_be_updated_when_it_is_planned_then_the_promotion_parks_on_it_before_it_changes_anything(
    situation: Situation, old: str, new: str, said: str
) -> None:
    await situation.serving.serve("first")
    assert (await situation.plan()).would_go
    situation.write("promotion.yaml", old, new)
    finding = await situation.refused()
    assert said in finding.what
    assert await situation.stopped() == (finding,)


async def test_given_an_alarm_that_is_on_when_it_is_planned_then_that_warns_for_it_may_be_over_after_the_training(
    situation: Situation,
) -> None:
    await situation.serving.serve("first")
    situation.watch_an_alarm_that_is_on()
    plan = await situation.plan()
    assert plan.would_go
    [warning] = plan.findings
    assert "already in ALARM" in warning.what
    assert await situation.stopped() == ()
    with pytest.raises(NeedsPersonError, match="already in ALARM"):
        await situation.serving.preflight(situation.serving.package("second"))


async def test_given_a_canary_on_one_instance_when_it_is_planned_then_plan_and_evidence_say_that_it_is_all_at_once(
    situation: Situation,
) -> None:
    serving = situation.serving
    first = serving.plan(serving.package("first"), instance_count=1)
    await serving.update(first, None)
    await serving.follow(first)
    strategy = f"{{canary: {{percent: 50, wait: 5m}}, alarms: [{ALARM}]}}"
    situation.write("promotion.yaml", ROLLOUT, f"{ROLLOUT}    strategy: {strategy}\n")
    [fallback] = (await situation.plan()).findings
    assert fallback.what == "screening-prod has 1 instance, too few for a canary of 50 %: the update is all at once"
    package = situation.serving.package("second")
    assert (await situation.gathered(package)).findings == (fallback,)
    assert fallback.what in (await situation.serving.preflight(package)).warnings


# --- one look ---


async def test_given_an_alarm_that_is_on_when_the_evidence_is_gathered_then_the_same_look_finds_it_and_no_hash_is_over_it(
    situation: Situation,
) -> None:
    await situation.serving.serve("first")
    situation.watch_an_alarm_that_is_on()
    package, origin = situation.serving.package("second"), await situation.origin()
    gathered = await situation.gathered(package, origin=origin, ahead=True)
    assert gathered.ahead
    assert gathered.ahead == await situation.run(situation.plans.check_ahead, CheckAhead(origin=origin, package=package))
    assert ["already in ALARM" in finding.what for finding in gathered.ahead.findings] == [True]
    assert gathered.evidence == (await situation.gathered(package, origin=origin)).evidence


async def test_given_a_live_endpoint_when_the_evidence_is_gathered_with_what_is_ahead_then_nothing_is_asked_twice(
    situation: Situation,
) -> None:
    await situation.serving.serve("first")
    package, origin = situation.serving.package("second"), await situation.origin()
    before = situation.last_call
    await situation.gathered(package, origin=origin, ahead=True)
    asked = situation.asked_since(before)
    assert sorted(asked) == sorted(set(asked))


async def test_given_a_live_endpoint_when_a_promotion_looks_ahead_then_nothing_is_asked_twice(situation: Situation) -> None:
    await situation.serving.serve("first")
    before = situation.last_call
    await situation.stopped()
    asked = situation.asked_since(before)
    assert sorted(asked) == sorted(set(asked))


# --- permissions, gates, policy ---


async def test_given_a_role_that_trusts_somebody_else_when_it_is_planned_then_the_statement_is_that_of_the_promotion(
    situation: Situation,
) -> None:
    role = RoleMaker(situation.sandbox, fresh_account()).create([allow("*")], trusting("444444444444"))
    situation.write("promotion.yaml", "{endpoint: screening-prod}", f"{{endpoint: screening-prod, roleArn: '{role}'}}")
    finding = await situation.refused()
    assert json.loads(finding.statement)["Action"] == ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"]
    assert await situation.stopped() == (finding,)


@pytest.mark.parametrize("service", [("sagemaker", "DescribeEndpoint"), ("ecs", "ListTaskDefinitions")], ids=lambda each: each[1])
async def test_given_a_read_that_is_denied_when_it_is_planned_then_the_promotion_parks_on_it_at_once(
    situation: Situation, service: tuple[str, str]
) -> None:
    denied = {"code": "AccessDeniedException", "message": "not allowed", "account": situation.account, "count": 9}
    situation.sandbox.plant_fault(*service, "error", **denied)
    finding = await situation.refused()
    assert finding.what == "AccessDeniedException: not allowed"
    assert finding in await situation.stopped()


@pytest.mark.parametrize(("accuracy", "passes"), [(0.94, True), (0.93, False)])
async def test_given_a_champion_when_its_gate_is_planned_then_the_bar_is_where_the_promotion_draws_it(
    situation: Situation, accuracy: float, passes: bool
) -> None:
    metric = "binary_classification_metrics.accuracy.value"
    situation.write(
        "promotion.yaml", "  approval:", f"  gates: [{{metric: {metric}, min: 0.5, maxRegression: 0.01}}]\n  approval:"
    )
    await situation.serving.serve("first", accuracy=0.95)
    plan = await situation.plan()
    assert plan.approval
    assert [bar.message for bar in plan.approval.gates] == [
        "must be at least 0.5",
        "must be at least 0.94 (champion 0.95, maxRegression 0.01)",
    ]
    evidence = await situation.gathered(situation.serving.package("second", accuracy=accuracy))
    assert [gate.passed for gate in evidence.gates] == [True, passes]


async def test_given_a_champion_that_cannot_be_measured_when_a_gate_compares_then_the_promotion_parks_before_the_training(
    situation: Situation,
) -> None:
    situation.write("promotion.yaml", "  approval:", "  gates: [{metric: other.value, maxRegression: 0.01}]\n  approval:")
    await situation.serving.serve("first")
    finding = await situation.refused()
    assert finding.what.startswith("gate other.value (maxRegression 0.01): the champion screening/1")
    assert await situation.stopped() == (finding,)


async def test_given_a_role_that_the_policy_does_not_allow_when_a_pull_request_names_it_then_nothing_is_asked_on_aws(
    situation: Situation, aws: Aws, tmp_path: Any
) -> None:
    entry = policy_of_branches([situation.deployment.app.repository]).apps[0]
    narrow = policy_of_branches([situation.deployment.app.repository]).model_copy(
        update={"apps": (entry.model_copy(update={"roles": (f"arn:aws:iam::{situation.account}:role/task",)}),)}
    )
    repositories = Repositories(fixed(narrow), tmp_path / "other-cache")
    plans = PlanActivities(aws, repositories, origins_of(aws, repositories))
    spec = situation.deployment.file("promotion.yaml")
    situation.deployment.push_ref(
        "refs/pull/8/head",
        {"promotion.yaml": spec.replace("{endpoint: screening-prod}", f"{{endpoint: screening-prod, roleArn: '{OTHER_ROLE}'}}")},
    )
    before = len(situation.sandbox.calls(account=situation.account))
    request = PlanRequest(request=situation.request, ref="refs/pull/8/head")
    plan = await situation.run(plans.plan_promotion, request)
    [finding] = plan.refusals
    assert OTHER_ROLE in finding.what
    assert finding.where == "the worker's policy"
    assert (plan.image, plan.rollout) == (None, ())
    assert len(situation.sandbox.calls(account=situation.account)) == before
    assert (await situation.run(plans.plan_promotion, request.model_copy(update={"ref": ""}))).would_go


@pytest.mark.parametrize("ref", ["refs/pull/99/head", "refs/heads/none", "--upload-pack=x", "refs/remotes/origin/main"])
async def test_given_a_reference_that_is_not_there_or_is_none_when_it_is_planned_then_there_is_no_plan(
    situation: Situation, ref: str
) -> None:
    with pytest.raises(SlipwayError):
        await situation.plan(ref)

"""Who has to have approved before a package is approved in the registry, or brought to an endpoint: looked up at the effect.

The promotion runs on a real Temporal server; the lists of approvers are in a real repository, and the keys are OpenSSH's.
"""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.approvals import Approvals
from activities.approvers import Approvers
from activities.endpoints.messages import Approved, EndpointPlan, PlanRollout
from activities.endpoints.plan import plan_rollout
from activities.evidence import GatherEvidence
from activities.guard import Guard
from activities.origin import Origin
from activities.registry import SetApproval
from activities.repositories import Repositories
from slipway.api import Evidence, ModelPackage, PackageContainer, SignedCommand
from slipway.app.lint import App
from slipway.decisions.command import Delivery
from slipway.decisions.document import targets_of
from slipway.errors import ChangedSinceApprovalError, NeedsPersonError
from slipway.evidence_hash import sha256_of
from slipway.git.rules import normalise_url
from slipway.policy.model import AppEntry, ApprovalFloor, policy_of_branches
from slipway.policy.source import Signers, fixed
from slipway.temporal.connect import PROMOTION
from slipway.temporal.start import Handle, start_promotion
from tests.support.keys import Keyring, document
from tests.support.signing import keygen
from tests.support.waiting import until_asked
from tests.support.world import World, request


class Office:
    """A promotion that waits for approval, and the worker that is to put its model into production."""

    def __init__(self, client: Client, world: World, deployment: Any, folder: Path) -> None:
        self.client, self.world, self.deployment, self._folder = client, world, deployment, folder
        self.keys = Keyring(folder / "keys")
        self.allowed = folder / "allowed_signers"
        self.given_keys(ana="ana", bo="bo")
        self.given_floor("signed")
        world.evidence = ""
        self.handle: Handle
        self.origin: Origin
        self.app: App
        self.package: ModelPackage
        self.evidence: Evidence
        self.run = ""
        self.gathered = 0

    def given_keys(self, **people: str) -> None:
        """The policy's file has these keys."""
        self.allowed.write_text(self.keys.allowed(**people))

    def given_floor(self, identity: str, quorum: int = 1) -> None:
        """How well the policy asks approvers to be known, and how many it asks for."""
        [entry] = policy_of_branches([self.deployment.app.repository]).apps
        floor = ApprovalFloor.model_validate({"identity": identity, "auto": True, "quorum": quorum})
        entry = AppEntry.model_validate({**dict(entry), "allowed_signers": str(self.allowed), "approval": floor})
        policy = policy_of_branches([self.deployment.app.repository]).model_copy(update={"apps": (entry,)})
        self.repositories = Repositories(fixed(policy), self._folder / "cache")
        approvers = Approvers(self.repositories, Signers(self._folder / "cache"))
        self.approvals = Approvals(approvers, self._gather)

    def given_file(self, old: str, new: str) -> str:
        """The deployment branch's promotion.yaml is changed; returns the commit."""
        return self.deployment.push({"promotion.yaml": self.deployment.file("promotion.yaml").replace(old, new) + "\n"})

    async def until_asked(self, **changes: Any) -> None:
        """The promotion was started, and waits."""
        head = self.deployment.push({"note.txt": "begin"})
        asked = request(app=self.deployment.app, **changes)
        self.handle, _ = await start_promotion(self.client, asked, self.world.task_queue)
        status = await until_asked(self.handle)
        self.origin = Origin(request=asked, commit=head)
        self.app = await Guard(self.repositories).permit(self.origin)
        self.evidence = await self.handle.query("evidence", result_type=Evidence)
        self.package = self.evidence.package
        self.run = (await self.handle.describe()).raw_description.workflow_execution_info.first_run_id
        assert status.evidence

    def signed(self, by: str = "ana", key: str = "", **changes: Any) -> SignedCommand:
        """A person's approval."""
        spec = self.app.spec.spec
        subject = {
            "namespace": "default",
            "promotion": self.origin.promotion_id,
            "run": self.run,
            "repository": normalise_url(self.origin.app.repository),
            "branch": "main",
            "folder": "apps/screening",
            "spec_commit": self.origin.commit,
            "package": self.package.arn,
            "targets": targets_of(spec.rollout.targets, "us-east-1"),
            "evidence": self.evidence.sha256,
        }
        kind = changes.pop("kind", "approve")
        return self.keys.sign(document(subject, kind, by, **changes), key or by)

    async def approve(self, *decisions: SignedCommand, deliveries: tuple[Delivery, ...] = ()) -> None:
        """What is checked before the package is approved."""
        asked = SetApproval(
            package=self.package,
            status="Approved",
            description="approved",
            origin=self.origin,
            decisions=decisions,
            deliveries=deliveries,
        )
        await self._environment().run(self.approvals.require_package, self.origin, self.app, asked)

    async def roll_out(self, *decisions: SignedCommand, containers: tuple[PackageContainer, ...] = ()) -> None:
        """What is checked before the endpoint is changed."""
        await self._environment().run(self.approvals.require_plan, self.origin, self.app, self._plan(decisions, containers))

    def _plan(self, decisions: tuple[SignedCommand, ...], containers: tuple[PackageContainer, ...]) -> EndpointPlan:
        rollout = self.app.spec.spec.rollout
        return plan_rollout(
            PlanRollout(
                promotion_id=self.origin.promotion_id,
                package=self.package,
                target=rollout.targets[0],
                region="us-east-1",
                variant=rollout.variant,
                strategy=rollout.strategy,
                origin=self.origin,
                approved=Approved(containers=containers, champion=None, decisions=decisions),
            )
        )

    def _environment(self) -> ActivityEnvironment:
        environment = ActivityEnvironment(client=self.client)
        environment.info = dataclasses.replace(environment.info, workflow_namespace="default")
        return environment

    async def _gather(self, asked: GatherEvidence) -> Evidence:
        """What the registry says now: in this world, what the promotion found."""
        self.gathered += 1
        await asyncio.sleep(0)  # as whatever asks AWS
        return self.world.evidence_of(asked.model_copy(update={"image": self.evidence.image}))


@pytest.fixture
async def office(client: Client, world: World, deployment: Any, tmp_path: Path) -> Office:
    return Office(client, world, deployment, tmp_path)


async def test_given_a_signed_approval_then_the_package_and_its_rollout_are_allowed(office: Office) -> None:
    await office.until_asked()
    yes = office.signed()
    await office.approve(yes)
    await office.roll_out(yes)


async def test_given_nobody_who_signed_then_nothing_is_allowed(office: Office) -> None:
    await office.until_asked()
    with pytest.raises(ChangedSinceApprovalError, match="0 of 1 approved"):
        await office.approve()
    with pytest.raises(ChangedSinceApprovalError, match="0 of 1 approved"):
        await office.roll_out()


async def test_given_a_stolen_name_when_eve_signs_as_ana_with_her_own_key_then_it_does_not_count(office: Office) -> None:
    await office.until_asked()
    with pytest.raises(ChangedSinceApprovalError, match="is not one of ana"):
        await office.approve(office.signed("ana", key="eve"))


async def test_given_a_wrong_key_when_bo_signs_as_ana_then_it_does_not_count(office: Office) -> None:
    await office.until_asked()
    with pytest.raises(ChangedSinceApprovalError, match="is not one of ana"):
        await office.roll_out(office.signed("ana", key="bo"))


async def test_given_an_expired_key_then_its_signature_does_not_count(office: Office) -> None:
    office.given_keys(ana='valid-before="20260101" ana')
    await office.until_asked()
    with pytest.raises(ChangedSinceApprovalError, match="has expired"):
        await office.approve(office.signed())


async def test_given_a_key_that_was_removed_while_the_promotion_waited_then_what_it_signed_does_not_count(office: Office) -> None:
    await office.until_asked()
    yes = office.signed()
    office.given_keys(bo="bo")
    with pytest.raises(ChangedSinceApprovalError, match="is not one of ana"):
        await office.approve(yes)


async def test_given_an_approver_who_left_the_list_while_the_promotion_waited_then_their_approval_does_not_count(
    office: Office,
) -> None:
    await office.until_asked()
    yes = office.signed()
    office.given_file("approvers: [ana]", "approvers: [bo]")
    with pytest.raises(ChangedSinceApprovalError, match="the approvers are bo"):
        await office.approve(yes)


async def test_given_a_decision_on_an_earlier_run_of_the_same_id_when_it_is_replayed_then_it_does_not_count(
    office: Office,
) -> None:
    await office.until_asked()
    earlier = office.signed()
    await office.handle.terminate()
    # On a queue of somebody else's, for ours would refuse it.
    started = await office.client.start_workflow(
        PROMOTION, office.origin.request, id=office.handle.id, task_queue=f"{office.world.task_queue}-of-others"
    )
    with pytest.raises(ChangedSinceApprovalError, match=f"run is {office.run}, not {started.first_execution_run_id}"):
        await office.approve(earlier)


async def test_given_a_decision_on_another_promotion_then_it_does_not_count(office: Office) -> None:
    await office.until_asked()
    with pytest.raises(ChangedSinceApprovalError, match="promotion is screening-0123456789ab"):
        await office.approve(office.signed(promotion="screening-0123456789ab"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"namespace": "other"}, "namespace is other, not default"),
        ({"repository": "https://github.com/acme/other"}, "repository is https://github.com/acme/other, not file://"),
        ({"branch": "feature"}, "branch is feature, not main"),
        ({"folder": "apps/spam"}, "folder is apps/spam, not apps/screening"),
        ({"spec_commit": "0" * 40}, "spec_commit is 0000"),
        ({"package": "arn:aws:sagemaker:us-east-1:222222222222:model-package/spam/1"}, "package is arn:aws:sagemaker"),
        ({"targets": ("spam-prod in us-east-1",)}, "targets is spam-prod in us-east-1, not screening-prod in us-east-1"),
    ],
    ids=["namespace", "repository", "branch", "folder", "commit", "package", "targets"],
)
async def test_given_a_decision_about_something_else_then_it_does_not_count_at_either_effect(
    office: Office, changes: dict[str, Any], told: str
) -> None:
    await office.until_asked()
    other = office.signed(**changes)
    for effect in (office.approve, office.roll_out):
        with pytest.raises(ChangedSinceApprovalError) as refused:
            await effect(other)
        assert told in refused.value.report.answered


async def test_given_a_document_that_changed_by_one_byte_after_it_was_signed_then_it_does_not_count(office: Office) -> None:
    await office.until_asked()
    yes = office.signed(reason="looks good")
    changed = yes.model_copy(update={"document": yes.document.replace("looks good", "looks food")})
    with pytest.raises(ChangedSinceApprovalError, match="the document was changed after it was signed"):
        await office.approve(changed)


async def test_given_a_signature_that_was_made_for_git_then_it_does_not_count(office: Office, tmp_path: Path) -> None:
    await office.until_asked()
    yes, file = office.signed(), tmp_path / "document"
    file.write_text(yes.document)
    keygen("-q", "-Y", "sign", "-n", "git", "-f", str(office.keys.path("ana")), str(file))
    with pytest.raises(ChangedSinceApprovalError, match="the signature was made for something else"):
        await office.approve(yes.model_copy(update={"signature": file.with_suffix(".sig").read_text()}))


async def test_given_a_key_that_is_not_valid_yet_then_its_signature_does_not_count(office: Office) -> None:
    office.given_keys(ana='valid-after="20990101" ana')
    await office.until_asked()
    with pytest.raises(ChangedSinceApprovalError, match="is not yet valid"):
        await office.approve(office.signed())


async def test_given_a_quorum_of_two_when_one_decision_is_replayed_then_it_counts_once(office: Office) -> None:
    office.given_file("approvers: [ana]", "approvers: [ana, bo], quorum: 2")
    await office.until_asked()
    yes = office.signed()
    with pytest.raises(ChangedSinceApprovalError, match="1 of 2 approved"):
        await office.approve(yes, yes)
    with pytest.raises(ChangedSinceApprovalError, match="1 of 2 approved"):
        await office.approve(yes, office.signed())


async def test_given_a_quorum_that_was_raised_on_the_branch_while_the_promotion_waited_then_it_counts(office: Office) -> None:
    office.given_file("approvers: [ana]", "approvers: [ana, bo]")
    await office.until_asked()
    office.given_file("approvers: [ana, bo]", "approvers: [ana, bo], quorum: 2")
    with pytest.raises(ChangedSinceApprovalError, match="1 of 2 approved"):
        await office.approve(office.signed())
    await office.approve(office.signed(), office.signed("bo"))


async def test_given_a_policy_that_asks_for_more_approvers_since_the_promotion_waits_then_the_policy_counts(
    office: Office,
) -> None:
    office.given_file("approvers: [ana]", "approvers: [ana, bo]")
    await office.until_asked()
    office.given_floor("signed", quorum=2)
    with pytest.raises(ChangedSinceApprovalError, match="1 of 2 approved"):
        await office.approve(office.signed())


async def test_given_a_package_that_nobody_approved_when_the_signed_evidence_is_of_another_then_it_is_not_allowed(
    office: Office,
) -> None:
    await office.until_asked()
    office.package = office.package.model_copy(update={"arn": office.package.arn.replace("/3", "/4")})
    with pytest.raises(ChangedSinceApprovalError, match="comparing the package with the evidence"):
        await office.approve(office.signed())


async def test_given_evidence_that_changed_by_one_byte_then_the_decision_does_not_count(office: Office) -> None:
    await office.until_asked()
    digit = "0" if office.evidence.sha256[-1] != "0" else "1"
    with pytest.raises(ChangedSinceApprovalError, match="the promotion's evidence is"):
        await office.approve(office.signed(evidence=office.evidence.sha256[:-1] + digit))


async def test_given_evidence_that_another_worker_made_up_when_it_is_gathered_again_then_the_approval_does_not_count(
    office: Office,
) -> None:
    await office.until_asked()
    yes = office.signed()
    office.world.accuracy = 0.91  # what the registry really has
    with pytest.raises(ChangedSinceApprovalError, match="gathering the evidence"):
        await office.approve(yes)


async def test_given_a_rollout_of_other_containers_than_those_that_were_approved_then_it_is_not_allowed(office: Office) -> None:
    await office.until_asked()
    with pytest.raises(ChangedSinceApprovalError, match="comparing the rollout"):
        await office.roll_out(office.signed(), containers=(PackageContainer(image="model@sha256:2"),))


async def test_given_a_quorum_of_two_when_one_person_signs_with_two_keys_then_they_count_once(office: Office) -> None:
    office.allowed.write_text(office.keys.allowed(ana="ana") + office.keys.allowed(ana="ana-2"))
    office.given_file("approvers: [ana]", "approvers: [ana, bo], quorum: 2")
    await office.until_asked()
    with pytest.raises(ChangedSinceApprovalError, match="1 of 2 approved"):
        await office.approve(office.signed(), office.signed(key="ana-2"))


async def test_given_a_quorum_of_two_when_two_names_sign_with_one_key_then_they_count_once(office: Office) -> None:
    office.given_keys(ana="ana", bo="ana")
    office.given_file("approvers: [ana]", "approvers: [ana, bo], quorum: 2")
    await office.until_asked()
    with pytest.raises(ChangedSinceApprovalError, match="1 of 2 approved"):
        await office.approve(office.signed(), office.signed("bo", key="ana"))


@pytest.mark.parametrize("role", ["requested_by", "commit_author"])
async def test_given_somebody_who_asked_for_the_promotion_or_wrote_its_commit_when_they_approve_then_it_does_not_count(
    office: Office, role: str
) -> None:
    await office.until_asked(**{role: "Ana"})
    with pytest.raises(ChangedSinceApprovalError, match="ana asked for this promotion or wrote its source commit"):
        await office.approve(office.signed())


async def test_given_a_rejection_then_it_is_no_approval(office: Office) -> None:
    await office.until_asked()
    with pytest.raises(ChangedSinceApprovalError, match="the document says reject"):
        await office.approve(office.signed(kind="reject"))


async def test_given_a_document_that_expired_before_the_effect_then_it_does_not_count(office: Office) -> None:
    await office.until_asked()
    now = datetime.now(UTC).replace(microsecond=0)
    with pytest.raises(ChangedSinceApprovalError, match="the document counts from"):
        await office.approve(office.signed(issued=now - timedelta(days=2), expires=now - timedelta(days=1)))


async def test_given_a_promotion_that_is_over_then_nothing_is_allowed_for_it(office: Office) -> None:
    await office.until_asked()
    yes = office.signed()
    await office.handle.terminate()
    with pytest.raises(NeedsPersonError, match="that is terminated"):
        await office.approve(yes)


async def test_given_a_policy_that_takes_names_as_they_are_then_no_signature_is_asked_for(office: Office) -> None:
    office.given_floor("claimed")
    await office.until_asked()
    await office.approve()


async def test_given_a_policy_that_asks_for_the_servers_word_when_the_server_names_nobody_then_a_signal_does_not_count(
    office: Office,
) -> None:
    office.given_floor("temporal")
    await office.until_asked()
    payload = {"by": "ana", "evidence": office.evidence.hash}
    await office.handle.signal("approve", payload)
    sent = Delivery(signal="approve", payload=payload, run=office.run, upto=10_000)
    with pytest.raises(ChangedSinceApprovalError, match="the server names nobody, and not ana"):
        await office.approve(deliveries=(sent,))


async def test_given_gates_that_decide_alone_when_one_is_not_met_at_the_effect_then_nothing_is_allowed(office: Office) -> None:
    office.given_file("approval: {approvers: [ana]}", "approval: {mode: auto}")
    await office.until_asked()
    await office.approve()
    office.world.accuracy = 0.5
    office.given_floor("signed")  # a worker that has not judged them yet
    with pytest.raises(NeedsPersonError, match="does not meet min"):
        await office.roll_out()


async def test_given_gates_that_decide_alone_when_targets_are_rolled_out_together_then_they_are_judged_once(
    office: Office,
) -> None:
    office.given_file("approval: {approvers: [ana]}", "approval: {mode: auto}")
    await office.until_asked()
    await asyncio.gather(*(office.roll_out() for _ in range(3)))
    assert office.gathered == 1


async def test_given_made_up_evidence_that_names_the_checksum_of_the_real_one_then_the_approval_does_not_count(
    office: Office,
) -> None:
    office.world.names_checksum_at = 0.91
    await office.until_asked()
    shown = await office.handle.query("evidence", result_type=dict[str, Any])
    yes = office.signed(evidence=sha256_of(shown))
    office.world.accuracy = 0.91  # what the registry really has
    with pytest.raises(ChangedSinceApprovalError, match="gathering the evidence"):
        await office.approve(yes)

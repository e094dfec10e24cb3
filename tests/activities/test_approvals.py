"""Who has to have approved before a package is approved in the registry, or brought to an endpoint: looked up at the effect.

The promotion runs on a real Temporal server; the lists of approvers are in a real repository, and the keys are OpenSSH's.
"""

from __future__ import annotations

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
from slipway.git.rules import normalise_url
from slipway.policy.model import AppEntry, ApprovalFloor, policy_of_branches
from slipway.policy.source import Signers, fixed
from slipway.temporal.connect import PROMOTION
from slipway.temporal.start import Handle, start_promotion
from tests.support.keys import Keyring, document
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

    def given_keys(self, **people: str) -> None:
        """The policy's file has these keys."""
        self.allowed.write_text(self.keys.allowed(**people))

    def given_floor(self, identity: str) -> None:
        """How well the policy asks approvers to be known."""
        [entry] = policy_of_branches([self.deployment.app.repository]).apps
        floor = ApprovalFloor.model_validate({"identity": identity, "auto": True})
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
    # By hand, past the command and past what the promotion itself makes sure of.
    await office.client.start_workflow(PROMOTION, office.origin.request, id=office.handle.id, task_queue="nobody-polls")
    with pytest.raises(ChangedSinceApprovalError, match=f"run is {office.run}, not "):
        await office.approve(earlier)


async def test_given_a_decision_on_another_promotion_then_it_does_not_count(office: Office) -> None:
    await office.until_asked()
    with pytest.raises(ChangedSinceApprovalError, match="promotion is screening-0123456789ab"):
        await office.approve(office.signed(promotion="screening-0123456789ab"))


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

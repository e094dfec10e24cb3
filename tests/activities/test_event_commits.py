"""Which image piped's event watcher wrote, and by which commit."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess, TestImage, build_image, layer_of, member, push_image
from temporalio.testing import ActivityEnvironment

from activities.approvals import Approvals
from activities.approvers import Approvers
from activities.checks import Checks
from activities.event_commits import EventCommitActivities, HeldImage, VerifyImage
from activities.evidence import EvidenceActivities
from activities.guard import Guard
from activities.origin import Origin
from activities.repositories import Repositories
from activities.taskdefs import WriteImage
from activities.tasks.activities import TaskActivities
from activities.tasks.messages import RegisterTaskDefinition
from slipway.api import PromotionRequest
from slipway.app.pipecd import EventHandler, Replacement
from slipway.aws.clients import Aws
from slipway.aws.polling import Polling
from slipway.errors import NeedsPersonError, RefusedError
from slipway.policy.source import Signers
from tests.support.event_watcher import NAME, Event, EventWatcher
from tests.support.signed_images import origins_of

HANDLER = EventHandler(
    event="image-update", replacements=(Replacement(file="taskdef.yaml", yaml_field="$.containerDefinitions[0].image"),)
)


def image_of(content: str) -> TestImage:
    return build_image([layer_of(member("app", content.encode()))], command=["app"])


@dataclass
class Office:
    """A team whose CI pushes images and registers events, and the activity that looks at what came of it."""

    sandbox: SandboxProcess
    account: str
    deployment: Any
    run: Any
    activities: EventCommitActivities

    @property
    def repository(self) -> str:
        return f"{self.account}.dkr.ecr.us-east-1.amazonaws.com/screening"

    def push_image(self, tag: str, content: str = "") -> str:
        """The digest of an image that has this tag from now on."""
        image = image_of(content or tag)
        push_image(self.sandbox, self.account, "screening", tag, image)
        return image.digest

    def register(self, data: str) -> str | None:
        watcher = EventWatcher(self.deployment.bare, self.deployment.app.folder)
        return watcher.handle(Event("image-update", data, commit_hash="1" * 40))

    async def verify(self, commit: str, digest: str) -> HeldImage:
        asked = VerifyImage(
            app=self.deployment.app,
            promotion_id="screening-1",
            handler=HANDLER,
            commit=commit,
            image=f"{self.repository}@{digest}",
        )
        return await self.run(self.activities.verify_image, asked)


@pytest.fixture
def office(sandbox: SandboxProcess, account: str, deployment: Any, run: Any, aws: Aws, repositories: Repositories) -> Office:
    return Office(sandbox, account, deployment, run, EventCommitActivities(aws, repositories))


async def test_given_an_events_commit_with_a_tag_when_it_is_verified_then_the_commit_is_found_behind_later_ones(
    office: Office,
) -> None:
    digest = office.push_image("v1")
    brought = office.register(f"{office.repository}:v1")
    head = office.deployment.push({"taskdef.yaml": office.deployment.file("taskdef.yaml") + "# more\n"})
    found = await office.verify(head, digest)
    assert found.taskdef.commit == brought
    assert found.taskdef.before == f"{office.repository}:old"
    assert found.taskdef.after == f"{office.repository}:v1"
    assert not found.taskdef.changed
    assert found.author == NAME


async def test_given_an_image_by_digest_when_it_is_verified_then_it_is_found(office: Office) -> None:
    digest = office.push_image("v1")
    brought = office.register(f"{office.repository}@{digest}")
    assert brought
    assert (await office.verify(brought, digest)).taskdef.commit == brought


async def test_given_a_tag_that_moved_when_it_is_verified_then_it_is_refused_with_both_digests(office: Office) -> None:
    first = office.push_image("v1")
    head = office.register(f"{office.repository}:v1")
    second = office.push_image("v1", "other")
    with pytest.raises(RefusedError, match=f"that tag names {second} now") as refused:
        await office.verify(head or "", first)
    assert first in refused.value.report.tried


async def test_given_another_image_in_the_file_when_it_is_verified_then_it_is_refused(office: Office) -> None:
    asked, other = office.push_image("v1"), office.push_image("v2")
    head = office.register(f"{office.repository}@{other}")
    with pytest.raises(RefusedError, match=f"its image is {office.repository}@{other}"):
        await office.verify(head or "", asked)


async def test_given_a_newer_image_on_the_branch_when_it_is_verified_then_it_is_superseded(office: Office) -> None:
    first, second = office.push_image("v1"), office.push_image("v2")
    pinned = office.register(f"{office.repository}@{first}")
    newer = office.register(f"{office.repository}@{second}")
    assert newer
    with pytest.raises(RefusedError, match=f"superseded by {office.repository}@{second}, which {newer[:12]} by piped"):
        await office.verify(pinned or "", first)


async def test_given_an_image_of_another_repository_in_the_file_when_it_is_verified_then_no_registry_is_asked(
    office: Office,
) -> None:
    head = office.register("registry.example/other:v1")
    with pytest.raises(RefusedError, match=r"its image is registry\.example/other:v1"):
        await office.verify(head or "", f"sha256:{'a' * 64}")


# --- What is held against the branch at the effect ---


@pytest.fixture
def checks(aws: Aws, repositories: Repositories, tmp_path: Path) -> Checks:
    approvers, origins = Approvers(repositories, Signers(tmp_path / "keys")), origins_of(aws, repositories)
    approvals = Approvals(approvers, EvidenceActivities(aws, repositories, origins).gather_evidence)
    return Checks(Guard(repositories), approvals, origins, aws)


@pytest.fixture
def piped(office: Office) -> Office:
    """The spec leaves the writing to piped."""
    spec = office.deployment.file("promotion.yaml").replace("screening-ci", "screening")
    office.deployment.push({"promotion.yaml": spec.replace("image-update}", "image-update, writer: pipecd}")})
    return office


def registration(office: Office, head: str, digest: str, held: str) -> RegisterTaskDefinition:
    image = f"{office.repository}@{digest}"
    return RegisterTaskDefinition(
        app=office.deployment.app,
        commit=head,
        file="taskdef.yaml",
        region="us-east-1",
        image=image,
        containers=("pipeline",),
        held=held,
        origin=Origin(request=PromotionRequest(app=office.deployment.app, image=image), commit=head),
    )


async def check(checks: Checks, name: str, request: Any) -> None:
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, activity_type=name)
    await environment.run(checks.check, name, request)


async def test_given_a_tag_in_the_file_when_it_is_registered_then_the_revision_runs_the_digest(
    piped: Office, checks: Checks, aws: Aws, repositories: Repositories
) -> None:
    digest, held = piped.push_image("v1"), f"{piped.repository}:v1"
    request = registration(piped, piped.register(held) or "", digest, held)
    await check(checks, "register_task_definition", request)
    made = await piped.run(TaskActivities(aws, repositories, Polling(1.0)).register_task_definition, request)
    described = piped.sandbox.client("ecs", piped.account).describe_task_definition(taskDefinition=made.arn)
    [container] = described["taskDefinition"]["containerDefinitions"]
    assert container["image"] == request.image


async def test_given_a_tag_that_moved_when_the_revision_is_to_be_registered_then_a_person_is_needed(
    piped: Office, checks: Checks
) -> None:
    digest, held = piped.push_image("v1"), f"{piped.repository}:v1"
    request = registration(piped, piped.register(held) or "", digest, held)
    piped.push_image("v1", "other")
    with pytest.raises(NeedsPersonError, match="that tag names"):
        await check(checks, "register_task_definition", request)


async def test_given_an_image_that_the_branch_does_not_hold_when_it_is_to_be_registered_then_a_person_is_needed(
    piped: Office, checks: Checks
) -> None:
    head = piped.register(f"{piped.repository}@{piped.push_image('v1')}") or ""
    request = registration(piped, head, piped.push_image("v2"), f"{piped.repository}:v2")
    with pytest.raises(NeedsPersonError, match="its image is"):
        await check(checks, "register_task_definition", request)


async def test_given_piped_as_the_writer_when_slipway_is_asked_to_write_then_it_does_not(piped: Office, checks: Checks) -> None:
    digest = piped.push_image("v1")
    head = piped.deployment.push({"note.txt": "x"})
    image = f"{piped.repository}@{digest}"
    origin = Origin(request=PromotionRequest(app=piped.deployment.app, image=image), commit=head)
    write = WriteImage(
        app=origin.app,
        promotion_id=origin.promotion_id,
        handler=HANDLER,
        event="image-update",
        image=image,
        requested_by="ci",
        source_commit="",
        origin=origin,
    )
    with pytest.raises(NeedsPersonError, match=r"asked for the writer slipway, and .* say pipecd"):
        await check(checks, "write_image", write)

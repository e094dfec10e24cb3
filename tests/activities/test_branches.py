"""What a look at a deployment branch finds: which images piped's event watcher has written since the last one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess, build_image, layer_of, member, push_image

from activities.branch_news import BranchNews, FoundImage
from activities.branches import BranchActivities, FollowBranch
from activities.repositories import Repositories
from slipway.aws.clients import Aws
from slipway.watch import SeenBranch, WatchedBranch
from tests.activities.test_checks import Owner
from tests.support.event_watcher import NAME, Event, EventWatcher

FOLDER = "apps/screening"
SOURCE_COMMIT = "1" * 40


@dataclass
class Watch:
    """A team whose CI pushes images and registers events, and the watch of its branch."""

    sandbox: SandboxProcess
    account: str
    deployment: Any
    run: Any
    activities: BranchActivities
    owner: Owner
    seen: SeenBranch = field(default_factory=SeenBranch)

    @property
    def repository(self) -> str:
        return f"{self.account}.dkr.ecr.us-east-1.amazonaws.com/screening"

    def push_image(self, tag: str) -> str:
        image = build_image([layer_of(member("app", tag.encode()))], command=["app"])
        push_image(self.sandbox, self.account, "screening", tag, image)
        return image.digest

    def register(self, tag: str) -> str:
        """CI pushes an image and registers the event; piped's commit."""
        self.push_image(tag)
        return self.commit(f"{self.repository}:{tag}")

    def commit(self, value: str) -> str:
        commit = EventWatcher(self.deployment.bare, FOLDER).handle(Event("image-update", value, commit_hash=SOURCE_COMMIT))
        assert commit
        return commit

    async def news(self) -> BranchNews:
        """The next news."""
        branch = WatchedBranch(repository=self.deployment.app.repository)
        news: BranchNews = await self.run(self.activities.follow_branch, FollowBranch(branch=branch, seen=self.seen))
        self.seen = news.seen
        return news

    async def found(self) -> FoundImage:
        [found] = (await self.news()).found
        return found


@pytest.fixture
async def watch(sandbox: SandboxProcess, account: str, deployment: Any, run: Any, aws: Aws, tmp_path: Path) -> Watch:
    """The watch of an application whose image piped writes, after its first look."""
    owner = Owner(deployment.app.repository)
    activities = BranchActivities(aws, Repositories(owner, tmp_path / "cache"), interval=0.05)
    watch = Watch(sandbox, account, deployment, run, activities, owner)
    spec = deployment.file("promotion.yaml").replace("screening-ci", "screening")
    deployment.push({"promotion.yaml": spec.replace("image-update}", "image-update, writer: pipecd}")}, "Leave it to piped")
    await watch.news()
    return watch


async def test_given_a_first_look_then_what_is_there_is_not_promoted_and_the_app_is_watched(watch: Watch) -> None:
    watch.register("v1")
    watch.seen = SeenBranch()
    news = await watch.news()
    assert news.found == ()
    assert news.seen.apps == (FOLDER,)


async def test_given_an_events_commit_then_its_image_is_found_by_digest_for_its_author_with_the_source_commit(
    watch: Watch,
) -> None:
    digest = watch.push_image("v1")
    commit = watch.commit(f"{watch.repository}:v1")
    found = await watch.found()
    assert found.commit == commit
    assert found.request.image == f"{watch.repository}@{digest}"
    assert found.request.requested_by == NAME
    assert found.request.commit == SOURCE_COMMIT
    assert found.request.app.folder == FOLDER
    assert found.superseded == ()


async def test_given_two_events_between_two_looks_then_the_newest_is_found_and_the_other_is_superseded(watch: Watch) -> None:
    first = watch.register("v1")
    second = watch.register("v2")
    found = await watch.found()
    assert (found.commit, found.held) == (second, f"{watch.repository}:v2")
    assert found.superseded == (f"{watch.repository}:v1 of {first[:12]}",)


async def test_given_a_huge_value_that_an_image_replaced_then_little_of_it_is_told(watch: Watch) -> None:
    watch.commit("x" * 60_000)
    watch.register("v2")
    [superseded] = (await watch.found()).superseded
    assert len(superseded) < 700


async def test_given_the_same_look_twice_then_it_finds_the_same_promotion(watch: Watch) -> None:
    before = watch.seen
    watch.register("v1")
    first = await watch.found()
    watch.seen = before
    assert (await watch.found()).request.promotion_id == first.request.promotion_id


async def test_given_a_person_who_edits_the_image_then_it_is_found_like_an_events(watch: Watch) -> None:
    watch.push_image("v1")
    content = watch.deployment.file("taskdef.yaml").replace("screening:old", "screening:v1")
    watch.deployment.push({"taskdef.yaml": content}, who="Bo <bo@example.com>")
    found = await watch.found()
    assert (found.request.requested_by, found.request.commit) == ("Bo", "")


async def test_given_a_commit_that_leaves_the_image_then_nothing_is_found(watch: Watch) -> None:
    head = watch.deployment.push({"taskdef.yaml": watch.deployment.file("taskdef.yaml") + "# more\n"})
    news = await watch.news()
    assert news == BranchNews(seen=SeenBranch(commit=head, apps=(FOLDER,)))


async def test_given_nothing_new_when_something_is_pushed_later_then_the_wait_ends_with_it(watch: Watch) -> None:
    waiting = asyncio.create_task(watch.found())
    commit = await asyncio.to_thread(watch.register, "v1")
    assert (await asyncio.wait_for(waiting, 60)).commit == commit


async def test_given_a_push_by_force_that_keeps_the_image_in_another_commit_then_it_is_found(watch: Watch) -> None:
    watch.register("v1")
    replaced = watch.deployment.replace_head("Say it better")
    assert (await watch.found()).commit == replaced


async def test_given_a_push_by_force_that_takes_an_image_off_then_nothing_is_found_and_it_is_told(watch: Watch) -> None:
    watch.register("v1")
    await watch.found()
    watch.deployment.drop_head()
    news = await watch.news()
    assert news.found == ()
    [note] = news.notes
    assert f"{FOLDER} is back at {watch.repository}:old by a push by force" in note


async def test_given_a_commit_that_nobody_has_any_more_then_the_watch_begins_anew(watch: Watch) -> None:
    watch.seen = watch.seen.model_copy(update={"commit": "e" * 40})
    watch.register("v1")
    news = await watch.news()
    assert news.found == ()
    assert news.seen.apps == (FOLDER,)
    assert "eeeeeeeeeeee is gone" in news.notes[0]


async def test_given_an_image_that_is_not_there_when_it_is_pushed_later_then_it_is_found_then(watch: Watch) -> None:
    commit = watch.commit(f"{watch.repository}:v1")
    news = await watch.news()
    assert news.found == ()
    [waiting] = news.seen.open
    assert "NotFoundException" in waiting.why
    watch.push_image("v1")
    assert (await watch.found()).commit == commit
    assert watch.seen.open == ()


async def test_given_a_broken_spec_when_it_is_corrected_then_the_image_that_came_meanwhile_is_found(watch: Watch) -> None:
    good = watch.deployment.file("promotion.yaml")
    watch.deployment.push({"promotion.yaml": good + "\n  typo: 1\n"})
    [waiting] = (await watch.news()).seen.open
    assert "promotion.yaml:" in waiting.why
    commit = watch.register("v1")
    await watch.news()
    watch.deployment.push({"promotion.yaml": good})
    assert (await watch.found()).commit == commit


async def test_given_an_app_that_slipway_writes_for_then_its_image_is_nobodys_news(watch: Watch) -> None:
    spec = watch.deployment.file("promotion.yaml").replace(", writer: pipecd", "")
    watch.deployment.push({"promotion.yaml": spec})
    watch.register("v1")
    news = await watch.news()
    assert (news.found, news.seen.apps) == ((), ())


async def test_given_an_app_that_the_policy_does_not_name_then_it_is_left_alone(watch: Watch) -> None:
    watch.owner.narrow(folder="apps/other")
    watch.register("v1")
    assert (await watch.news()).found == ()


async def test_given_a_policy_that_does_not_allow_the_image_then_no_registry_is_asked_and_it_waits(watch: Watch) -> None:
    watch.owner.narrow(image_sources=("other.example/*",))
    watch.register("v1")
    asked = len(watch.sandbox.calls("ecr", "DescribeImages", watch.account))
    [waiting] = (await watch.news()).seen.open
    assert "the policy's imageSources are other.example/*" in waiting.why
    assert len(watch.sandbox.calls("ecr", "DescribeImages", watch.account)) == asked

from __future__ import annotations

from typing import Any

import pytest

from activities.repositories import Repositories
from activities.taskdefs import AppSnapshot, ReadApp, RevertImage, TaskdefActivities, WriteImage
from slipway.api import LedgerState, TaskdefCommit
from slipway.errors import RefusedError

DIGEST = f"sha256:{'a' * 64}"


@pytest.fixture
def taskdefs(repositories: Repositories) -> TaskdefActivities:
    return TaskdefActivities(repositories)


@pytest.fixture
def source(account: str) -> str:
    return f"{account}.dkr.ecr.us-east-1.amazonaws.com/screening-ci@{DIGEST}"


@pytest.fixture
async def snapshot(taskdefs: TaskdefActivities, run: Any, deployment: Any, source: str) -> AppSnapshot:
    return await run(taskdefs.read_app, ReadApp(app=deployment.app, image=source))


@pytest.fixture
def write(snapshot: AppSnapshot, deployment: Any, account: str) -> WriteImage:
    return WriteImage(
        app=deployment.app,
        promotion_id="screening-1",
        handler=snapshot.handler,
        event="image-update",
        image=f"{account}.dkr.ecr.us-east-1.amazonaws.com/screening@{DIGEST}",
        requested_by="ana\nSlipway-Promotion: forged",
        source_commit="1" * 40,
    )


async def test_given_an_app_when_it_is_read_then_its_files_come_from_the_branchs_head(
    snapshot: AppSnapshot, deployment: Any
) -> None:
    assert snapshot.spec.metadata.name == "screening"
    assert snapshot.ecs.task_definition_file == "taskdef.yaml"
    assert snapshot.handler.event == "image-update"


async def test_given_a_repository_off_the_list_when_the_app_is_read_then_it_is_refused(
    taskdefs: TaskdefActivities, run: Any, deployment: Any, source: str
) -> None:
    other = deployment.app.model_copy(update={"repository": "https://example.com/other"})
    with pytest.raises(RefusedError, match="not on the worker's list"):
        await run(taskdefs.read_app, ReadApp(app=other, image=source))


async def test_given_an_unknown_key_when_the_app_is_read_then_file_and_line_are_told(
    taskdefs: TaskdefActivities, run: Any, deployment: Any, source: str
) -> None:
    deployment.push({"promotion.yaml": deployment.file("promotion.yaml") + "\n  typo: 1\n"})
    with pytest.raises(RefusedError, match=r"promotion\.yaml:16"):
        await run(taskdefs.read_app, ReadApp(app=deployment.app, image=source))


async def test_given_an_image_of_another_repository_when_the_app_is_read_then_it_is_refused(
    taskdefs: TaskdefActivities, run: Any, deployment: Any, account: str
) -> None:
    other = f"{account}.dkr.ecr.us-east-1.amazonaws.com/other@{DIGEST}"
    with pytest.raises(RefusedError, match=r"spec\.image\.source"):
        await run(taskdefs.read_app, ReadApp(app=deployment.app, image=other))


async def test_given_a_digest_when_it_is_written_then_one_line_changes_and_the_commit_says_for_whom(
    taskdefs: TaskdefActivities, run: Any, deployment: Any, write: WriteImage
) -> None:
    before = deployment.file("taskdef.yaml").splitlines()
    commit = await run(taskdefs.write_image, write)
    after = deployment.file("taskdef.yaml").splitlines()
    assert [new for old, new in zip(before, after, strict=True) if old != new] == [
        f"    image: {write.image}   # written by the event watcher"
    ]
    assert commit.changed
    assert commit.before.endswith("screening:old")
    trailers = deployment.message().splitlines()
    assert "Slipway-Promotion: screening-1" in trailers
    assert "Slipway-Promotion: forged" not in trailers
    assert f"Slipway-Source-Commit: {'1' * 40}" in trailers


async def test_given_a_write_whose_worker_died_when_it_is_retried_then_the_commit_is_found(
    taskdefs: TaskdefActivities, run: Any, deployment: Any, write: WriteImage
) -> None:
    first = await run(taskdefs.write_image, write)
    deployment.push({"other.txt": "x"}, "Somebody else")
    again: TaskdefCommit = await run.again(taskdefs.write_image, write)
    assert again == first
    assert again.before.endswith("screening:old")
    assert len(deployment.log()) == 3


async def test_given_a_file_at_the_value_when_it_is_written_then_there_is_no_commit(
    taskdefs: TaskdefActivities, run: Any, deployment: Any, write: WriteImage
) -> None:
    old = write.model_copy(update={"image": write.image.partition("@")[0] + ":old"})
    commit = await run(taskdefs.write_image, old)
    assert not commit.changed
    assert deployment.log() == ["Begin"]


async def test_given_a_write_when_it_is_reverted_twice_then_there_is_one_revert(
    taskdefs: TaskdefActivities, run: Any, deployment: Any, write: WriteImage
) -> None:
    before = deployment.file("taskdef.yaml")
    await run(taskdefs.write_image, write)
    revert = RevertImage(app=deployment.app, promotion_id="screening-1", reason="rejected")
    for _ in range(2):
        assert (await run(taskdefs.revert_image, revert)).state is LedgerState.undone
    assert deployment.file("taskdef.yaml") == before
    assert len(deployment.log()) == 3


async def test_given_no_commit_when_it_is_reverted_then_there_is_nothing_to_undo(
    taskdefs: TaskdefActivities, run: Any, deployment: Any, snapshot: AppSnapshot
) -> None:
    revert = RevertImage(app=deployment.app, promotion_id="screening-1", reason="rejected")
    assert (await run(taskdefs.revert_image, revert)).state is LedgerState.kept


async def test_given_a_reverted_write_when_it_is_written_again_then_there_is_a_new_commit(
    taskdefs: TaskdefActivities, run: Any, deployment: Any, write: WriteImage
) -> None:
    first = await run(taskdefs.write_image, write)
    await run(taskdefs.revert_image, RevertImage(app=deployment.app, promotion_id="screening-1", reason="rejected"))
    second = await run(taskdefs.write_image, write)
    assert second.commit != first.commit
    assert write.image in deployment.file("taskdef.yaml")

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from activities.guard import Guard
from activities.origin import Origin
from activities.repositories import Repositories
from activities.taskdefs import AppSnapshot, ReadApp, RevertImage, TaskdefActivities, WriteImage
from slipway.api import LedgerState, PromotionRequest, TaskdefCommit
from slipway.errors import NeedsPersonError, RefusedError
from slipway.git.mirror import Author
from slipway.git.process import GitAnswer, run_git
from slipway.policy.model import policy_of_branches
from slipway.policy.source import fixed
from tests.support.signing import keygen, make_key

WORKER = str(Author())
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
def origin(snapshot: AppSnapshot, deployment: Any, source: str) -> Origin:
    return Origin(request=PromotionRequest(app=deployment.app, image=source), commit=snapshot.commit)


@pytest.fixture
def revert(origin: Origin) -> RevertImage:
    return RevertImage(app=origin.app, promotion_id=origin.promotion_id, reason="rejected", origin=origin, run="run-1")


@pytest.fixture
def write(snapshot: AppSnapshot, origin: Origin, account: str) -> WriteImage:
    return WriteImage(
        app=origin.app,
        promotion_id=origin.promotion_id,
        origin=origin,
        run="run-1",
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
    assert f"Slipway-Promotion: {write.promotion_id}" in trailers
    assert "Slipway-Run: run-1" in trailers
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
    taskdefs: TaskdefActivities, run: Any, deployment: Any, write: WriteImage, revert: RevertImage
) -> None:
    before = deployment.file("taskdef.yaml")
    await run(taskdefs.write_image, write)
    for _ in range(2):
        assert (await run(taskdefs.revert_image, revert)).state is LedgerState.undone
    assert deployment.file("taskdef.yaml") == before
    assert len(deployment.log()) == 3


async def test_given_no_commit_when_it_is_reverted_then_there_is_nothing_to_undo(
    taskdefs: TaskdefActivities, run: Any, revert: RevertImage
) -> None:
    assert (await run(taskdefs.revert_image, revert)).state is LedgerState.kept


async def test_given_a_reverted_write_when_it_is_written_again_then_there_is_a_new_commit(
    taskdefs: TaskdefActivities, run: Any, deployment: Any, write: WriteImage, revert: RevertImage
) -> None:
    first = await run(taskdefs.write_image, write)
    await run(taskdefs.revert_image, revert)
    second = await run(taskdefs.write_image, write)
    assert second.commit != first.commit
    assert write.image in deployment.file("taskdef.yaml")


async def test_given_a_promotion_when_it_reads_checks_and_writes_then_it_starts_at_most_fifteen_gits(
    run: Any,
    tmp_path: Path,
    repositories: Repositories,
    write: WriteImage,
    origin: Origin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[str] = []

    async def counting(arguments: Sequence[str], **options: Any) -> GitAnswer:
        started.append(arguments[0])
        return await run_git(arguments, **options)

    monkeypatch.setattr("slipway.git.mirror.run_git", counting)
    repositories = Repositories(repositories.policies, tmp_path / "new")
    taskdefs, guard = TaskdefActivities(repositories), Guard(repositories)
    await run(taskdefs.read_app, ReadApp(app=origin.app, image=origin.request.image))
    app = await guard.permit(origin)
    commit = await run(taskdefs.write_image, write)
    await guard.permit_definition(origin, app, commit.commit)
    for _ in range(5):
        await guard.permit(origin)
    repository = await repositories.open(origin.app)
    await repository.read(commit.commit, "apps/screening/taskdef.yaml")
    await repository.read(origin.commit, "apps/screening/smoke.json")
    assert len(started) <= 15, started


# --- Whose a commit is ---


def message_of(write: WriteImage, run: str = "run-1") -> str:
    return f"Run it\n\nSlipway-Promotion: {write.promotion_id}\nSlipway-Run: {run}"


def with_image(deployment: Any, write: WriteImage) -> str:
    """The task definition as `write_image` would write it."""
    old = f"{write.image.partition('@')[0]}:old"
    return deployment.file("taskdef.yaml").replace(old, write.image)


async def test_given_a_colleagues_commit_with_the_trailer_when_the_image_is_written_then_a_commit_of_its_own_is_made(
    taskdefs: TaskdefActivities, run: Any, deployment: Any, write: WriteImage
) -> None:
    planted = deployment.push({"notes.txt": "mine"}, message_of(write))
    commit = await run(taskdefs.write_image, write)
    assert commit.commit != planted
    assert commit.changed
    assert write.image in deployment.file("taskdef.yaml")


@pytest.mark.parametrize(
    ("files", "who", "found"),
    [
        ({"notes.txt": "mine"}, "Ana <ana@example.com>", r"its author is Ana <ana@example\.com>"),
        ({"taskdef.yaml": "written"}, "Ana <ana@example.com>", "the worker commits as Slipway <slipway@localhost>"),
        ({"notes.txt": "mine"}, WORKER, r"it changes apps/screening/notes\.txt"),
        ({"taskdef.yaml": "written", "notes.txt": "mine"}, WORKER, r"it changes apps/screening/notes\.txt"),
        ({"taskdef.yaml": "written and more"}, WORKER, r"in taskdef\.yaml, or writes more"),
        ({"taskdef.yaml": "another image"}, WORKER, r"in taskdef\.yaml, or writes more"),
        ({}, WORKER, "it does not write"),
    ],
)
async def test_given_a_commit_that_is_not_proven_when_it_is_reverted_then_a_person_is_told_why_and_it_stays(
    taskdefs: TaskdefActivities,
    run: Any,
    deployment: Any,
    write: WriteImage,
    revert: RevertImage,
    files: dict[str, str],
    who: str,
    found: str,
) -> None:
    whole = with_image(deployment, write)
    contents = {"written": whole, "written and more": whole + "# more\n", "another image": whole.replace("sha256:a", "sha256:b")}
    planted = deployment.push({file: contents.get(text, text) for file, text in files.items()}, message_of(write), who)
    with pytest.raises(NeedsPersonError, match=found) as refused:
        await run(taskdefs.revert_image, revert)
    assert planted[:12] in refused.value.report.answered
    assert deployment.log() == ["Run it", "Begin"]


async def test_given_a_colleagues_later_commit_with_the_trailer_when_it_is_reverted_then_only_the_promotions_own_is(
    taskdefs: TaskdefActivities, run: Any, deployment: Any, write: WriteImage, revert: RevertImage
) -> None:
    own = await run(taskdefs.write_image, write)
    deployment.push({"notes.txt": "later"}, message_of(write))
    undone = await run(taskdefs.revert_image, revert)
    assert undone.note.startswith(f"{own.commit[:12]} is reverted by")
    assert deployment.file("notes.txt") == "later"
    assert write.image not in deployment.file("taskdef.yaml")


async def test_given_a_revert_that_a_colleague_planted_when_the_image_stands_then_it_is_really_reverted(
    taskdefs: TaskdefActivities, run: Any, deployment: Any, write: WriteImage, revert: RevertImage
) -> None:
    own = await run(taskdefs.write_image, write)
    deployment.push({"notes.txt": "x"}, f"Nothing\n\nSlipway-Reverts: {own.commit}", WORKER)
    undone = await run(taskdefs.revert_image, revert)
    assert undone.state is LedgerState.undone
    assert write.image not in deployment.file("taskdef.yaml")


async def test_given_a_planted_revert_when_the_write_is_retried_then_its_commit_is_found_all_the_same(
    taskdefs: TaskdefActivities, run: Any, deployment: Any, write: WriteImage
) -> None:
    own = await run(taskdefs.write_image, write)
    deployment.push({"notes.txt": "x"}, f"Nothing\n\nSlipway-Reverts: {own.commit}", WORKER)
    assert await run.again(taskdefs.write_image, write) == own


async def test_given_a_reverted_image_that_a_colleague_applied_again_when_it_is_reverted_then_it_goes(
    taskdefs: TaskdefActivities, run: Any, deployment: Any, write: WriteImage, revert: RevertImage
) -> None:
    own = await run(taskdefs.write_image, write)
    await run(taskdefs.revert_image, revert)
    deployment.cherry_pick(own.commit)
    assert write.image in deployment.file("taskdef.yaml")
    await run(taskdefs.revert_image, revert)
    assert write.image not in deployment.file("taskdef.yaml")


async def test_given_a_reverted_image_and_a_newer_one_when_it_is_reverted_again_then_the_newer_one_stays(
    taskdefs: TaskdefActivities, run: Any, deployment: Any, write: WriteImage, revert: RevertImage
) -> None:
    await run(taskdefs.write_image, write)
    await run(taskdefs.revert_image, revert)
    newer = with_image(deployment, write).replace("sha256:a", "sha256:b")
    deployment.push({"taskdef.yaml": newer})
    assert (await run(taskdefs.revert_image, revert)).state is LedgerState.undone
    assert deployment.file("taskdef.yaml") == newer.rstrip()


async def test_given_a_promotion_that_ended_when_it_is_run_again_and_undone_then_its_commit_stays(
    taskdefs: TaskdefActivities, run: Any, deployment: Any, write: WriteImage, revert: RevertImage
) -> None:
    served = await run(taskdefs.write_image, write)
    second = await run(taskdefs.write_image, write.model_copy(update={"run": "run-2"}))
    assert (second.commit, second.changed) == (served.commit, False)
    undone = await run(taskdefs.revert_image, revert.model_copy(update={"run": "run-2"}))
    assert undone.state is LedgerState.kept
    assert undone.note == f"the promotion made no commit; {served.commit[:12]} is of another run, and stays"
    assert write.image in deployment.file("taskdef.yaml")


async def test_given_an_input_that_an_older_release_recorded_when_its_commit_is_reverted_then_it_is_found(
    taskdefs: TaskdefActivities, run: Any, write: WriteImage, revert: RevertImage
) -> None:
    await run(taskdefs.write_image, write.model_copy(update={"run": ""}))
    assert (await run(taskdefs.revert_image, revert.model_copy(update={"run": ""}))).state is LedgerState.undone


async def test_given_a_commit_with_a_run_when_an_input_without_one_reverts_it_then_it_stays(
    taskdefs: TaskdefActivities, run: Any, write: WriteImage, revert: RevertImage
) -> None:
    await run(taskdefs.write_image, write)
    done = await run(taskdefs.revert_image, revert.model_copy(update={"run": ""}))
    assert (done.state, "is of another run" in done.note) == (LedgerState.kept, True)


async def test_given_a_commit_of_an_older_release_when_a_run_reverts_it_then_a_person_is_needed(
    taskdefs: TaskdefActivities, run: Any, write: WriteImage, revert: RevertImage
) -> None:
    await run(taskdefs.write_image, write.model_copy(update={"run": ""}))
    with pytest.raises(NeedsPersonError, match="does not say of which run"):
        await run(taskdefs.revert_image, revert)


# --- Signatures ---


def write_no_key(path: Path) -> Path:
    path.write_text("SECRET-TEXT\n")
    return path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return make_key(tmp_path, "key")


@pytest.fixture
def signing(deployment: Any, tmp_path: Path, key: Path) -> TaskdefActivities:
    author = Author("Release Bot", "bot@example.com", key)
    policies = fixed(policy_of_branches([deployment.app.repository]))
    return TaskdefActivities(Repositories(policies, tmp_path / "signing", author))


async def test_given_a_key_when_the_image_is_written_and_reverted_then_git_verifies_both_commits(
    signing: TaskdefActivities, run: Any, deployment: Any, write: WriteImage, revert: RevertImage, key: Path, tmp_path: Path
) -> None:
    signers = tmp_path / "allowed"
    signers.write_text(f"bot@example.com {key.with_suffix('.pub').read_text()}")
    commit = await run(signing.write_image, write)
    assert deployment.verified(commit.commit, signers) == "bot@example.com: G"
    assert await run.again(signing.write_image, write) == commit
    await run(signing.revert_image, revert)
    assert deployment.verified("main", signers) == "bot@example.com: G"
    assert write.image not in deployment.file("taskdef.yaml")


@pytest.mark.parametrize("forged", ["unsigned", "signed with another key"])
async def test_given_a_key_when_a_commit_under_the_workers_name_lacks_its_signature_then_it_is_neither_taken_nor_reverted(
    signing: TaskdefActivities,
    run: Any,
    deployment: Any,
    write: WriteImage,
    revert: RevertImage,
    tmp_path: Path,
    forged: str,
) -> None:
    other = make_key(tmp_path, "other")
    policies = fixed(policy_of_branches([deployment.app.repository]))
    author = Author("Release Bot", "bot@example.com", None if forged == "unsigned" else other)
    forger = TaskdefActivities(Repositories(policies, tmp_path / "forger", author))
    planted = await run(forger.write_image, write)
    assert not (await run(signing.write_image, write)).changed
    with pytest.raises(NeedsPersonError, match="signed with its key") as refused:
        await run(signing.revert_image, revert)
    assert planted.commit[:12] in refused.value.report.answered
    assert write.image in deployment.file("taskdef.yaml")


@pytest.mark.parametrize("broken", ["no key", "a key with a passphrase"])
async def test_given_a_key_that_cannot_be_used_when_the_image_is_written_then_a_person_is_needed_and_nothing_is_pushed(
    signing: TaskdefActivities, run: Any, deployment: Any, write: WriteImage, key: Path, broken: str
) -> None:
    if broken == "no key":
        write_no_key(key)
    else:
        keygen("-q", "-p", "-P", "", "-N", "secret", "-f", str(key))
    with pytest.raises(NeedsPersonError, match="signing a commit") as refused:
        await run(signing.write_image, write)
    assert "SECRET" not in str(refused.value)
    assert deployment.log() == ["Begin"]

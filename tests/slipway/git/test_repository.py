from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from slipway.errors import NeedsPersonError, RefusedError, SlipwayError, TransientError
from slipway.git.process import without_credentials
from slipway.git.repository import Author, PushConflict, Repository

WHO = Author("Slipway", "slipway@example.com")
TASKDEF = b"family: x\nimage: old\ncpu: 1\n"


class Remote:
    """A bare repository, and a clone that others push from."""

    def __init__(self, folder: Path) -> None:
        self.bare = folder / "remote.git"
        self.clone = folder / "clone"
        self.url = f"file://{self.bare}"
        self.git("init", "-q", "--bare", "-b", "main", str(self.bare), at=folder)
        self.git("clone", "-q", str(self.bare), str(self.clone), at=folder)
        self.git("checkout", "-q", "-b", "main")

    def git(self, *arguments: str, at: Path | None = None) -> str:
        identity = ["-c", "user.name=Ana", "-c", "user.email=ana@example.com"]
        return subprocess.run(
            ["git", *identity, *arguments], cwd=at or self.clone, check=True, capture_output=True, text=True
        ).stdout.strip()

    def push(self, message: str = "Change", **files: bytes) -> str:
        if self.log():
            self.git("pull", "-q", "--rebase", "--autostash", "origin", "main")
        for name, content in files.items():
            path = self.clone / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        self.git("push", "-q", "origin", "main")
        return self.git("rev-parse", "HEAD")

    def log(self) -> list[str]:
        refs = self.git("for-each-ref", at=self.bare)
        return self.git("log", "--format=%s", "main", at=self.bare).splitlines() if refs else []

    def show(self, *what: str) -> str:
        return self.git("show", *what, "main", at=self.bare)


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    remote = Remote(tmp_path)
    remote.push("Begin", app__taskdef=TASKDEF, other=b"other")
    remote.git("config", "uploadpack.allowFilter", "true", at=remote.bare)
    return remote


@pytest.fixture
def repository(remote: Remote, tmp_path: Path) -> Repository:
    return Repository(remote.url, tmp_path / "cache")


async def write(repository: Repository, content: bytes, promotion: str = "p-1") -> str:
    head = await repository.head("main")
    return await repository.commit_file(
        "main", head, {"app/taskdef": content}, "Set the image", {"Slipway-Promotion": promotion}, WHO
    )


async def test_given_a_branch_when_a_file_is_read_at_its_head_then_the_very_bytes_come_back(repository: Repository) -> None:
    assert await repository.read(await repository.head("main"), "app/taskdef") == TASKDEF


async def test_given_a_pinned_commit_when_the_branch_moves_then_the_old_file_is_read(
    repository: Repository, remote: Remote
) -> None:
    pinned = await repository.head("main")
    remote.push(app__taskdef=b"new")
    assert await repository.head("main") != pinned
    assert await repository.read(pinned, "app/taskdef") == TASKDEF


async def test_given_a_file_when_it_is_committed_then_only_it_changes_and_the_trailer_finds_it(
    repository: Repository, remote: Remote
) -> None:
    commit = await write(repository, b"family: x\nimage: new\ncpu: 1\n")
    assert remote.show("--format=", "--name-only") == "app/taskdef"
    assert remote.show("--format=%an <%ae>%n%B", "--no-patch").startswith(
        "Slipway <slipway@example.com>\nSet the image\n\nSlipway-Promotion: p-1"
    )
    assert await repository.find_by_trailer("main", "Slipway-Promotion", "p-1") == commit
    assert await repository.find_by_trailer("main", "Slipway-Promotion", "p-") is None


async def test_given_a_trailer_that_is_quoted_in_a_message_when_it_is_looked_for_then_it_is_not_found(
    repository: Repository, remote: Remote
) -> None:
    remote.push("Talk\n\nSlipway-Promotion: p-9\nis what it writes, and this is no trailer.", other=b"2")
    assert await repository.find_by_trailer("main", "Slipway-Promotion", "p-9") is None


async def test_given_a_branch_that_moved_when_a_commit_is_pushed_then_nothing_changes_and_a_second_try_succeeds(
    repository: Repository, remote: Remote
) -> None:
    head = await repository.head("main")
    remote.push("Race", other=b"2")
    with pytest.raises(PushConflict):
        await repository.commit_file("main", head, {"app/taskdef": b"x"}, "Set", {}, WHO)
    assert remote.log()[0] == "Race"
    await write(repository, b"x")
    assert remote.log()[:2] == ["Set the image", "Race"]


async def test_given_two_writers_when_they_push_at_once_then_one_wins_and_one_is_told(remote: Remote, tmp_path: Path) -> None:
    writers = [Repository(remote.url, tmp_path / f"cache-{number}") for number in range(2)]
    head = await writers[0].head("main")
    pushes = (writer.commit_file("main", head, {f"f{number}": b"x"}, "Set", {}, WHO) for number, writer in enumerate(writers))
    results = await asyncio.gather(*pushes, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["PushConflict", "str"]


async def test_given_many_users_of_one_mirror_when_they_read_at_once_then_each_is_served(repository: Repository) -> None:
    heads = await asyncio.gather(*(repository.head("main") for _ in range(5)))
    assert len(set(heads)) == 1


async def test_given_files_of_several_people_when_it_is_asked_who_changed_one_last_then_the_commit_up_to_there_is_named(
    repository: Repository, remote: Remote
) -> None:
    first = remote.git("rev-parse", "HEAD")
    second = remote.push("Second", app__taskdef=b"2")
    head = remote.push("Third", other=b"3")
    changed = await repository.last_change(head, "app/taskdef")
    assert changed is not None
    assert (changed.commit, changed.author, changed.email) == (second, "Ana", "ana@example.com")
    assert changed.time.timestamp() == int(remote.git("log", "-1", "--format=%ct", second))
    earlier = await repository.last_change(first, "app/taskdef")
    assert earlier is not None
    assert earlier.commit == first


async def test_given_a_path_that_no_commit_has_when_it_is_asked_who_changed_it_then_it_is_nobody(repository: Repository) -> None:
    assert await repository.last_change(await repository.head("main"), "app/*") is None


async def test_given_an_author_with_a_long_name_when_it_is_asked_who_changed_a_file_then_the_name_is_bounded(
    repository: Repository, remote: Remote
) -> None:
    (remote.clone / "other").write_bytes(b"4")
    remote.git("commit", "-q", "-a", "-m", "Long", "--author", f"\x1b[2J{'x' * 5000} <a@b>")
    remote.git("push", "-q", "origin", "main")
    changed = await repository.last_change(await repository.head("main"), "other")
    assert changed is not None
    assert len(changed.author) == 200
    assert changed.author.isprintable()


async def test_given_a_git_that_was_killed_when_its_lock_is_left_then_the_next_user_goes_on(
    repository: Repository, tmp_path: Path
) -> None:
    await repository.head("main")
    mirror = next((tmp_path / "cache").glob("*.git"))
    (mirror / "refs/remotes/origin/main.lock").touch()
    (mirror / "config.lock").touch()
    assert await repository.head("main")


async def test_given_an_executable_file_when_it_is_committed_then_it_stays_executable(
    repository: Repository, remote: Remote
) -> None:
    (remote.clone / "app/taskdef").chmod(0o755)
    remote.push("Mode", other=b"3")
    await write(repository, b"x")
    assert remote.git("ls-tree", "main", "app/taskdef", at=remote.bare).startswith("100755")


async def test_given_a_commit_when_it_is_reverted_then_its_file_is_as_before_and_others_stay(
    repository: Repository, remote: Remote
) -> None:
    commit = await write(repository, b"family: x\nimage: new\ncpu: 1\n")
    remote.push("Later", other=b"later")
    revert = await repository.revert("main", commit, "Revert the image", {"Slipway-Promotion": "p-1"}, WHO)
    assert revert.changed
    assert await repository.read(revert.commit, "app/taskdef") == TASKDEF
    assert await repository.read(revert.commit, "other") == b"later"


async def test_given_other_lines_changed_since_when_a_commit_is_reverted_then_they_stay(
    repository: Repository, remote: Remote
) -> None:
    before = b"image: old\n" + b"# a\n" * 5 + b"cpu: 1\n"
    remote.push("Grow", app__taskdef=before)
    commit = await write(repository, before.replace(b"old", b"new"))
    remote.push("Cpu", app__taskdef=before.replace(b"old", b"new").replace(b"cpu: 1", b"cpu: 2"))
    revert = await repository.revert("main", commit, "Revert", {}, WHO)
    assert await repository.read(revert.commit, "app/taskdef") == before.replace(b"cpu: 1", b"cpu: 2")


async def test_given_a_reverted_commit_when_it_is_reverted_again_then_the_first_revert_is_found(
    repository: Repository, remote: Remote
) -> None:
    commit = await write(repository, b"new")
    first = await repository.revert("main", commit, "Revert", {}, WHO)
    again = await repository.revert("main", commit, "Revert", {}, WHO)
    assert (again.commit, again.changed) == (first.commit, False)
    assert remote.log().count("Revert") == 1


async def test_given_the_same_line_changed_since_when_a_commit_is_reverted_then_a_person_is_needed(
    repository: Repository, remote: Remote
) -> None:
    commit = await write(repository, b"family: x\nimage: new\ncpu: 1\n")
    remote.push("Newer", app__taskdef=b"family: x\nimage: newer\ncpu: 1\n")
    with pytest.raises(NeedsPersonError, match="same lines"):
        await repository.revert("main", commit, "Revert", {}, WHO)


async def test_given_an_added_file_when_its_commit_is_reverted_then_it_is_gone(repository: Repository) -> None:
    head = await repository.head("main")
    commit = await repository.commit_file("main", head, {"app/new.yaml": b"x"}, "Add", {}, WHO)
    revert = await repository.revert("main", commit, "Revert", {}, WHO)
    assert await repository.read_if_there(revert.commit, "app/new.yaml") is None


@pytest.mark.parametrize(
    ("path", "said"),
    [("nowhere", "no such file"), ("app", "a folder"), ("link", "symbolic link"), ("../x", "leaves"), ("large", "bytes")],
)
async def test_given_a_path_that_is_no_plain_file_when_it_is_read_then_it_is_refused(
    repository: Repository, remote: Remote, path: str, said: str
) -> None:
    (remote.clone / "link").symlink_to("other")
    remote.push("More", large=b"x" * 4_000_001)
    with pytest.raises(RefusedError, match=said):
        await repository.read(await repository.head("main"), path)


async def test_given_no_such_branch_when_its_head_is_asked_then_it_is_refused(repository: Repository) -> None:
    with pytest.raises(RefusedError, match="couldn't find remote ref"):
        await repository.head("nowhere")


@pytest.mark.parametrize(
    "branch", ["--upload-pack=x", "a..b", "a b", "HEAD", "x.lock", "/x", "x/", "a@{1}", "", "a//b", ".x", "a/.b"]
)
async def test_given_a_text_that_is_no_branch_when_it_is_used_then_it_is_refused(repository: Repository, branch: str) -> None:
    with pytest.raises(RefusedError, match="using the branch"):
        await repository.head(branch)


async def test_given_a_remote_that_is_not_there_when_it_is_asked_then_a_person_is_needed(tmp_path: Path) -> None:
    with pytest.raises(NeedsPersonError, match="does not appear to be a git repository"):
        await Repository(f"file://{tmp_path}/nothing.git", tmp_path / "cache").head("main")


async def test_given_nobody_listens_when_a_remote_is_asked_then_it_is_transient(tmp_path: Path) -> None:
    with pytest.raises(TransientError):
        await Repository("http://127.0.0.1:1/a/b.git", tmp_path / "cache").head("main")


async def test_given_a_hook_that_declines_when_a_commit_is_pushed_then_a_person_is_needed_with_its_words(
    repository: Repository, remote: Remote
) -> None:
    hook = remote.bare / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho this branch is protected >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(NeedsPersonError, match="this branch is protected") as refused:
        await write(repository, b"x")
    assert not isinstance(refused.value, PushConflict)


async def test_given_a_trailer_with_a_line_end_when_it_is_committed_then_it_is_refused(repository: Repository) -> None:
    head = await repository.head("main")
    with pytest.raises(SlipwayError, match="not one line"):
        await repository.commit_file("main", head, {"x": b""}, "Set", {"Requested-By": "ana\nSlipway-Promotion: other"}, WHO)


async def test_given_a_file_that_is_too_large_when_it_is_read_then_the_fetch_is_stopped(remote: Remote, tmp_path: Path) -> None:
    remote.push(large=os.urandom(30_000_000))
    repository = Repository(remote.url, tmp_path / "cache")
    head = await repository.head("main")
    with pytest.raises(RefusedError, match="more than 4,000,000 bytes"):
        await repository.read(head, "large")
    assert sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*") if file.is_file()) < 10_000_000
    assert await repository.read(head, "app/taskdef") == TASKDEF


async def test_given_a_file_that_packs_well_and_is_too_large_when_it_is_read_then_its_size_is_told(
    remote: Remote, tmp_path: Path
) -> None:
    remote.push(large=b"a" * 5_000_000)
    repository = Repository(remote.url, tmp_path / "cache")
    with pytest.raises(RefusedError, match="it has 5,000,000 bytes"):
        await repository.read(await repository.head("main"), "large")


@pytest.mark.parametrize("url", ["https://u:p@ss@host/x", "https://u:p@s@s@host/x", "https://S3CRET@host/x"])
def test_given_a_password_with_signs_when_a_url_is_shown_then_nothing_of_it_stays(url: str) -> None:
    assert without_credentials(f"fatal: {url} and {url}") == "fatal: https://host/x and https://host/x"

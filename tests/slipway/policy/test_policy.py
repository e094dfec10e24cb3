"""The worker's policy: reading it, finding an app's entry, and holding an app's files against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from demo.remote import Remote
from slipway.api import AppRef
from slipway.app.lint import App, read_app
from slipway.app.problems import FileError
from slipway.cli.app import run
from slipway.decisions.signatures import SIGNERS_LIMIT
from slipway.errors import NeedsPersonError, RefusedError
from slipway.policy import source
from slipway.policy.check import entry_for, require_app, require_branch
from slipway.policy.docs import REFERENCE_FILE, SCHEMA_FILE, policy_reference, policy_schema
from slipway.policy.model import WorkerPolicy, policy_of_branches
from slipway.policy.source import Signers, parse_policy, policies_at

SAMPLE = Path(__file__).parents[3] / "pipecd"
REPOSITORY = "https://github.com/acme/deploy.git"
ML, CI = "222222222222", "111111111111"
ENTRY: dict[str, Any] = {
    "repository": REPOSITORY,
    "folder": "apps/screening",
    "accounts": [ML],
    "regions": ["us-east-1"],
    "imageSources": [f"{CI}.dkr.ecr.us-east-1.amazonaws.com/screening-pipeline-ci"],
    "imageTargets": [f"{ML}.dkr.ecr.us-east-1.amazonaws.com/screening-pipeline"],
    "families": ["screening-*"],
    "clusters": [f"arn:aws:ecs:us-east-1:{ML}:cluster/ml"],
    "pipelines": ["screening-training"],
    "packageGroups": ["screening"],
    "endpoints": ["screening-*"],
    "roles": [f"arn:aws:iam::{ML}:role/screening-*"],
    "allowedSigners": "https://github.com/acme/policy.git@main:allowed_signers",
}


def policy(*entries: dict[str, Any]) -> WorkerPolicy:
    document = {"apiVersion": "slipway.dev/v1", "kind": "WorkerPolicy", "apps": list(entries)}
    return parse_policy(yaml.safe_dump(document).encode(), "policy.yaml")


def ref(folder: str = "apps/screening", branch: str = "main", repository: str = REPOSITORY) -> AppRef:
    return AppRef(repository=repository, branch=branch, folder=folder)


def app(**changes: tuple[str, str]) -> App:
    """The sample, with a text replaced in some of its files: `promotion=(old, new)`."""

    def read(path: str) -> bytes | None:
        file = SAMPLE / path
        old, new = changes.get(path.partition(".")[0], ("", ""))
        text = file.read_text()
        assert old in text
        return (text.replace(old, new) if old else text).encode()

    found = read_app(read)
    assert found.app, found.errors
    return found.app


def test_given_the_sample_and_its_entry_then_all_that_its_files_name_is_allowed() -> None:
    entry = entry_for(policy(ENTRY), ref())
    require_app(entry, ref(), app())


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("promotion", "endpoint: screening-prod", "endpoint: spam-prod", r"targets\[0\]\.endpoint is spam-prod; .*endpoints are"),
        (
            "promotion",
            "{endpoint: screening-prod",
            "{region: eu-west-1, endpoint: screening-prod",
            r"region is eu-west-1; .*regions",
        ),
        ("promotion", "role/screening-endpoint", "role/spam-endpoint", r"executionRoleArn is .*spam-endpoint; .*roles are"),
        ("promotion", f"iam::{ML}", "iam::333333333333", r"executionRoleArn is 333333333333; .*accounts are"),
        ("promotion", "packageGroup: screening", "packageGroup: spam", r"packageGroup is spam; .*packageGroups are"),
        (
            "promotion",
            "{packageGroup: screening}",
            "{packageGroup: 'arn:aws:sagemaker:us-east-1:333333333333:model-package-group/screening'}",
            r"packageGroup is 333333333333; .*accounts are",
        ),
        ("promotion", "name: screening-training", "name: spam-training", r"pipeline\.name is spam-training; .*pipelines are"),
        ("promotion", "screening-pipeline-ci", "spam-ci", r"image\.source is .*spam-ci; .*imageSources are"),
        ("taskdef", "family: screening-pipeline", "family: spam", r"taskdef\.yaml: family is spam; .*families are"),
        ("taskdef", "taskRoleArn: arn:aws:iam::222222222222:role/screening-task", "taskRoleArn: spam", r"taskRoleArn is spam; "),
        ("app", "cluster/ml", "cluster/spam", r"clusterArn is .*cluster/spam; .*clusters are"),
    ],
)
def test_given_a_neighbours_name_in_a_file_then_it_is_refused_with_the_key_and_what_is_allowed(
    file: str, old: str, new: str, told: str
) -> None:
    found = app(**{file: (old, new)})
    with pytest.raises(RefusedError, match=told):
        require_app(entry_for(policy(ENTRY), ref()), ref(), found)


@pytest.mark.parametrize(
    ("floor", "old", "new", "told"),
    [
        ({"quorum": 2}, "", "", r"quorum is 1; the policy's approval\.quorum is 2"),
        ({}, "mode: manual", "mode: auto", r"mode is auto; the policy's approval\.auto is false"),
    ],
)
def test_given_approval_rules_under_the_floor_then_they_are_refused(floor: dict[str, int], old: str, new: str, told: str) -> None:
    found = app(promotion=(old, new))
    with pytest.raises(RefusedError, match=told):
        require_app(entry_for(policy({**ENTRY, "approval": floor}), ref()), ref(), found)


def test_given_more_targets_than_the_policy_allows_then_they_are_refused_with_both_numbers() -> None:
    found = app(promotion=("[{endpoint: screening-prod}]", "[{endpoint: screening-prod}, {endpoint: screening-b}]"))
    with pytest.raises(RefusedError, match=r"rollout\.waves have 2 targets; the policy's limits\.targets is 1"):
        require_app(entry_for(policy({**ENTRY, "limits": {"targets": 1}}), ref()), ref(), found)


@pytest.mark.parametrize("limits", [{"activities": 0}, {"waits": 5_001}, {"targets": 1_001}, {"clients": 1}])
def test_given_limits_out_of_bounds_then_the_policy_is_refused_by_the_key(limits: dict[str, int]) -> None:
    with pytest.raises(FileError, match=rf"limits.*{next(iter(limits))}"):
        policy({**ENTRY, "limits": limits})


@pytest.mark.parametrize(
    "asked",
    [ref("apps/spam"), ref("."), ref("apps/screening/inner"), ref(branch="feature/x"), ref(repository="https://example.com/x")],
)
def test_given_an_app_without_an_entry_then_it_is_refused_with_the_entry_to_add(asked: AppRef) -> None:
    with pytest.raises(RefusedError, match="no entry covers it") as refused:
        entry_for(policy(ENTRY), asked)
    assert f"branch: {asked.branch}, folder: {asked.folder}" in refused.value.report.remedy


def test_given_two_entries_that_cover_an_app_then_the_first_counts() -> None:
    wide = {**ENTRY, "folder": "apps/*", "endpoints": ["*"]}
    assert entry_for(policy(ENTRY, wide), ref()).endpoints == ("screening-*",)
    assert entry_for(policy(ENTRY, wide), ref("apps/spam")).endpoints == ("*",)


def test_given_a_list_of_branches_then_every_folder_of_them_is_covered_and_no_other_branch() -> None:
    team = policy_of_branches(["https://github.com/acme/*@prod"])
    require_app(entry_for(team, ref("any/where", "prod")), ref("any/where", "prod"), app())
    with pytest.raises(RefusedError, match="only prod is on the worker's list") as refused:
        require_branch(team, ref(branch="feature/x"))
    assert "https://github.com/acme/deploy@feature/x to SLIPWAY_REPOSITORIES" in refused.value.report.remedy


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"endpoint": ["x"]},
            r"policy\.yaml:\d+:\d+: error: apps\[0\]\.endpoint: unknown key 'endpoint'; did you mean 'endpoints'",
        ),
        ({"repository": "https://host/%2e%2e/x"}, r"apps\[0\]\.repository: .*`%`"),
        ({"repository": "ftp://x"}, r"apps\[0\]\.repository"),
        ({"accounts": ["1"]}, r"apps\[0\]\.accounts\[0\]"),
        ({"branch": "a..b"}, r"apps\[0\]\.branch"),
        ({"folder": "../x"}, r"folder that leaves"),
        ({"endpoints": []}, r"apps\[0\]\.endpoints"),
        ({"signedBy": [{"key": "cosign.pub"}]}, r"apps\[0\]\.signedBy\[0\]\.key: .*one public key in PEM"),
        ({"signedBy": [{"issuer": "https://x.test", "subjectPattern": ".*"}]}, r"subjectPattern: .*does not match anybody"),
    ],
)
def test_given_a_mistake_in_the_policy_then_its_place_is_told(change: dict[str, Any], told: str) -> None:
    with pytest.raises(FileError, match=told):
        policy({**ENTRY, **change})


def test_given_the_models_then_reference_and_schema_in_the_repository_are_not_stale() -> None:
    assert REFERENCE_FILE.read_text() == policy_reference(), "run `python -m slipway.policy.docs`"
    assert SCHEMA_FILE.read_text() == policy_schema(), "run `python -m slipway.policy.docs`"


def test_given_the_policy_on_the_reference_page_then_it_is_valid_and_allows_the_sample() -> None:
    text = REFERENCE_FILE.read_text().split("```yaml\n")[1].partition("```")[0]
    found = parse_policy(text.encode(), "docs/policy.md")
    jsonschema.validate(yaml.safe_load(text), json.loads(policy_schema()))
    entry = entry_for(found, ref())
    require_app(entry, ref(), app(promotion=("quorum: 1", "quorum: 2")))


async def test_given_a_policy_file_when_it_changes_then_the_new_one_counts_and_a_broken_one_does_not(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    policies = policies_at(str(file), tmp_path / "cache")
    with pytest.raises(NeedsPersonError, match="No such file"):
        await policies()
    file.write_bytes(text_of(ENTRY))
    first = await policies()
    file.write_bytes(text_of({**ENTRY, "endpoints": ["other"]}))
    second = await policies()
    file.write_text("apps: []")
    kept = await policies()
    file.unlink()
    assert (first.apps[0].endpoints, second.apps[0].endpoints) == (("screening-*",), ("other",))
    assert await policies() == kept == second


async def test_given_a_policy_in_a_repository_when_its_server_is_gone_then_the_last_good_copy_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = Remote(tmp_path / "policy.git")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "apps.yaml").write_bytes(text_of(ENTRY))
    remote.create({"policy": tmp_path / "files"})
    monkeypatch.setattr(source, "REFRESH", 0.0)
    policies = policies_at(f"{remote.url}@main:policy/apps.yaml", tmp_path / "cache")
    assert (await policies()).apps[0].endpoints == ("screening-*",)
    remote.commit_files({"policy/apps.yaml": text_of({**ENTRY, "endpoints": ["other"]}).decode()}, "Allow less")
    narrowed = await policies()
    remote.path.rename(tmp_path / "gone")
    assert narrowed.apps[0].endpoints == ("other",)
    assert await policies() == narrowed


async def test_given_a_policy_with_the_entries_of_a_whole_company_then_it_counts(tmp_path: Path) -> None:
    entries = [{**ENTRY, "folder": f"apps/{number}"} for number in range(500)]
    file = tmp_path / "policy.yaml"
    file.write_text(json.dumps({"apiVersion": "slipway.dev/v1", "kind": "WorkerPolicy", "apps": entries}))
    assert file.stat().st_size > 300_000
    assert len((await policies_at(str(file), tmp_path)()).apps) == 500


@pytest.mark.parametrize("place", ["https://host/x.git@a..b:policy.yaml", "https://host/x.git@main:../policy.yaml"])
def test_given_a_place_that_no_repository_can_have_then_it_is_refused(place: str, tmp_path: Path) -> None:
    with pytest.raises(RefusedError):
        policies_at(place, tmp_path)


def text_of(entry: dict[str, Any]) -> bytes:
    return yaml.safe_dump({"apiVersion": "slipway.dev/v1", "kind": "WorkerPolicy", "apps": [entry]}).encode()


def test_given_a_policy_when_it_is_linted_then_the_exit_code_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "policy.yaml"
    file.write_bytes(text_of(ENTRY))
    assert run(["policy", "lint", str(file)]) == 0
    assert "0 errors, 1 app" in capsys.readouterr().out
    file.write_bytes(text_of({**ENTRY, "typo": 1}))
    assert run(["policy", "lint", str(file), "--json"]) == 2
    assert json.loads(capsys.readouterr().out.splitlines()[0])["path"] == "apps[0].typo"


def test_given_no_word_on_identity_then_decisions_have_to_be_signed() -> None:
    assert policy(ENTRY).apps[0].approval.identity == "signed"


def test_given_a_list_of_branches_then_names_are_claimed() -> None:
    assert [entry.approval.identity for entry in policy_of_branches([REPOSITORY]).apps] == ["claimed"]


def test_given_signed_decisions_without_keys_then_the_line_of_the_entry_says_what_to_add() -> None:
    with pytest.raises(FileError) as refused:
        policy(without_keys(), without_keys(approval={"identity": "claimed"}))
    [problem] = refused.value.problems
    assert (problem.path, problem.line) == ("apps[0]", 3)
    assert "add allowedSigners" in problem.message
    assert "approval: {identity: claimed}" in problem.message


def without_keys(**changes: Any) -> dict[str, Any]:
    return {**{key: value for key, value in ENTRY.items() if key != "allowedSigners"}, **changes}


@pytest.mark.parametrize(
    ("folder", "place", "own"),
    [
        ("apps/screening", f"{REPOSITORY}@main:apps/screening/allowed_signers", True),
        ("apps/screening", "git@github.com:acme/deploy@main:apps/screening/allowed_signers", True),
        ("apps/screening", "https://GITHUB.com/acme/deploy@other:apps/screening/keys/allowed_signers", True),
        ("apps/*", f"{REPOSITORY}@main:apps/other/allowed_signers", True),
        ("**", f"{REPOSITORY}@main:allowed_signers", True),
        (".", f"{REPOSITORY}@main:keys/allowed_signers", True),
        ("apps/screening", f"{REPOSITORY}@main:keys/allowed_signers", False),
        ("apps/screening", f"{REPOSITORY}@main:apps/screening-keys/allowed_signers", False),
        ("apps/screening", "/etc/slipway/allowed_signers", False),
    ],
)
def test_given_keys_in_the_apps_own_folder_then_the_policy_is_refused(folder: str, place: str, own: bool) -> None:
    entry = {**ENTRY, "folder": folder, "allowedSigners": place}
    if not own:
        assert policy(entry).apps[0].allowed_signers == place
        return
    with pytest.raises(FileError, match="has allowedSigners in the app's own folder"):
        policy(entry)


def test_given_keys_in_a_neighbours_folder_then_the_policy_is_refused() -> None:
    neighbour = {**ENTRY, "folder": "apps/spam"}
    with pytest.raises(FileError, match=r"in the folder of apps\[1\], where"):
        policy({**ENTRY, "allowedSigners": f"{REPOSITORY}@main:apps/spam/allowed_signers"}, neighbour)


@pytest.mark.parametrize("place", ["https://host/x.git@a..b:keys", "https://host/x.git@main:../keys", "git@host:keys"])
def test_given_a_place_of_keys_that_no_repository_can_have_then_the_policy_is_refused(place: str) -> None:
    with pytest.raises(FileError, match=r"apps\[0\]\.allowedSigners"):
        policy({**ENTRY, "allowedSigners": place})


async def test_given_keys_in_a_file_when_they_change_then_the_new_ones_count_and_a_missing_file_keeps_them(
    tmp_path: Path,
) -> None:
    file, signers = tmp_path / "allowed_signers", Signers(tmp_path / "cache")
    with pytest.raises(NeedsPersonError, match="set allowedSigners in the policy to a file that can be read"):
        await signers.at(str(file))
    file.write_text("ana ssh-ed25519 AAAA\n")
    first = await signers.at(str(file))
    file.write_text("bob ssh-ed25519 AAAA\n")
    second = await signers.at(str(file))
    file.write_bytes(b"\xff")
    assert (first, second, await signers.at(str(file))) == ("ana ssh-ed25519 AAAA\n", "bob ssh-ed25519 AAAA\n", second)


async def test_given_keys_in_a_repository_when_its_server_is_gone_then_the_last_ones_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = Remote(tmp_path / "policy.git")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "allowed_signers").write_text("ana ssh-ed25519 AAAA\n")
    remote.create({"keys": tmp_path / "files"})
    monkeypatch.setattr(source, "REFRESH", 0.0)
    signers, place = Signers(tmp_path / "cache"), f"{remote.url}@main:keys/allowed_signers"
    assert await signers.at(place) == "ana ssh-ed25519 AAAA\n"
    remote.commit_files({"keys/allowed_signers": ""}, "Remove ana")
    removed = await signers.at(place)
    remote.path.rename(tmp_path / "gone")
    assert (removed, await signers.at(place)) == ("", "")


@pytest.mark.parametrize("path", ["missing", "keys/large"])
async def test_given_keys_that_cannot_be_used_when_they_were_never_read_then_a_person_is_needed(
    tmp_path: Path, path: str
) -> None:
    remote = Remote(tmp_path / "policy.git")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "large").write_text("#" * (SIGNERS_LIMIT + 1))
    remote.create({"keys": tmp_path / "files"})
    with pytest.raises(NeedsPersonError):
        await Signers(tmp_path / "cache").at(f"{remote.url}@main:{path}")

from __future__ import annotations

import time

import pytest

from slipway.errors import RefusedError
from slipway.git.process import without_credentials
from slipway.git.rules import AllowedBranch, app_file, check_branch, normalise_url, split_branch, url_for_git


def allows(entry: str, url: str, branch: str = "main") -> bool:
    """Whether an entry of the worker's list allows a branch of a repository."""
    return AllowedBranch.of(*split_branch(entry)).covers(normalise_url(url), branch)


@pytest.mark.parametrize(
    "url",
    [
        "https://GitHub.com/acme/app.git",
        "https://github.com/acme/app/",
        "https://github.com/acme//app",
    ],
)
def test_given_spellings_of_one_repository_when_they_are_checked_then_all_are_allowed(url: str) -> None:
    assert allows("https://github.com/acme/app", url)


@pytest.mark.parametrize(
    ("written", "for_git"),
    [
        ("https://GitHub.com/acme//app.git/", "https://github.com/acme/app.git"),
        ("https://github.com/acme/./app", "https://github.com/acme/app"),
        ("git@GitHub.com:acme//app.git", "git@github.com:acme/app.git"),
        ("/srv/git/app.git", "file:///srv/git/app.git"),
    ],
)
def test_given_a_spelling_of_a_repository_then_git_is_handed_its_normal_form(written: str, for_git: str) -> None:
    assert url_for_git(written) == for_git


@pytest.mark.parametrize(
    ("entry", "url", "branch"),
    [
        ("https://github.com/acme/app.git", "https://github.com/acme/app.git", "main"),
        ("https://github.com/acme/app.git@release/1", "https://github.com/acme/app.git", "release/1"),
        ("git@github.com:acme/app.git", "git@github.com:acme/app.git", "main"),
        ("git@github.com:acme/app.git@prod", "git@github.com:acme/app.git", "prod"),
        ("ssh://git@github.com/acme/*@prod", "ssh://git@github.com/acme/*", "prod"),
        ("/srv/git/app.git@prod@2", "/srv/git/app.git", "prod@2"),
    ],
)
def test_given_an_entry_of_the_list_then_its_branch_follows_the_path(entry: str, url: str, branch: str) -> None:
    assert split_branch(entry) == (url, branch)


def test_given_an_entry_without_a_branch_when_another_is_asked_for_then_only_main_is_allowed() -> None:
    assert allows("https://github.com/acme/app", "https://github.com/acme/app")
    assert not allows("https://github.com/acme/app", "https://github.com/acme/app", "feature/x")


def test_given_the_scp_form_when_it_is_normalised_then_it_is_the_ssh_url() -> None:
    assert normalise_url("git@github.com:acme/app.git") == normalise_url("ssh://git@github.com/acme/app")


def test_given_a_prefix_on_the_list_when_repositories_are_checked_then_only_those_below_are_allowed() -> None:
    assert allows("https://github.com/acme/*", "https://github.com/acme/app")
    assert not allows("https://github.com/acme/*", "https://github.com/acme-evil/app")


@pytest.mark.parametrize("path", ["%2e%2e/evil.git", "x/%2E%2E/%2e%2e/evil", "app%00", "%61pp"])
@pytest.mark.parametrize("server", ["file:///srv/acme", "ssh://git@host/acme", "https://host/acme", "git@host:acme"])
def test_given_a_percent_sign_in_a_path_when_it_is_checked_then_it_is_refused(server: str, path: str) -> None:
    with pytest.raises(RefusedError, match="`%`"):
        normalise_url(f"{server}/{path}")


@pytest.mark.parametrize(
    "url",
    [
        "--upload-pack=touch x",
        "ext::sh -c true",
        "fd::7",
        "",
        "relative/path",
        "../up",
        "ftp://host/x",
        "https:///x",
        "https://github.com/acme/../other/app",
        "ssh://-oProxyCommand=x/y",
        "https://host/x?y",
        "https://host/a b",
        "https://host:x/y",
    ],
)
def test_given_a_text_that_git_would_take_for_more_when_it_is_checked_then_it_is_refused(url: str) -> None:
    with pytest.raises(RefusedError):
        normalise_url(url)


def test_given_a_password_in_a_url_when_it_is_refused_then_the_error_does_not_tell_it() -> None:
    with pytest.raises(RefusedError, match="credentials") as refused:
        normalise_url("https://ana:s3cret@github.com/acme/app")
    assert "s3cret" not in str(refused.value)


def test_given_git_words_with_credentials_when_they_are_shown_then_these_are_cut() -> None:
    assert without_credentials("fatal: https://x:tok@host/a and ssh://y@h/b") == "fatal: https://host/a and ssh://h/b"


def test_given_a_long_answer_of_git_when_its_credentials_are_cut_then_that_takes_no_time() -> None:
    before = time.process_time()
    assert without_credentials("a" * 500_000) == "a" * 500_000
    assert without_credentials("://" * 200_000) == "://" * 200_000
    assert time.process_time() - before < 2


@pytest.mark.parametrize("branch", ["main", "release/1.2", "feature/a-b_c", "ä"])
def test_given_a_branch_that_git_allows_when_it_is_checked_then_it_passes(branch: str) -> None:
    assert check_branch(branch) == branch


@pytest.mark.parametrize(
    ("folder", "file", "path"), [(".", "a", "a"), ("", "", ""), ("apps/x/", "b/c", "apps/x/b/c"), ("./a", "./b", "a/b")]
)
def test_given_a_folder_and_a_file_when_they_are_joined_then_the_path_is_normal(folder: str, file: str, path: str) -> None:
    assert app_file(folder, file) == path


@pytest.mark.parametrize(
    ("folder", "file"), [("/a", "b"), ("a", "/b"), ("..", "b"), ("a", "../b"), (".git", "config"), ("a", ".GIT/x"), ("a", "b\\c")]
)
def test_given_a_path_out_of_the_app_when_it_is_joined_then_it_is_refused(folder: str, file: str) -> None:
    with pytest.raises(RefusedError):
        app_file(folder, file)

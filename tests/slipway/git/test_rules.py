from __future__ import annotations

import pytest

from slipway.errors import RefusedError
from slipway.git.process import without_credentials
from slipway.git.rules import RepositoryPolicy, app_file, check_branch, normalise_url


@pytest.mark.parametrize(
    "url",
    [
        "https://GitHub.com/acme/app.git",
        "https://github.com/acme/app/",
        "https://github.com/acme//app",
    ],
)
def test_given_spellings_of_one_repository_when_they_are_checked_then_all_are_allowed(url: str) -> None:
    assert RepositoryPolicy(["https://github.com/acme/app"]).check(url) == url


def test_given_the_scp_form_when_it_is_normalised_then_it_is_the_ssh_url() -> None:
    assert normalise_url("git@github.com:acme/app.git") == normalise_url("ssh://git@github.com/acme/app")


def test_given_a_prefix_on_the_list_when_repositories_are_checked_then_only_those_below_are_allowed() -> None:
    policy = RepositoryPolicy(["https://github.com/acme/*"])
    assert policy.check("https://github.com/acme/app")
    with pytest.raises(RefusedError, match="not on the worker's list"):
        policy.check("https://github.com/acme-evil/app")


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
        RepositoryPolicy(["https://github.com/*"]).check(url)


def test_given_a_password_in_a_url_when_it_is_refused_then_the_error_does_not_tell_it() -> None:
    with pytest.raises(RefusedError, match="credentials") as refused:
        normalise_url("https://ana:s3cret@github.com/acme/app")
    assert "s3cret" not in str(refused.value)


def test_given_git_words_with_credentials_when_they_are_shown_then_these_are_cut() -> None:
    assert without_credentials("fatal: https://x:tok@host/a and ssh://y@h/b") == "fatal: https://host/a and ssh://h/b"


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

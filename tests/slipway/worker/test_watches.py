"""Which branches a worker watches by itself."""

from __future__ import annotations

from slipway.policy.model import policy_of_branches
from slipway.worker.watches import branches_of


def test_given_a_policy_then_each_branch_of_a_repository_that_it_names_is_watched_and_of_others_none() -> None:
    policy = policy_of_branches(["git@example.com:acme/apps.git@main", "https://example.com/acme/other@prod", "file:///below/*"])
    assert [(each.repository, each.branch) for each in branches_of(policy)] == [
        ("git@example.com:acme/apps.git", "main"),
        ("https://example.com/acme/other", "prod"),
    ]


def test_given_two_spellings_of_a_repository_then_they_are_one_watch() -> None:
    one, other = branches_of(policy_of_branches(["git@example.com:acme/apps.git", "ssh://git@EXAMPLE.com/acme/apps"]))
    assert one.watch_id == other.watch_id
    assert one.watch_id.startswith("watch-apps-main-")

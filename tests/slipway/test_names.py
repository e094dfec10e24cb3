"""Names that a later release must make again, as they are made today."""

from __future__ import annotations

import pytest

from slipway.api import AppRef, PromotionRequest, follower_queue, rollout_queue
from slipway.names import hashed_name, short_hash

DIGEST = "sha256:" + "4" * 64


def asked(repository: str, folder: str = ".", **more: object) -> PromotionRequest:
    image = f"111111111111.dkr.ecr.us-east-1.amazonaws.com/ci@{DIGEST}"
    return PromotionRequest.model_validate({"app": AppRef(repository=repository, folder=folder), "image": image, **more})


def test_given_an_app_and_a_digest_when_a_promotion_is_named_then_its_id_is_that_of_every_release() -> None:
    assert asked("https://github.com/acme/deploy.git", "apps/abalone").promotion_id == "abalone-1cdfc99840b8"
    assert asked("https://github.com/acme/deploy.git", "apps/abalone", attempt=2).promotion_id == "abalone-1cdfc99840b8-2"
    assert asked("https://github.com/acme/deploy.git").promotion_id == "deploy-a50863d113a2"


@pytest.mark.parametrize(
    "repository",
    [
        "https://github.com/acme/deploy",
        "https://GitHub.com/acme/deploy.git",
        "https://github.com/acme/deploy.git/",
        "https://github.com/acme//deploy.git",
    ],
)
@pytest.mark.parametrize("folder", ["apps/abalone", "apps/abalone/", "./apps/abalone"])
def test_given_another_spelling_of_one_app_when_a_promotion_is_named_then_it_is_the_same(repository: str, folder: str) -> None:
    assert asked(repository, folder).promotion_id == asked("https://github.com/acme/deploy.git", "apps/abalone").promotion_id


def test_given_another_branch_or_digest_when_a_promotion_is_named_then_it_is_another() -> None:
    one = asked("https://github.com/acme/deploy.git")
    branch = one.model_copy(update={"app": AppRef(repository="https://github.com/acme/deploy.git", branch="next")})
    digest = one.model_copy(update={"image": one.image.replace("4" * 64, "5" * 64)})
    assert len({each.promotion_id for each in (one, branch, digest)}) == 3


def test_given_a_versioned_tuple_when_it_is_hashed_then_the_hash_is_that_of_every_release() -> None:
    assert short_hash("promotion", 1, "a", None, 2) == "23ae0461c617"
    assert hashed_name("screening prod", "model", 1, "a") == "screening-prod-bb6c16af57"
    assert short_hash("promotion", 2, "a", None, 2) != short_hash("promotion", 1, "a", None, 2)


def test_given_a_task_queue_when_the_others_are_named_then_rollouts_and_promotions_share_the_followers() -> None:
    assert (rollout_queue("slipway"), follower_queue("slipway")) == ("slipway-rollouts", "slipway-followers")
    assert follower_queue(rollout_queue("slipway")) == "slipway-followers"

"""Tags by `/v2/`, and passwords that have had their time."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import httpx
import pytest
from slipway_sandbox.testing import SandboxProcess, build_image, push_image


@pytest.fixture
def registry(sandbox: SandboxProcess, account: str) -> Iterator[httpx.Client]:
    """The account's registry, with a password of its own."""
    token = sandbox.client("ecr", account).get_authorization_token()["authorizationData"][0]["authorizationToken"]
    with httpx.Client(base_url=f"{sandbox.endpoint}/v2/", headers={"Authorization": f"Basic {token}"}, trust_env=False) as client:
        yield client


def test_given_some_tags_when_they_are_listed_in_pages_then_each_page_links_to_the_next(
    sandbox: SandboxProcess, account: str, registry: httpx.Client
) -> None:
    for tag in ("b", "c", "a"):
        push_image(sandbox, account, "app", tag, build_image([]))

    first = registry.get("app/tags/list", params={"n": 2})
    link = first.headers["Link"]
    second = registry.get(link.removeprefix("<").partition(">")[0].removeprefix("/v2/"))

    assert first.json() == {"name": "app", "tags": ["a", "b"]}
    assert link.endswith('; rel="next"')
    assert (second.json()["tags"], "Link" in second.headers) == (["c"], False)
    assert registry.get("app/tags/list", params={"n": 0}).json()["tags"] == []
    assert registry.get("app/tags/list", params={"last": "b"}).json()["tags"] == ["c"]


def test_given_no_such_repository_when_its_tags_are_listed_then_its_name_is_not_known(registry: httpx.Client) -> None:
    answer = registry.get("none/tags/list")

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "NAME_UNKNOWN")


def test_given_a_password_when_all_expire_then_it_is_denied_and_a_new_one_lets_in(
    sandbox: SandboxProcess, account: str, registry: httpx.Client
) -> None:
    assert registry.get("").status_code == 200
    sandbox.control("POST", "ecr/expire-tokens", {})

    denied = registry.get("")

    assert (denied.status_code, denied.json()["errors"][0]["code"]) == (403, "DENIED")
    assert "expired" in denied.json()["errors"][0]["message"]
    push_image(sandbox, account, "app", "v1", build_image([]))


@pytest.mark.parametrize("password", ["guess", "Z3Vlc3M=", "ü"], ids=["no base64", "none of ours", "no ASCII"])
def test_given_a_password_that_never_was_one_when_it_is_shown_then_the_request_is_bad(
    sandbox: SandboxProcess, password: str
) -> None:
    token = base64.b64encode(f"AWS:{password}".encode()).decode()

    answer = httpx.get(f"{sandbox.endpoint}/v2/", headers={"Authorization": f"Basic {token}"}, trust_env=False)

    assert answer.status_code == 400

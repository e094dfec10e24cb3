from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import NeedsPersonError, TransientError
from slipway.oci import credentials
from slipway.oci.credentials import Credentials, find_credentials

SECRET = "a-secret-that-nobody-sees"


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of Docker's config, which is on the PATH too."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def configured(docker: Path, **config: Any) -> None:
    (docker / "config.json").write_text(json.dumps(config))


def helper(docker: Path, name: str, *lines: str) -> None:
    """A credential helper that keeps what it was asked."""
    file = docker / f"docker-credential-{name}"
    file.write_text("\n".join(["#!/bin/sh", '[ "$*" = get ] || exit 9', f"cat > {docker}/asked-{name}", *lines]))
    file.chmod(0o755)


def answer(username: str, secret: str) -> str:
    return f"echo '{json.dumps({'ServerURL': 'x', 'Username': username, 'Secret': secret})}'"


def basic(username: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


async def test_given_no_config_when_a_login_is_looked_for_then_there_is_none(docker: Path) -> None:
    assert not (docker / "config.json").exists()
    assert await find_credentials("ghcr.io") is None


@pytest.mark.parametrize("name", ["ghcr.io", "https://ghcr.io", "https://ghcr.io/v1/"])
async def test_given_a_login_in_the_file_when_it_is_looked_for_then_it_is_found_by_its_host(docker: Path, name: str) -> None:
    configured(docker, auths={name: basic("ci", "with:colon"), "other.example": basic("no", "no")})
    assert await find_credentials("ghcr.io") == Credentials("ci", "with:colon")


async def test_given_dockers_name_of_docker_hub_when_its_login_is_looked_for_then_it_is_found(docker: Path) -> None:
    configured(docker, auths={"https://index.docker.io/v1/": basic("ci", SECRET)})
    assert await find_credentials("docker.io") == Credentials("ci", SECRET)


async def test_given_an_identity_token_when_a_login_is_looked_for_then_it_comes_in_place_of_a_password(docker: Path) -> None:
    configured(docker, auths={"ghcr.io": {"identitytoken": SECRET}})
    assert await find_credentials("ghcr.io") == Credentials(identity_token=SECRET)


async def test_given_a_helper_of_the_registry_when_a_login_is_looked_for_then_it_goes_before_the_store_and_the_file(
    docker: Path,
) -> None:
    helper(docker, "one", answer("ci", SECRET))
    helper(docker, "all", answer("no", "no"))
    configured(docker, credHelpers={"ghcr.io": "one"}, credsStore="all", auths={"ghcr.io": basic("no", "no")})
    assert await find_credentials("ghcr.io") == Credentials("ci", SECRET)
    assert (docker / "asked-one").read_text() == "ghcr.io\n"
    assert not (docker / "asked-all").exists()


async def test_given_a_store_when_the_login_of_docker_hub_is_looked_for_then_it_is_asked_by_dockers_name(docker: Path) -> None:
    helper(docker, "all", answer("<token>", SECRET))
    configured(docker, credsStore="all")
    assert await find_credentials("docker.io") == Credentials(identity_token=SECRET)
    assert (docker / "asked-all").read_text() == "https://index.docker.io/v1/\n"


async def test_given_a_helper_that_has_none_when_a_login_is_looked_for_then_there_is_none(docker: Path) -> None:
    helper(docker, "all", "echo 'credentials not found in native keychain'", "exit 1")
    configured(docker, credsStore="all")
    assert await find_credentials("ghcr.io") is None


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((f"echo {SECRET}; echo {SECRET} >&2", "exit 3"), "exit code 3"),
        ((f'echo \'{{"Secret": "{SECRET}"}}\'',), "no Username and Secret"),
        ((f"echo '{SECRET}'",), "no Username and Secret"),
        ((f"yes {SECRET}",), "more than 65,536 bytes"),
    ],
)
async def test_given_a_helper_that_fails_when_it_is_asked_then_a_person_is_told_and_no_secret_is(
    docker: Path, lines: tuple[str, ...], said: str
) -> None:
    helper(docker, "all", *lines)
    configured(docker, credsStore="all")
    with pytest.raises(NeedsPersonError, match=said) as raised:
        await find_credentials("ghcr.io")
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None


async def test_given_a_helper_without_an_end_when_its_time_is_over_then_it_is_killed_and_tried_again(
    docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "HELPED_WITHIN", 2.0)
    helper(docker, "all", f"echo $$ > {docker}/pid", "exec sleep 600")
    configured(docker, credsStore="all")
    with pytest.raises(TransientError, match="had not ended"):
        await find_credentials("ghcr.io")
    with pytest.raises(ProcessLookupError):
        os.kill(int((docker / "pid").read_text()), 0)


@pytest.mark.parametrize("name", ["../evil", "one; true", "", "a/b"])
async def test_given_a_helper_whose_name_is_a_path_when_it_is_asked_then_it_is_refused(docker: Path, name: str) -> None:
    configured(docker, credHelpers={"ghcr.io": name or "-"})
    with pytest.raises(NeedsPersonError, match="a helper's name"):
        await find_credentials("ghcr.io")


async def test_given_a_helper_that_is_not_installed_when_it_is_asked_then_a_person_is_told(docker: Path) -> None:
    configured(docker, credsStore="desktop")
    with pytest.raises(NeedsPersonError, match=r"docker-credential-desktop .*no such program"):
        await find_credentials("ghcr.io")


@pytest.mark.parametrize("content", ["{", "[]", '{"auths": {"ghcr.io": {"auth": "%%"}}}'])
async def test_given_a_config_that_cannot_be_read_when_a_login_is_looked_for_then_a_person_is_told(
    docker: Path, content: str
) -> None:
    (docker / "config.json").write_text(content)
    with pytest.raises(NeedsPersonError, match=r"config\.json"):
        await find_credentials("ghcr.io")


def test_given_a_login_when_it_is_shown_then_its_secret_is_not() -> None:
    assert SECRET not in repr(Credentials("ci", SECRET, SECRET))

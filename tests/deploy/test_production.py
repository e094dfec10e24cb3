"""deploy/temporal: what the production example promises."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "temporal"
TEXT = (FOLDER / "production.yml").read_text()
PRODUCTION: dict[str, Any] = yaml.safe_load(TEXT)
SERVER: dict[str, Any] = yaml.safe_load((FOLDER / "server.yaml").read_text())
README = (FOLDER / "README.md").read_text()
START: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def test_given_what_has_to_be_filled_in_then_the_readme_names_each_secret_and_each_setting_without_a_default() -> None:
    for secret in PRODUCTION["secrets"]:
        assert f"`secrets/{secret}`" in README
    for setting in re.findall(r"\$\{(\w+):-\}", TEXT):
        assert setting in README


def test_given_no_password_or_token_then_none_is_in_the_environment_of_a_container() -> None:
    for service in PRODUCTION["services"].values():
        for name, value in service["environment"].items():
            assert not re.search(r"PASSWORD|PWD|SECRET|API_KEY", name) or str(value).startswith("/run/secrets/")


def test_given_the_server_then_only_the_frontend_is_reached_and_wants_tls_and_a_token() -> None:
    # The internal frontend takes any caller for the server itself.
    bound = {name: service["rpc"]["bindOnIP"] for name, service in SERVER["services"].items()}
    assert bound.pop("frontend") == "0.0.0.0"  # noqa: S104 -- in its container
    assert set(bound.values()) == {"127.0.0.1"}
    assert SERVER["global"]["tls"]["frontend"]["server"]["certFile"] == "/run/secrets/frontend.pem"
    assert SERVER["global"]["authorization"]["authorizer"] == "slipway"
    assert [service["ports"] for service in PRODUCTION["services"].values() if "ports" in service] == [
        ["7233:7233"],
        ["8443:8080"],
    ]


def test_given_the_two_compose_files_then_they_run_the_same_versions_and_bound_each_container() -> None:
    for name, service in PRODUCTION["services"].items():
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        if service["restart"] == "unless-stopped":
            assert service["cpus"]
            assert service["mem_limit"]
        if "build" not in service:
            assert service["image"] == START[name]["image"]
    [server] = re.findall(r"^FROM temporalio/server:(\S+)$", (FOLDER / "authorizer" / "Dockerfile").read_text(), re.MULTILINE)
    assert f"temporalio/server:{server}" == START["temporal"]["image"]
    assert f"go.temporal.io/server v{server}\n" in (FOLDER / "authorizer" / "go.mod").read_text()

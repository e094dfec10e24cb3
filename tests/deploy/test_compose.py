"""docker-compose.yml: what it promises about settings and about the worker's container."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, Any] = yaml.safe_load(TEXT)["services"]
EXAMPLE = (ROOT / ".env.example").read_text()
NAMESPACE = "default"
"""Temporal's own default; the command has no other (docs/cli.md)."""


def test_given_the_settings_of_compose_then_the_example_explains_each_and_none_is_required_to_list_containers() -> None:
    used = set(re.findall(r"\$\{(\w+)", TEXT)) | {
        name for name, value in SERVICES["worker"]["environment"].items() if value is None
    }
    assert used == set(re.findall(r"^#?(\w+)=", EXAMPLE, re.MULTILINE))
    assert not re.findall(r"\$\{\w+:?\?", TEXT), "then `docker compose ps` fails without it"


def test_given_compose_command_and_action_then_they_use_one_namespace() -> None:
    named = re.findall(r"\$\{TEMPORAL_NAMESPACE:-(\w+)\}", TEXT) + re.findall(
        r"^TEMPORAL_NAMESPACE=(\w+)$", EXAMPLE, re.MULTILINE
    )
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    assert {*named, action["inputs"]["temporal-namespace"]["default"]} == {NAMESPACE}
    assert f"`TEMPORAL_NAMESPACE` (`{NAMESPACE}`)" in (ROOT / "docs" / "cli.md").read_text()


def test_given_the_worker_then_it_can_do_little_beyond_its_work_and_several_of_it_can_run() -> None:
    for name in ("worker", "setup"):
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert "ports" not in SERVICES["worker"], "a second worker could not open them"
    assert "container_name" not in SERVICES["worker"]


def test_given_each_service_then_its_log_is_bounded_and_what_stays_up_has_limits() -> None:
    for service in SERVICES.values():
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}
        if service.get("restart") == "unless-stopped":
            assert service["cpus"]
            assert service["mem_limit"]

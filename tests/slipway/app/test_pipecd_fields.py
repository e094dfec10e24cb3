"""The table of docs/pipecd.md against the code: what it says of a key is what happens to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from slipway.app.pipecd import (
    Attachment,
    AwsvpcConfiguration,
    CapacityProvider,
    EcsApp,
    Encryption,
    EventHandler,
    PlacementConstraint,
    PlacementStrategy,
    Replacement,
    Tag,
    app_of,
)
from slipway.app.pipecd_fields import FIELDS, NONE, ONLY_V1, Handling, table, warnings_of
from slipway.app.problems import Problem
from slipway.app.yaml_source import load_document

PAGE = Path(__file__).parents[3] / "docs" / "pipecd.md"
MODELS: dict[str, type[BaseModel]] = {
    "input.awsvpcConfiguration.": AwsvpcConfiguration,
    "input.": EcsApp,
    "attachment.": Attachment,
    "encryption.": Encryption,
    "eventWatcher[].handler.config.replacements[].": Replacement,
    "eventWatcher[].handler.config.": EventHandler,
}
MINIMAL = "apiVersion: pipecd.dev/v1beta1\nkind: ECSApp\nspec:\n  input:\n    clusterArn: ml\n"
OF_THE_MATCHER = {"event": "eventWatcher[].matcher.name", "labels": "eventWatcher[].matcher.labels"}
FULL = EcsApp(
    cluster_arn="ml",
    awsvpc_configuration=AwsvpcConfiguration(subnets=("subnet-1",), security_groups=("sg-1",), assign_public_ip="ENABLED"),
    platform_version="1.4.0",
    placement_strategy=(PlacementStrategy(type="random"),),
    placement_constraints=(PlacementConstraint(type="distinctInstance"),),
    enable_execute_command=True,
    propagate_tags="TASK_DEFINITION",
    tags=(Tag(key="team", value="ml"),),
)
OF_RUN_TASK = {
    "input.clusterArn": "cluster",
    "input.tags": "tags",
    "input.awsvpcConfiguration.subnets": "subnets",
    "input.awsvpcConfiguration.assignPublicIp": "assignPublicIp",
    "input.awsvpcConfiguration.securityGroups": "securityGroups",
}
"""What RunTask calls them. `run_task` itself adds the cluster and the tags; tests/activities/test_tasks.py sees them arrive."""


def known() -> Iterator[str]:
    """The keys that the models read."""
    for prefix, model in MODELS.items():
        for name, field in model.model_fields.items():
            key = prefix + (field.alias or name)
            yield OF_THE_MATCHER.get(name, key) if model is EventHandler else key


def test_given_the_table_when_the_page_is_compared_then_it_is_not_stale() -> None:
    assert table() in PAGE.read_text(), "put what slipway.app.pipecd_fields.table() gives into docs/pipecd.md"


def test_given_the_models_when_the_table_is_compared_then_each_key_that_is_read_is_in_it_and_no_other() -> None:
    used = {field.key for field in FIELDS if field.handling is not Handling.ignored}
    containers = {"input.awsvpcConfiguration", "eventWatcher[].handler.config.replacements"}
    of_no_model = {"plugins", "eventWatcher[].handler.type"}
    assert set(known()) - containers == used - of_no_model


def test_given_the_keys_that_are_passed_on_when_a_task_is_asked_for_then_runtask_is_told_each() -> None:
    with_launch_type = FULL.request()
    with_providers = FULL.model_copy(update={"capacity_provider_strategy": (CapacityProvider(capacity_provider="FARGATE"),)})
    network = with_launch_type["networkConfiguration"]["awsvpcConfiguration"]
    told = {*with_launch_type, *with_providers.request(), *network, "cluster", "tags"}
    passed_on = [field.key for field in FIELDS if field.handling is Handling.passed_on]
    assert {OF_RUN_TASK.get(key, key.removeprefix("input.")) for key in passed_on} <= told


def test_given_a_capacity_provider_when_a_task_is_asked_for_then_no_launch_type_is_told() -> None:
    ecs = FULL.model_copy(update={"capacity_provider_strategy": (CapacityProvider(capacity_provider="FARGATE_SPOT", weight=1),)})
    assert "launchType" not in ecs.request()
    assert ecs.request()["capacityProviderStrategy"] == [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]


def warned_of(text: str, launcher: str = "slipway") -> tuple[Problem, ...]:
    document = load_document(text, "app.pipecd.yaml")
    return warnings_of(document, app_of(document).input_path, launcher)


WARNED = [field.key for field in FIELDS if field.warned]


@pytest.mark.parametrize("key", WARNED)
def test_given_a_key_without_effect_when_the_file_is_read_then_it_is_told_at_its_place(key: str) -> None:
    parts = key.split(".")
    extra = f"  {parts[0]}: {{}}\n" if len(parts) == 1 else f"    {parts[1]}: {{}}\n"
    [warning] = warned_of(MINIMAL + extra)
    assert (warning.path, warning.line) == (f"spec.{key}", 6)
    assert warned_of(MINIMAL + extra, "pipecd") == ()  # piped, which launches the task, heeds it


def test_given_a_key_that_piped_does_not_know_when_it_launches_the_task_then_it_is_told() -> None:
    text = f"{MINIMAL}    platformVersion: 1.4.0\n"
    assert warned_of(text) == ()
    [warning] = warned_of(text, "pipecd")
    assert (warning.path, warning.line) == ("spec.input.platformVersion", 6)
    assert "piped v0 refuses a file with it" in warning.message


def test_given_every_key_that_pipecd_has_when_a_file_is_read_then_none_is_unknown() -> None:
    known_to_pipecd = [field.key for field in FIELDS if field.versions != NONE]
    tops = {key.partition(".")[0].removesuffix("[]") for key in known_to_pipecd} - {"input", "eventWatcher"}
    files = {"attachment": "{targets: [t]}", "encryption": "{decryptionTargets: [t]}"}
    lines = "".join(f"  {top}: {files.get(top, '{}')}\n" for top in sorted(tops))
    text = f"apiVersion: pipecd.dev/v1beta1\nkind: ECSApp\nspec:\n  input: {{clusterArn: ml}}\n{lines}"
    assert not [warning for warning in warned_of(text) if "no key of PipeCD" in warning.message]
    assert ONLY_V1 in {field.versions for field in FIELDS}


@pytest.mark.parametrize("kind", ["ECSApp", "Application"])
def test_given_keys_in_other_cases_when_warnings_are_looked_for_then_each_is_found(kind: str) -> None:
    app = {"ECSApp": "Input: {clusterArn: ml, clusterarm: ml}", "Application": "Plugins: {ECS: {Input: {clusterarm: ml}}}"}[kind]
    text = f"apiVersion: pipecd.dev/v1beta1\nkind: {kind}\nSpec:\n  quickSink: {{}}\n  {app}\n"
    document = load_document(text, "app.pipecd.yaml")
    found = warnings_of(document, app_of(document).input_path, "slipway")
    assert [warning.message.partition(" ")[0] for warning in found] == ["'quickSink'", "'clusterarm'"]

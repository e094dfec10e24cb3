"""Applications as people have them in public: whole folders, and what comes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from slipway.app.lint import App, Findings, read_app
from slipway.app.replacements import apply_event
from tests.slipway.app.test_lint import APP, FILES, REPOSITORY, SPEC, TASKDEF, reading

IMAGE = f"{REPOSITORY}@sha256:{'1' * 64}"
JSON_APP = APP.replace("    taskDefinitionFile: taskdef.yaml\n", "").replace("taskdef.yaml", "taskdef.json")
"""It names no file, so PipeCD's default counts."""
FORWARDED: dict[str, Any] = {
    "family": "harbour",
    "networkMode": "awsvpc",
    "cpu": "1024",
    "memory": "2048",
    "requiresCompatibilities": ["FARGATE"],
    "executionRoleArn": "arn:aws:iam::222222222222:role/harbour-execution",
    "runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
    "ephemeralStorage": {"sizeInGiB": 40},
    "pidMode": "task",
    "volumes": [
        {"name": "scratch"},
        {
            "name": "shared",
            "efsVolumeConfiguration": {
                "fileSystemId": "fs-0a1b",
                "transitEncryption": "ENABLED",
                "authorizationConfig": {"accessPointId": "fsap-0a1b", "iam": "ENABLED"},
            },
        },
    ],
    "containerDefinitions": [
        {
            "name": "tides",
            "image": f"{REPOSITORY}:v1",
            "essential": True,
            "secrets": [{"name": "TOKEN", "valueFrom": "arn:aws:ssm:us-east-1:222222222222:parameter/tides"}],
            "environment": [{"name": "MODE", "value": "plain"}],
            "mountPoints": [{"sourceVolume": "scratch", "containerPath": "/scratch", "readOnly": False}],
            "dependsOn": [{"containerName": "log", "condition": "START"}],
            "linuxParameters": {"initProcessEnabled": True},
            "ulimits": [{"name": "nofile", "softLimit": 4096, "hardLimit": 8192}],
            "logConfiguration": {"logDriver": "awsfirelens", "options": {"Name": "cloudwatch"}, "secretOptions": []},
            "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 30, "retries": 3},
            "restartPolicy": {"enabled": True, "restartAttemptPeriod": 60},
            "versionConsistency": "disabled",
            "dockerLabels": {"org.acme.team": "7"},
        },
        {
            "name": "log",
            "image": "public.ecr.aws/acme/fluent-bit:stable",
            "essential": False,
            "firelensConfiguration": {"type": "fluentbit", "options": {"enable-ecs-log-metadata": "true"}},
            "user": "0",
        },
    ],
}
"""Much of what PipeCD passes on to ECS."""


def read(**files: str) -> Findings:
    return read_app(reading(FILES | {name.replace("__", "."): text for name, text in files.items()}))


def app_of(**files: str) -> App:
    findings = read(**files)
    assert findings.app is not None, [str(problem) for problem in findings.problems]
    return findings.app


@pytest.mark.parametrize("indent", ["\t", 2, None], ids=["tabs", "spaces", "one line"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_given_a_large_task_definition_in_json_when_the_image_is_written_then_nothing_else_changes_or_is_lost(
    indent: str | int | None, end: str
) -> None:
    text = json.dumps({**FORWARDED, "tags": [{"key": "team", "value": "ml"}]}, indent=indent).replace("\n", end)
    app = app_of(app__pipecd__yaml=JSON_APP, taskdef__json=text)
    assert app.taskdef == FORWARDED
    [change] = apply_event(app.handler, IMAGE, {"taskdef.json": text.encode()}.get)
    assert change.content.decode() == text.replace(f"{REPOSITORY}:v1", IMAGE)


def test_given_a_task_on_ec2_in_bridge_mode_with_empty_values_when_it_is_read_then_what_is_empty_is_not_sent() -> None:
    on_ec2 = APP.replace("awsvpcConfiguration: {subnets: [subnet-1]}", "launchType: EC2")
    more = "    command: null\n    mountPoints: []\nnetworkMode: bridge\npidMode: ''\nipcMode: ''\nvolumes: []\n"
    app = app_of(app__pipecd__yaml=on_ec2, taskdef__yaml=TASKDEF + more + "requiresCompatibilities: [EC2]\n")
    assert (app.taskdef["networkMode"], "pidMode" in app.taskdef, "ipcMode" in app.taskdef) == ("bridge", False, False)
    assert "command" not in app.taskdef["containerDefinitions"][0]


def test_given_containers_that_share_by_anchors_when_both_images_are_written_then_the_rest_of_the_file_stays() -> None:
    text = f"""family: harbour
x-common: &common
  memory: 128  # each
containerDefinitions:
  - <<: *common
    name: migrate
    image: "{REPOSITORY}:v1"
  - <<: *common
    name: tides
    image: '{REPOSITORY}:v1'
"""
    both = '"$.containerDefinitions[0].image"}\n            - {file: taskdef.yaml, yamlField: "$.containerDefinitions[1].image"}'
    app = app_of(app__pipecd__yaml=APP.replace('"$.containerDefinitions[0].image"}', both), taskdef__yaml=text)
    assert app.containers == ("migrate", "tides")
    assert [container["memory"] for container in app.taskdef["containerDefinitions"]] == [128, 128]
    [change] = apply_event(app.handler, IMAGE, {"taskdef.yaml": text.encode()}.get)
    assert change.content.decode() == text.replace(f"{REPOSITORY}:v1", IMAGE)


@pytest.mark.parametrize("mark", ["\t# set by CI", " # set by CI", "\t"])
def test_given_a_tab_behind_the_image_when_it_is_written_then_what_is_behind_it_stays(mark: str) -> None:
    text = TASKDEF.rstrip("\n") + mark + "\n"
    [change] = apply_event(app_of(taskdef__yaml=text).handler, IMAGE, {"taskdef.yaml": text.encode()}.get)
    assert change.content.decode() == text.replace(f"{REPOSITORY}:v1", IMAGE)


def test_given_an_app_without_event_watchers_when_it_is_checked_then_it_says_that_there_are_none() -> None:
    [error] = read(app__pipecd__yaml=APP[: APP.index("  eventWatcher")]).errors
    assert (error.path, error.help) == ("spec.git.event", "its event watchers: none")


def test_given_a_command_that_is_a_text_when_it_is_checked_then_a_list_is_asked_for() -> None:
    [error] = read(taskdef__yaml=TASKDEF + "    command: run me\n").errors
    assert (error.path, error.help) == ("containerDefinitions[0].command", "allowed: a list")


def test_given_a_field_that_is_looked_for_anywhere_when_it_is_checked_then_it_is_refused_with_what_to_write() -> None:
    [error] = read(app__pipecd__yaml=APP.replace("$.containerDefinitions[0].image", "$..image")).errors
    assert "`..` and `[*]` find a list" in error.message
    assert "$.containerDefinitions[0].image" in error.help


def test_given_a_config_file_of_another_name_when_the_spec_does_not_name_it_then_it_is_told_how() -> None:
    files = {"train-prod.pipecd.yaml" if name == "app.pipecd.yaml" else name: text for name, text in FILES.items()}
    [error] = read_app(reading(files)).errors
    assert "spec.git.configFilename" in error.help


def test_given_fifty_targets_when_they_are_checked_then_they_are_taken_and_one_more_is_not() -> None:
    def of(number: int) -> str:
        return SPEC.replace("[{endpoint: screening}]", str([{"endpoint": f"tides-{index}"} for index in range(number)]))

    assert read(promotion__yaml=of(50)).app
    [error] = read(promotion__yaml=of(51)).errors
    assert error.help == "allowed: at most 50, and there are 51"

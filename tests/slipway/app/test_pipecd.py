from __future__ import annotations

import json
from pathlib import Path

import pytest

from slipway.app.pipecd import EventHandler, PipecdApp, parse_app
from slipway.app.problems import FileError

APP = """apiVersion: pipecd.dev/v1beta1
kind: ECSApp
spec:
  name: screening
  labels: {team: ml}
  input:
    clusterArn: arn:aws:ecs:us-east-1:222222222222:cluster/ml
    awsvpcConfiguration: {subnets: [subnet-1], assignPublicIp: ENABLED}
  eventWatcher:
    - matcher: {name: image-update, labels: {env: prod}}
      handler:
        type: GIT_UPDATE
        config:
          commitMessage: "Set {{ .Value }} by {{.EventName}}"
          replacements:
            - {file: ./taskdef.yaml, yamlField: "$.a"}
"""


def test_given_an_app_when_it_is_read_then_pipecds_defaults_hold_and_unknown_keys_are_left() -> None:
    ecs = parse_app(APP).ecs
    assert (ecs.task_definition_file, ecs.launch_type, ecs.run_standalone_task, ecs.standalone) == (
        "taskdef.json",
        "FARGATE",
        True,
        True,
    )


def test_given_a_network_when_a_task_is_asked_for_then_it_has_runtasks_shape() -> None:
    expected = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": "ENABLED"}}
    assert parse_app(APP).ecs.awsvpc_configuration.request() == expected


def test_given_an_event_when_its_handler_is_asked_then_it_writes_the_message_as_pipecd_does() -> None:
    [handler] = parse_app(APP).handlers
    assert handler.message("x@sha256:0") == "Set x@sha256:0 by image-update"
    assert handler.replacements[0].file == "taskdef.yaml"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{- .Value -}}", "v9"),
        ("{{.Value}}{{ .Value }}", "v9v9"),
        ("{{\n .EventName\t}}!", "image-update!"),
        ("}} {{ .Value }} {{", "}} v9 {{"),
    ],
)
def test_given_a_template_as_people_write_it_when_an_event_is_handled_then_only_its_variables_are_replaced(
    template: str, message: str
) -> None:
    handler = EventHandler(event="image-update", commit_message=template, replacements=())
    assert handler.message("v9") == message


def test_given_no_message_when_an_event_is_handled_then_it_is_pipecds_own() -> None:
    [handler] = parse_app(APP.replace('          commitMessage: "Set {{ .Value }} by {{.EventName}}"\n', "")).handlers
    assert handler.message("v") == 'Replace values with "v" set by Event "image-update"'


@pytest.mark.parametrize(
    ("template", "message"),
    [("Use {{- .Value }} now", "Usev now"), ("Use {{ .Value -}}\n now", "Use vnow"), ("{{- .EventName -}} .", "image-update.")],
)
def test_given_a_template_that_takes_space_away_when_an_event_is_handled_then_its_message_is_pipecds(
    template: str, message: str
) -> None:
    [handler] = parse_app(APP.replace('"Set {{ .Value }} by {{.EventName}}"', json.dumps(template))).handlers
    assert handler.message("v") == message


def test_given_an_app_when_it_crosses_temporal_as_json_then_it_is_the_same() -> None:
    app = parse_app(APP)
    assert PipecdApp.model_validate_json(app.model_dump_json()) == app


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "yamlField",
            "jsonField",
            "16:49: error: spec.eventWatcher[0].handler.config.replacements[0].jsonField: PipeCD would empty the file",
        ),
        ("yamlField", "HCLField", "PipeCD would empty the file by HCLField"),
        ("./taskdef.yaml", "../taskdef.yaml", "must be a path inside the application's folder"),
        ("./taskdef.yaml", ".git/config", "must be a path inside the application's folder"),
        ("./taskdef.yaml", "/taskdef.yaml", "must be a path inside the application's folder"),
        ("{{ .Value }}", "{{ .Foo }}", "found {{ .Foo }}; allowed: {{ .Value }} and {{ .EventName }}"),
        ('yamlField: "$.a"', "regex: 'a('", "is not a regular expression"),
        ('yamlField: "$.a"', "regex: abc", "has no group"),
        (', yamlField: "$.a"', "", "names no field in the file"),
        ("yamlField", "yaml_field", "names no field in the file"),
        ("    awsvpc", "    ClusterARN: other\n    awsvpc", "has 'clusterArn' twice, in other cases of its letters"),
        ("GIT_UPDATE", "OTHER", "allowed: GIT_UPDATE"),
        ("ECSApp", "KubernetesApp", "found 'KubernetesApp'; Slipway follows ECSApp"),
        ("name: image-update, ", "", "the event has no name"),
    ],
)
def test_given_what_pipecd_fails_on_when_an_app_is_read_then_it_is_refused_at_its_place(old: str, new: str, said: str) -> None:
    with pytest.raises(FileError) as refused:
        parse_app(APP.replace(old, new))
    assert said in str(refused.value.problems[0])


@pytest.mark.parametrize(
    "more",
    [
        f"attachment: {{targets: [taskdef.yaml], sources: {{{', '.join(f's{each}: file{each}' for each in range(21))}}}}}",
        f"attachment: {{targets: [{', '.join(['taskdef.yaml'] * 21)}], sources: {{a: file}}}}",
        f"encryption: {{decryptionTargets: [{', '.join(['taskdef.yaml'] * 21)}], encryptedSecrets: {{a: b}}}}",
    ],
)
def test_given_more_files_than_the_memory_is_for_when_an_app_is_read_then_it_is_refused_with_the_limit(more: str) -> None:
    with pytest.raises(FileError, match="allowed: at most 20, and there are 21"):
        parse_app(f"{APP}  {more}\n")


def test_given_the_sample_app_when_it_is_read_then_it_is_a_standalone_task() -> None:
    assert parse_app((Path(__file__).parents[3] / "pipecd/app.pipecd.yaml").read_text()).ecs.standalone

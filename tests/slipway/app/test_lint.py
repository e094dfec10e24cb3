from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

import pytest

from slipway.app.lint import Read, read_app, read_app_from
from slipway.app.problems import Severity
from slipway.app.regions import region_of_app

REPOSITORY = "222222222222.dkr.ecr.us-east-1.amazonaws.com/screening"
SPEC = f"""apiVersion: slipway.dev/v1
kind: ModelPromotion
metadata: {{name: screening}}
spec:
  image: {{source: {REPOSITORY}, target: {REPOSITORY}}}
  git: {{event: image-update}}
  pipeline: {{name: screening}}
  model: {{packageGroup: screening}}
  gates: [{{metric: accuracy, min: 0.9}}]
  approval: {{approvers: [ana, bo]}}
  rollout:
    strategy: {{canary: {{percent: 25, wait: 10m}}, alarms: [errors]}}
    variant: {{instanceType: ml.m5.large, instanceCount: 4}}
    smoke: {{payload: smoke/request.json}}
    waves: [{{targets: [{{endpoint: screening}}]}}]
"""
APP = """apiVersion: pipecd.dev/v1beta1
kind: ECSApp
spec:
  input:
    clusterArn: arn:aws:ecs:us-east-1:222222222222:cluster/ml
    awsvpcConfiguration: {subnets: [subnet-1]}
    taskDefinitionFile: taskdef.yaml
    runStandaloneTask: false
  eventWatcher:
    - matcher: {name: image-update}
      handler:
        type: GIT_UPDATE
        config:
          replacements:
            - {file: taskdef.yaml, yamlField: "$.containerDefinitions[0].image"}
"""
TASKDEF = f"family: screening\ncontainerDefinitions:\n  - name: pipeline\n    image: {REPOSITORY}:v1\n"
FILES = {"promotion.yaml": SPEC, "app.pipecd.yaml": APP, "taskdef.yaml": TASKDEF, "smoke/request.json": "{}"}


TRAFFIC = """\
    strategy: {canary: {percent: 25, wait: 10m}, alarms: [errors]}
    variant: {instanceType: ml.m5.large, instanceCount: 4}
"""
ONE_IN_BATCHES = """\
    strategy: {rolling: {instances: 1}, alarms: [errors]}
    variant: {instanceType: ml.m5.large, instanceCount: 1}
"""
THREE_OF_FOUR = TRAFFIC.replace("canary: {percent: 25, wait: 10m}", "rolling: {instances: 3}")
SERVERLESS = "settings: {serverless: {memory: 1024, maxConcurrency: 5}}"


def reading(files: dict[str, str]) -> Read:
    return lambda path: files[path].encode() if path in files else None


def test_given_a_scan_of_an_image_elsewhere_when_the_files_are_checked_then_it_is_refused_with_what_to_do() -> None:
    spec = re.sub(r"source: [^,}]+", "source: ghcr.io/acme/screening, scan: {failOn: HIGH}", SPEC)
    (problem,) = read_app(reading(FILES | {"promotion.yaml": spec})).problems
    assert problem.path == "spec.image.scan"
    assert "is ECR's scan, and the source is in ghcr.io" in problem.message
    assert "scan the image in CI" in (problem.help or "")


def test_given_a_target_elsewhere_when_the_files_are_checked_then_the_cluster_has_to_say_the_region() -> None:
    files = FILES | {
        "promotion.yaml": re.sub(r"target: [^,}]+", "target: ghcr.io/acme/screening", SPEC),
        "taskdef.yaml": TASKDEF.replace(REPOSITORY, "ghcr.io/acme/screening"),
    }
    app = read_app(reading(files)).app
    assert app is not None
    assert region_of_app(app.spec, app.pipecd.ecs) == "us-east-1"
    named = files | {"app.pipecd.yaml": APP.replace("arn:aws:ecs:us-east-1:222222222222:cluster/ml", "ml")}
    (problem,) = read_app(reading(named)).problems
    assert (problem.file, problem.path) == ("app.pipecd.yaml", "spec.input.clusterArn")
    assert "write the cluster's ARN" in (problem.help or "")


def test_given_a_task_on_docker_hub_when_the_target_is_its_long_name_then_there_is_nothing_to_say() -> None:
    spec = SPEC.replace(REPOSITORY, "docker.io/acme/trainer")
    files = FILES | {"promotion.yaml": spec, "taskdef.yaml": TASKDEF.replace(REPOSITORY, "acme/trainer")}
    assert read_app(reading(files)).problems == ()


def test_given_a_task_that_still_runs_cis_image_when_the_target_is_another_repository_then_the_move_is_a_warning() -> None:
    spec = SPEC.replace(f"source: {REPOSITORY}", "source: docker.io/acme/trainer")
    findings = read_app(reading(FILES | {"promotion.yaml": spec, "taskdef.yaml": TASKDEF.replace(REPOSITORY, "acme/trainer")}))
    (problem,) = findings.warnings
    assert problem.message == f"taskdef.yaml runs docker.io/acme/trainer, and the image that is written is of {REPOSITORY}"
    assert findings.app is not None


@pytest.mark.parametrize(
    ("cluster", "region"), [("arn:aws:ecs:eu-west-1:222222222222:cluster/ml", "eu-west-1"), ("ml", "us-east-1")]
)
def test_given_a_cluster_when_the_repository_is_in_another_region_then_the_task_runs_in_the_clusters(
    cluster: str, region: str
) -> None:
    files = FILES | {"app.pipecd.yaml": APP.replace("arn:aws:ecs:us-east-1:222222222222:cluster/ml", cluster)}
    app = read_app(reading(files)).app
    assert app is not None
    assert region_of_app(app.spec, app.pipecd.ecs) == region


def test_given_a_handler_that_writes_elsewhere_in_the_container_when_it_is_checked_then_it_is_told_to_write_the_image() -> None:
    files = {"app.pipecd.yaml": APP.replace("[0].image", "[0].user"), "taskdef.yaml": f"{TASKDEF}    user: root\n"}
    (problem,) = read_app(reading(FILES | files)).problems
    assert problem.message == "does not write the image of a container"


def test_given_files_that_fit_when_they_are_checked_then_there_is_nothing_to_say() -> None:
    findings = read_app(reading(FILES))
    assert findings.problems == ()
    assert findings.app is not None
    assert findings.app.handler.event == "image-update"


PIPED_WRITES = SPEC.replace("image-update}", "image-update, writer: pipecd}")
BY_DIGEST = TASKDEF.replace(":v1", f"@sha256:{'a' * 64}")


def test_given_piped_as_the_writer_when_the_file_has_a_digest_then_there_is_nothing_to_say() -> None:
    assert read_app(reading(FILES | {"promotion.yaml": PIPED_WRITES, "taskdef.yaml": BY_DIGEST})).problems == ()


def test_given_piped_as_the_writer_when_the_file_has_a_tag_then_that_it_may_move_is_a_warning() -> None:
    findings = read_app(reading(FILES | {"promotion.yaml": PIPED_WRITES}))
    (problem,) = findings.problems
    assert (problem.severity, problem.path) == (Severity.warning, "spec.git.writer")
    assert f"the tag {REPOSITORY}:v1, which may move" in problem.message
    assert findings.app is not None


def test_given_piped_as_the_writer_when_the_source_is_another_then_the_file_has_to_run_the_source() -> None:
    spec = PIPED_WRITES.replace(f"source: {REPOSITORY}", "source: ghcr.io/acme/screening")
    (problem,) = read_app(reading(FILES | {"promotion.yaml": spec})).errors
    assert problem.path == "spec.image.source"
    files = {"promotion.yaml": spec, "taskdef.yaml": BY_DIGEST.replace(REPOSITORY, "ghcr.io/acme/screening")}
    assert read_app(reading(FILES | files)).problems == ()


def test_given_piped_as_the_writer_when_the_event_watcher_makes_pull_requests_then_that_is_fine() -> None:
    app = APP.replace("          repl", "          makePullRequest: true\n          repl")
    assert not read_app(reading(FILES | {"promotion.yaml": PIPED_WRITES, "app.pipecd.yaml": app})).errors


@pytest.mark.parametrize(
    ("file", "old", "new", "line", "path", "said"),
    [
        ("promotion.yaml", "event: image-update", "event: other", 6, "spec.git.event", "no event watcher of this name"),
        ("promotion.yaml", "smoke/request.json", "smoke/other.json", 14, "spec.rollout.smoke.payload", "is not there"),
        ("promotion.yaml", "name: screening}\n  model", "name: a_b}\n  model", 7, "spec.pipeline.name", 'found "a_b"'),
        ("taskdef.yaml", "screening:v1", "another:v1", 5, "spec.image.target", "taskdef.yaml runs 222222222222"),
        ("app.pipecd.yaml", "[0].image", "[1].image", 15, "spec.eventWatcher[0].handler.config.replacements", "no item [1]"),
        ("app.pipecd.yaml", "[0].image", "[0]", 15, "spec.eventWatcher[0].handler.config.replacements", "a mapping"),
        (
            "app.pipecd.yaml",
            "[0].image",
            "[0].name",
            15,
            "spec.eventWatcher[0].handler.config.replacements",
            "let it write to the field image, and nothing else",
        ),
        (
            "app.pipecd.yaml",
            "yamlField",
            "jsonField",
            15,
            "spec.eventWatcher[0].handler.config.replacements[0].jsonField",
            "empty",
        ),
        (
            "app.pipecd.yaml",
            "{file: taskdef.yaml",
            "{file: other.yaml",
            15,
            "spec.eventWatcher[0].handler.config.replacements",
            "no such file",
        ),
        (
            "app.pipecd.yaml",
            "    runS",
            "    serviceDefinitionFile: s.yaml\n    runS",
            8,
            "spec.input.serviceDefinitionFile",
            "a service",
        ),
        (
            "app.pipecd.yaml",
            "          repl",
            "          makePullRequest: true\n          repl",
            14,
            "spec.eventWatcher[0].handler.config.makePullRequest",
            "no pull request",
        ),
        ("app.pipecd.yaml", "[subnet-1]", "subnet-1", 6, "spec.input.awsvpcConfiguration.subnets", "allowed: a list"),
        (
            "app.pipecd.yaml",
            "    runS",
            "    launchType: fargate\n    runS",
            8,
            "spec.input.launchType",
            "found 'fargate'; allowed: EC2, FARGATE",
        ),
        (
            "app.pipecd.yaml",
            "[subnet-1]}",
            "[subnet-1], assignPublicIp: ANY}",
            6,
            "spec.input.awsvpcConfiguration.assignPublicIp",
            "found 'ANY'; allowed: ENABLED, DISABLED",
        ),
        ("app.pipecd.yaml", "{subnets: [subnet-1]}", "{}", 6, "spec.input.awsvpcConfiguration.subnets", "absent"),
    ],
)
def test_given_a_mistake_when_the_files_are_checked_then_it_is_an_error_at_its_place(
    file: str, old: str, new: str, line: int, path: str, said: str
) -> None:
    findings = read_app(reading(FILES | {file: FILES[file].replace(old, new)}))
    assert [(problem.line, problem.path) for problem in findings.errors] == [(line, path)]
    assert said in str(findings.errors[0])
    assert findings.app is None


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("promotion.yaml", "instanceCount: 4", "instanceCount: 1", "all traffic at once"),
        ("promotion.yaml", TRAFFIC, ONE_IN_BATCHES, "one instance cannot take a batch"),
        ("promotion.yaml", TRAFFIC, THREE_OF_FOUR, "a batch is 3 instances of 4, and SageMaker takes 5 to 50 % of the fleet"),
        ("promotion.yaml", "variant: {instanceType: ml.m5.large, instanceCount: 4}", SERVERLESS, "has no instances"),
        ("promotion.yaml", ", alarms: [errors]", "", "without alarms"),
        ("promotion.yaml", "[ana, bo]", "[ana]", "may not approve it"),
        (
            "promotion.yaml",
            "  gates: [{metric: accuracy, min: 0.9}]\n  approval: {",
            "  approval: {mode: auto, ",
            "without a gate or an approval",
        ),
        ("app.pipecd.yaml", "runStandaloneTask: false", "runStandaloneTask: true", "a second time"),
    ],
)
def test_given_a_surprise_when_the_files_are_checked_then_it_is_a_warning_and_they_can_be_used(
    file: str, old: str, new: str, said: str
) -> None:
    findings = read_app(reading(FILES | {file: FILES[file].replace(old, new)}))
    assert [problem.severity for problem in findings.problems] == [Severity.warning]
    assert said in findings.problems[0].message
    assert findings.app is not None


@pytest.mark.parametrize("missing", ["promotion.yaml", "app.pipecd.yaml", "taskdef.yaml"])
def test_given_a_file_that_is_not_there_when_the_app_is_checked_then_it_is_named(missing: str) -> None:
    problems = read_app(reading({file: text for file, text in FILES.items() if file != missing})).problems
    assert len(problems) == 1
    assert str(problems[0]).startswith(f"{missing}: error: is not there; add it to the app's folder")


async def test_given_files_that_come_one_by_one_when_they_are_checked_then_only_those_needed_are_read() -> None:
    asked: list[str] = []

    async def read(paths: Collection[str]) -> dict[str, bytes | None]:
        asked.extend(paths)
        return {path: FILES[path].encode() for path in paths}

    findings = await read_app_from(read)
    assert findings.app is not None
    assert sorted(asked) == sorted(FILES)


def test_given_the_sample_app_when_it_is_checked_then_nothing_is_wrong_or_surprising() -> None:
    folder = Path(__file__).parents[3] / "pipecd"
    problems = read_app(lambda path: (folder / path).read_bytes() if (folder / path).is_file() else None).problems
    assert [str(problem) for problem in problems] == []


WATCHER = """    - matcher: {name: image-update}
"""
SECOND = """    - matcher: {name: image-update, labels: {env: dev}}
      handler:
        type: GIT_UPDATE
        config:
          replacements: [{file: dev/taskdef.yaml, yamlField: "$.containerDefinitions[0].image"}]
    - matcher: {name: image-update, labels: {env: prod}}
"""
TWO = FILES | {"app.pipecd.yaml": APP.replace(WATCHER, SECOND), "dev/taskdef.yaml": TASKDEF}


def test_given_two_events_of_one_name_when_the_spec_has_the_name_alone_then_both_places_are_told() -> None:
    [error] = read_app(reading(TWO)).errors
    assert (error.file, error.path) == ("promotion.yaml", "spec.git.event")
    assert "app.pipecd.yaml:10 and app.pipecd.yaml:15" in error.message
    assert "{name: image-update, labels: {…}}" in error.help


@pytest.mark.parametrize(("labels", "position"), [("{env: prod}", 1), ("{env: other}", None), ("{}", None)])
def test_given_two_events_of_one_name_when_the_spec_has_labels_then_the_event_with_all_of_them_is_meant(
    labels: str, position: int | None
) -> None:
    spec = SPEC.replace("event: image-update", f"event: {{name: image-update, labels: {labels}}}")
    app = read_app(reading(TWO | {"promotion.yaml": spec})).app
    assert (app and app.pipecd.handlers.index(app.handler)) == position


def test_given_the_same_event_twice_when_it_is_looked_for_then_one_is_to_be_removed() -> None:
    twice = APP.replace(WATCHER, SECOND.replace("env: dev", "env: prod"))
    [error] = read_app(reading(FILES | {"app.pipecd.yaml": twice, "dev/taskdef.yaml": TASKDEF})).errors
    assert error.message == "means more than one event watcher, at app.pipecd.yaml:10 and app.pipecd.yaml:15"
    assert error.help == "keep one of them"


def test_given_two_containers_when_the_image_of_one_is_written_then_it_is_the_one_that_is_told() -> None:
    sidecar = TASKDEF + f"  - name: sidecar\n    image: {REPOSITORY}:v1\n"
    app = read_app(reading(FILES | {"taskdef.yaml": sidecar})).app
    assert app is not None
    assert app.containers == ("pipeline",)


def test_given_a_regex_for_the_tag_alone_when_the_app_is_checked_then_what_would_come_out_is_shown() -> None:
    tag_only = APP.replace('yamlField: "$.containerDefinitions[0].image"', "regex: 'screening:(v[0-9.]+)'")
    [error] = read_app(reading(FILES | {"app.pipecd.yaml": tag_only})).errors
    assert f"would be '{REPOSITORY}:{REPOSITORY[:20]}" in error.message
    assert "the whole image" in error.help


def test_given_a_regex_that_covers_the_key_too_when_the_app_is_checked_then_it_is_refused() -> None:
    too_much = APP.replace('yamlField: "$.containerDefinitions[0].image"', "regex: '(image: .*)'")
    [error] = read_app(reading(FILES | {"app.pipecd.yaml": too_much})).errors
    assert "would make a file that cannot be read" in error.message


def test_given_another_config_name_when_the_spec_names_it_then_it_is_read_and_shown() -> None:
    files = FILES | {"promotion.yaml": SPEC.replace("git: {event", "git: {configFilename: prod.pipecd.yaml, event")}
    files["prod.pipecd.yaml"] = files.pop("app.pipecd.yaml").replace("clusterArn", "clusterArm")
    findings = read_app(reading(files))
    assert [(problem.file, problem.path) for problem in findings.problems] == [
        ("prod.pipecd.yaml", "spec.input.clusterArm"),
        ("prod.pipecd.yaml", "spec.input.clusterArn"),
    ]
    assert findings.warnings[0].help == "did you mean 'clusterArn'?"


APPLICATION = """apiVersion: pipecd.dev/v1beta1
kind: Application
spec:
  plugins:
    ecs:
      input:
        clusterArn: arn:aws:ecs:us-east-1:222222222222:cluster/ml
        awsvpcConfiguration: {subnets: [subnet-1]}
        taskDefinitionFile: taskdef.yaml
""" + APP[APP.index("  eventWatcher") :]
WITHOUT_RUN = APP.replace("    runStandaloneTask: false\n", "")


@pytest.mark.parametrize(
    ("app", "path"),
    [
        (APPLICATION, ("spec", "plugins", "ecs", "input")),
        (WITHOUT_RUN.replace("kind: ECSApp", "kind: Application"), ("spec", "input")),
    ],
)
def test_given_an_application_of_v1_when_it_is_checked_then_its_input_is_found_and_piped_does_not_run_it(
    app: str, path: tuple[str, ...]
) -> None:
    findings = read_app(reading(FILES | {"app.pipecd.yaml": app}))
    assert findings.problems == ()
    assert findings.app is not None
    assert findings.app.pipecd.input_path == path
    assert not findings.app.pipecd.ecs.run_standalone_task


def test_given_an_application_with_two_inputs_when_it_is_checked_then_the_plugins_counts_and_the_other_is_told() -> None:
    both = APPLICATION.replace("  plugins:", "  input: {clusterArn: other}\n  plugins:")
    findings = read_app(reading(FILES | {"app.pipecd.yaml": both}))
    assert [problem.path for problem in findings.problems] == ["spec.input"]
    assert findings.app is not None
    assert findings.app.pipecd.ecs.cluster_arn.endswith("cluster/ml")


def test_given_an_application_for_another_plugin_when_it_is_checked_then_the_input_is_missed() -> None:
    other = APPLICATION.replace("    ecs:", "    kubernetes:")
    assert "is required and absent" in str(read_app(reading(FILES | {"app.pipecd.yaml": other})).errors[0])


ATTACHMENT = "  attachment: {sources: {settings: settings.yaml}, targets: [./taskdef.yaml]}\n  eventW"
ATTACHED = FILES | {
    "app.pipecd.yaml": APP.replace("  eventW", ATTACHMENT),
    "taskdef.yaml": TASKDEF + '    command: [--settings, "{{ .attachment.settings | b64enc }}"]\n',
    "settings.yaml": "a: 1\n",
}


def test_given_an_attachment_when_the_app_is_read_then_it_is_in_the_task_definition() -> None:
    findings = read_app(reading(ATTACHED))
    assert findings.problems == ()
    assert findings.app is not None
    assert findings.app.taskdef["containerDefinitions"][0]["command"] == ["--settings", "YTogMQo="]


async def test_given_an_attachment_when_its_files_come_in_turns_then_the_source_is_read_too() -> None:
    async def read(paths: Collection[str]) -> dict[str, bytes | None]:
        return {path: ATTACHED[path].encode() for path in paths}

    findings = await read_app_from(read)
    assert findings.app is not None
    assert findings.app.taskdef["containerDefinitions"][0]["command"][1] == "YTogMQo="


@pytest.mark.parametrize(
    ("file", "old", "new", "place", "said"),
    [
        ("taskdef.yaml", "settings | b64enc", "none | b64enc", ("taskdef.yaml", 5), "there is no value for .attachment.none"),
        ("taskdef.yaml", "b64enc", "toYaml", ("taskdef.yaml", 5), "the function toYaml is not rendered"),
        ("taskdef.yaml", "| b64enc", "| b64enc | quote", ("taskdef.yaml", 5), "not valid YAML"),
        ("app.pipecd.yaml", "[./taskdef.yaml]", "[other.yaml]", ("taskdef.yaml", 5), "which nothing renders"),
        ("app.pipecd.yaml", "attachment:", "attachement:", ("taskdef.yaml", 5), "which nothing renders"),
        ("app.pipecd.yaml", "[./taskdef.yaml]", "[]", ("app.pipecd.yaml", 9), "names no file"),
        ("app.pipecd.yaml", "settings.yaml", "none.yaml", ("none.yaml", 0), "is not there"),
        ("app.pipecd.yaml", "settings.yaml", "../settings.yaml", ("app.pipecd.yaml", 9), "inside the application's folder"),
    ],
)
def test_given_an_attachment_that_cannot_be_rendered_when_the_app_is_checked_then_it_is_an_error_at_its_place(
    file: str, old: str, new: str, place: tuple[str, int], said: str
) -> None:
    [error] = read_app(reading(ATTACHED | {file: ATTACHED[file].replace(old, new)})).errors
    assert (error.file, error.line) == place
    assert said in str(error)


def test_given_an_attached_template_when_it_is_put_in_as_it_is_then_what_is_left_is_an_error() -> None:
    raw = ATTACHED["taskdef.yaml"].replace(" | b64enc", "")
    [error] = read_app(reading(ATTACHED | {"taskdef.yaml": raw, "settings.yaml": "{{ x }}"})).errors
    assert "holds the template {{ x }}, which nothing renders" in error.message


ENCRYPTION = "  encryption: {encryptedSecrets: {token: QUJD}, decryptionTargets: [%s]}\n  eventW"
TARGETS = [("taskdef.yaml", True), ("settings.yaml", True), ("./taskdef.yaml", True), ("other.yaml", False)]


@pytest.mark.parametrize(("target", "refused"), TARGETS)
def test_given_encryption_when_slipway_reads_the_file_then_it_is_refused_with_what_to_use_instead(
    target: str, refused: bool
) -> None:
    app = ATTACHED["app.pipecd.yaml"].replace("  eventW", ENCRYPTION % target)
    errors = read_app(reading(ATTACHED | {"app.pipecd.yaml": app})).errors
    assert [error.path for error in errors] == (["spec.encryption.decryptionTargets[0]"] if refused else [])
    assert all("Secrets Manager or Parameter Store" in error.help for error in errors)


LAUNCHED_BY_PIPED = FILES | {
    "promotion.yaml": SPEC.replace("git: {event", "task: {launcher: pipecd}\n  git: {event"),
    "app.pipecd.yaml": APP.replace("runStandaloneTask: false", "runStandaloneTask: true"),
}


def test_given_encryption_when_pipecd_launches_the_task_then_the_file_is_read_without_the_secret() -> None:
    files = LAUNCHED_BY_PIPED | {
        "app.pipecd.yaml": LAUNCHED_BY_PIPED["app.pipecd.yaml"].replace("  eventW", ENCRYPTION % "taskdef.yaml"),
        "taskdef.yaml": TASKDEF + '    command: ["{{ .encryptedSecrets.token }}"]\n',
    }
    findings = read_app(reading(files))
    assert findings.problems == ()
    assert findings.app is not None
    assert findings.app.taskdef["containerDefinitions"][0]["command"] == ["(a secret that piped decrypts)"]


def test_given_a_piped_that_runs_nothing_when_it_is_to_launch_the_task_then_it_is_an_error() -> None:
    [error] = read_app(reading(LAUNCHED_BY_PIPED | {"app.pipecd.yaml": APP})).errors
    assert (error.file, error.line, error.path) == ("app.pipecd.yaml", 8, "spec.input.runStandaloneTask")
    assert "run nothing" in error.message


@pytest.mark.parametrize(
    "value", ["{{ .encryptedSecrets.token }}", "{{ .attachment.x }}", '"{{ .a }}"', "a {{ .b", "[{{ .a }}, b]"]
)
def test_given_a_template_that_nothing_renders_when_the_app_is_checked_then_it_is_an_error_at_its_place(value: str) -> None:
    taskdef = TASKDEF + f"    environment:\n      - name: TOKEN\n        value: {value}\n"
    [error] = read_app(reading(FILES | {"taskdef.yaml": taskdef})).errors
    assert error.line == 7
    assert "nothing renders" in error.message


def test_given_an_attachment_that_fills_a_block_when_the_image_cannot_be_written_then_the_template_is_told() -> None:
    taskdef = TASKDEF + "    command:\n      - |\n{{ .attachment.settings | indent 8 }}\n"
    [error] = read_app(reading(ATTACHED | {"taskdef.yaml": taskdef})).errors
    assert "with the template {{ .attachment.settings | indent 8 }} the file is not YAML" in error.message
    assert "replace the image by a regex" in error.help


def test_given_a_launch_type_beside_capacity_providers_when_the_app_is_checked_then_one_is_to_be_removed() -> None:
    strategy = "    capacityProviderStrategy: [{capacityProvider: FARGATE_SPOT, weight: 1}]\n"
    app = APP.replace("    taskD", f"{strategy}    taskD")
    assert read_app(reading(FILES | {"app.pipecd.yaml": app})).problems == ()
    [error] = read_app(reading(FILES | {"app.pipecd.yaml": app.replace("    taskD", "    launchType: EC2\n    taskD")})).errors
    assert error.path == "spec.input.launchType"


def test_given_a_byte_order_mark_and_several_documents_when_the_app_is_read_then_the_first_counts() -> None:
    marked = {file: f"\ufeff{FILES[file]}---\nother: {{\n" for file in ("app.pipecd.yaml", "taskdef.yaml")}
    findings = read_app(reading(FILES | marked))
    assert findings.problems == ()
    assert findings.app is not None


def test_given_keys_in_any_case_and_empty_values_when_the_app_is_read_then_they_are_read_as_go_does() -> None:
    app = APP.replace("clusterArn", "ClusterARN").replace("taskD", "launchType: ''\n    serviceDefinitionFile: ~\n    taskD")
    findings = read_app(reading(FILES | {"app.pipecd.yaml": app}))
    assert findings.problems == ()
    assert findings.app is not None
    assert findings.app.pipecd.ecs.launch_type == "FARGATE"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "smoke/response.schema.json is not there"),
        ({"smoke/response.schema.json": '{"type": "text"}'}, "smoke/response.schema.json is no JSON Schema"),
        ({"smoke/response.schema.json": '{"$ref": "https://example.com/a.json"}'}, "only parts of the same file"),
    ],
)
def test_given_a_schema_of_the_answer_when_it_cannot_be_used_then_it_is_refused_at_its_line(
    files: dict[str, str], said: str
) -> None:
    spec = SPEC.replace("smoke/request.json", "smoke/request.json, schema: smoke/response.schema.json")
    (problem,) = read_app(reading(FILES | {"promotion.yaml": spec} | files)).errors
    assert (problem.path, problem.line) == ("spec.rollout.smoke.schema", 14)
    assert said in problem.message


async def test_given_a_schema_of_the_answer_when_the_files_have_to_be_waited_for_then_it_is_asked_for() -> None:
    spec = SPEC.replace("smoke/request.json", "smoke/request.json, schema: smoke/response.schema.json")
    files = FILES | {"promotion.yaml": spec, "smoke/response.schema.json": '{"type": "object"}'}

    async def read(paths: Collection[str]) -> dict[str, bytes | None]:
        return {path: files[path].encode() if path in files else None for path in paths}

    assert (await read_app_from(read)).problems == ()

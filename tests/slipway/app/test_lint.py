from __future__ import annotations

from pathlib import Path

import pytest

from slipway.app.lint import Read, read_app, read_app_from
from slipway.app.problems import Severity

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


def reading(files: dict[str, str]) -> Read:
    return lambda path: files[path].encode() if path in files else None


def test_given_files_that_fit_when_they_are_checked_then_there_is_nothing_to_say() -> None:
    findings = read_app(reading(FILES))
    assert findings.problems == ()
    assert findings.app is not None
    assert findings.app.handler.event == "image-update"


@pytest.mark.parametrize(
    ("file", "old", "new", "line", "path", "said"),
    [
        ("promotion.yaml", "event: image-update", "event: other", 6, "spec.git.event", "no event watcher of this name"),
        ("promotion.yaml", "smoke/request.json", "smoke/other.json", 14, "spec.rollout.smoke.payload", "is not there"),
        ("promotion.yaml", "git: {event", "task: {launcher: pipecd}\n  git: {event", 6, "spec.task.launcher", "not built yet"),
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
            "does not write the image of a container",
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

    async def read(path: str) -> bytes | None:
        asked.append(path)
        return FILES[path].encode()

    findings = await read_app_from(read)
    assert findings.app is not None
    assert sorted(asked) == sorted(FILES)


def test_given_the_sample_app_when_it_is_checked_then_nothing_is_wrong_or_surprising() -> None:
    folder = Path(__file__).parents[3] / "pipecd"
    problems = read_app(lambda path: (folder / path).read_bytes() if (folder / path).is_file() else None).problems
    assert [str(problem) for problem in problems] == []

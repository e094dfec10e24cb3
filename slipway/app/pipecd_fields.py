"""Every key of PipeCD's ECS application, v0 and v1, and what Slipway does with it.

`docs/pipecd.md` shows this table, and `slipway lint` warns by it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from slipway.app.pipecd import member
from slipway.app.problems import Problem, Severity
from slipway.app.yaml_source import Document, Path


class Handling(StrEnum):
    """What Slipway does with a key."""

    read = "read"
    passed_on = "passed on"
    refused = "refused"
    ignored = "ignored"


@dataclass(frozen=True)
class Field:
    """One key.

    Args:
        key: Its path below `spec`. `input.…` stands for `plugins.ecs.input.…`, too.
        versions: The versions of PipeCD that know it.
        handling: What Slipway does with it where it launches the task.
        why: What it says to Slipway, or why it says nothing.
        warned: Whether `slipway lint` warns of it, where it is ignored and Slipway launches the task.
    """

    key: str
    versions: str
    handling: Handling
    why: str
    warned: bool = False


BOTH, ONLY_V0, ONLY_V1, NONE = "v0, v1", "v0", "v1", "none"
_READ, _PASSED, _REFUSED, _IGNORED = Handling.read, Handling.passed_on, Handling.refused, Handling.ignored
FIELDS = (
    Field("name", BOTH, _IGNORED, "names the app in PipeCD, where Slipway may look it up; its own name is `metadata.name`"),
    Field("labels", BOTH, _IGNORED, "for PipeCD's console; the labels of events are under `eventWatcher`"),
    Field("description", BOTH, _IGNORED, "for PipeCD's console"),
    Field("plugin", ONLY_V1, _IGNORED, "names the plugin; the input says that it is an ECS app"),
    Field("deployTarget", ONLY_V1, _IGNORED, "names credentials of piped; the worker has its own"),
    Field("deployTargets", ONLY_V1, _IGNORED, "names credentials of piped; the worker has its own"),
    Field("plugins", BOTH, _READ, "`plugins.ecs.input` is the input of an `Application`; other plugins are left alone"),
    Field("input.clusterArn", BOTH, _PASSED, "RunTask's `cluster`"),
    Field("input.launchType", BOTH, _PASSED, "RunTask's `launchType`; `FARGATE` by default"),
    Field("input.awsvpcConfiguration.subnets", BOTH, _PASSED, "RunTask's network; without subnets none is sent"),
    Field("input.awsvpcConfiguration.assignPublicIp", BOTH, _PASSED, "RunTask's network"),
    Field("input.awsvpcConfiguration.securityGroups", BOTH, _PASSED, "RunTask's network"),
    Field("input.taskDefinitionFile", BOTH, _READ, "the file that is registered; `taskdef.json` by default"),
    Field("input.runStandaloneTask", BOTH, _READ, "whether piped runs it, too; by default `true` in v0, `false` in v1"),
    Field("input.serviceDefinitionFile", BOTH, _REFUSED, "makes the app a service; Slipway runs standalone tasks"),
    Field("input.targetGroups", BOTH, _IGNORED, "routes a service's traffic; a standalone task has none", warned=True),
    Field("input.accessType", BOTH, _IGNORED, "says how a service is reached; a standalone task is not", warned=True),
    Field("input.autoRollback", ONLY_V0, _IGNORED, "PipeCD has none of a standalone task; Slipway has its own", warned=True),
    Field("input.capacityProviderStrategy", NONE, _PASSED, "RunTask's, in place of `launchType`"),
    Field("input.platformVersion", NONE, _PASSED, "RunTask's"),
    Field("input.placementStrategy", NONE, _PASSED, "RunTask's"),
    Field("input.placementConstraints", NONE, _PASSED, "RunTask's; those of the task definition are registered with it"),
    Field("input.enableExecuteCommand", NONE, _PASSED, "RunTask's"),
    Field("input.propagateTags", NONE, _PASSED, "RunTask's"),
    Field("input.tags", NONE, _PASSED, "RunTask's, as a list of `{key, value}`; Slipway adds its own"),
    Field("quickSync", BOTH, _IGNORED, "says how a service is replaced; a standalone task is run anew"),
    Field("attachment.sources", BOTH, _READ, "files that are put into the targets, at the commit that is registered"),
    Field("attachment.targets", BOTH, _READ, "files that are rendered before they are read"),
    Field("encryption.encryptedSecrets", BOTH, _REFUSED, "only piped can decrypt them; allowed where PipeCD launches the task"),
    Field("encryption.decryptionTargets", BOTH, _REFUSED, "use Secrets Manager or Parameter Store in `secrets:`"),
    Field("eventWatcher[].matcher.name", BOTH, _READ, "`spec.git.event` names it"),
    Field("eventWatcher[].matcher.labels", BOTH, _READ, "tell events of one name apart; `spec.git.event.labels` names them"),
    Field("eventWatcher[].handler.type", BOTH, _READ, "`GIT_UPDATE`, the only one there is"),
    Field("eventWatcher[].handler.config.commitMessage", BOTH, _READ, "the message of the commit"),
    Field("eventWatcher[].handler.config.makePullRequest", BOTH, _REFUSED, "Slipway pushes; allowed with `git.writer: pipecd`"),
    Field("eventWatcher[].handler.config.replacements[].file", BOTH, _READ, "where the image is written"),
    Field("eventWatcher[].handler.config.replacements[].yamlField", BOTH, _READ, "one value; PipeCD fails on `..` and `[*]`"),
    Field("eventWatcher[].handler.config.replacements[].regex", BOTH, _READ, "the first group of each match"),
    Field("eventWatcher[].handler.config.replacements[].jsonField", BOTH, _REFUSED, "PipeCD would empty the file"),
    Field("eventWatcher[].handler.config.replacements[].HCLField", BOTH, _REFUSED, "PipeCD would empty the file"),
    Field("planner", BOTH, _IGNORED, "chooses between PipeCD's ways to deploy"),
    Field("commitMatcher", BOTH, _IGNORED, "chooses between PipeCD's ways to deploy"),
    Field("trigger", BOTH, _IGNORED, "says when PipeCD deploys; `slipway start` or the image's commit starts a promotion"),
    Field("pipeline", BOTH, _IGNORED, "PipeCD's stages; Slipway has its own and waits for none of them", warned=True),
    Field("postSync", BOTH, _IGNORED, "deployments that PipeCD starts behind this one; Slipway starts none", warned=True),
    Field("timeout", BOTH, _IGNORED, "bounds a deployment by PipeCD; Slipway's limits are in `promotion.yaml`"),
    Field("notification", BOTH, _IGNORED, "whom PipeCD mentions in Slack"),
    Field("driftDetection", BOTH, _IGNORED, "compares a service with its files"),
)


def table() -> str:
    """The fields as Markdown."""
    rows = [f"| `spec.{field.key}` | {field.versions} | {field.handling} | {field.why} |" for field in FIELDS]
    return "\n".join(["| Key | PipeCD | Slipway | |", "|---|---|---|---|", *rows])


def warnings_of(document: Document, input_path: Sequence[str], launcher: str) -> tuple[Problem, ...]:
    """A warning for each key that whoever launches the task does not heed, or that neither PipeCD nor Slipway knows.

    Args:
        document: PipeCD's file.
        input_path: Where it has the input.
        launcher: Who launches the task, by the word of `spec.task.launcher`.
    """
    found = [*_warnings(document, ("spec",), "", launcher), *_warnings(document, tuple(input_path), "input.", launcher)]
    if tuple(input_path) != ("spec", "input") and isinstance(_at(document.data, ("spec", "input")), dict):
        found.append(_warning(document, ("spec", "input"), f"is not used: {'.'.join(input_path)} is", "keep one of them"))
    network = (*input_path, "awsvpcConfiguration")
    return (*found, *_warnings(document, network, "input.awsvpcConfiguration.", launcher))


def _warnings(document: Document, path: Path, prefix: str, launcher: str) -> Iterator[Problem]:
    """Warnings of the keys of one mapping."""
    known = _known(prefix)
    for key in _keys(document.data, path):
        field = known.get(key.casefold())
        if field is None:
            names = {name.casefold(): name for name in _names(prefix)}
            near = difflib.get_close_matches(key.casefold(), names, n=1)
            help_ = f"did you mean {names[near[0]]!r}?" if near else "remove it, or correct its name"
            yield _warning(
                document, (*path, key), f"{key!r} is no key of PipeCD's ECS application, and Slipway does not use it", help_
            )
        elif launcher == "pipecd" and field.versions == NONE:
            message = f"{key!r} is no key of PipeCD, which launches the task: piped v0 refuses a file with it"
            yield _warning(document, (*path, key), message, "remove it")
        elif field.warned and launcher == "slipway":
            yield _warning(
                document,
                (*path, key),
                f"{key!r} has no effect here: {field.why.replace('`', '')}",
                "remove it if it is not for PipeCD",
            )


def _known(prefix: str) -> dict[str, Field]:
    return {name.casefold(): field for name, field in reversed([*_named(prefix)])}


def _names(prefix: str) -> list[str]:
    return [name for name, _ in _named(prefix)]


def _named(prefix: str) -> Iterator[tuple[str, Field]]:
    for field in FIELDS:
        if field.key.startswith(prefix):
            yield field.key.removeprefix(prefix).partition(".")[0].removesuffix("[]"), field


def _keys(data: Any, path: Path) -> list[str]:
    found = _at(data, path)
    return list(cast("dict[str, Any]", found)) if isinstance(found, dict) else []


def _at(data: Any, path: Path) -> Any:
    for part in path:
        data = member(data, str(part))
    return data


def _warning(document: Document, path: Path, message: str, help_: str) -> Problem:
    return document.problem(path, message, help_, at_key=True).model_copy(update={"severity": Severity.warning})

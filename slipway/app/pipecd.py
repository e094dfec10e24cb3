"""Reads `app.pipecd.yaml`: the ECS application of PipeCD (v0) and its event watcher.

Only what Slipway acts on becomes part of the models. Keys that it does not know are left to PipeCD, which has many more.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from slipway.app.expressions import expression
from slipway.app.problems import FileError, Problem, shown
from slipway.app.rules import READING, Bounds, file_of_the_app
from slipway.app.yaml_source import Document, Path, load_document

APP_FILE = "app.pipecd.yaml"
EXPECTED = {"apiVersion": "pipecd.dev/v1beta1", "kind": "ECSApp"}
VARIABLES = (".Value", ".EventName")
"""All that PipeCD puts into the template of a commit message."""
_VARIABLE = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)


AppPath = Annotated[str, file_of_the_app("taskdef.yaml")]


class PipecdModel(BaseModel):
    """Base of what is read from PipeCD's file."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


class AwsvpcConfiguration(PipecdModel):
    """The task's network, as RunTask takes it."""

    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    assign_public_ip: str | None = None

    def request(self) -> dict[str, Any] | None:
        """The value of RunTask's `networkConfiguration`; none without subnets, when PipeCD sends none either."""
        if not self.subnets:
            return None
        network: dict[str, Any] = {"subnets": list(self.subnets)}
        if self.security_groups:
            network["securityGroups"] = list(self.security_groups)
        if self.assign_public_ip:
            network["assignPublicIp"] = self.assign_public_ip
        return {"awsvpcConfiguration": network}


class EcsApp(PipecdModel):
    """`spec.input` of an ECSApp: how the standalone task runs."""

    cluster_arn: str = ""
    launch_type: str = "FARGATE"
    awsvpc_configuration: AwsvpcConfiguration = AwsvpcConfiguration()
    task_definition_file: AppPath = "taskdef.json"
    service_definition_file: str = ""
    run_standalone_task: bool = True

    @property
    def standalone(self) -> bool:
        """Whether the app is a task that runs once, rather than a service. PipeCD decides by the service's file."""
        return not self.service_definition_file


class Replacement(PipecdModel):
    """One field of one file that an event's value is written to."""

    file: AppPath
    yaml_field: str = ""
    json_field: str = ""
    hcl_field: Annotated[str, Field(alias="HCLField")] = ""
    regex: str = ""


class EventHandler(PipecdModel):
    """The `GIT_UPDATE` handler of an event."""

    event: str
    """The event's name, from the matcher."""
    commit_message: str = ""
    make_pull_request: bool = False
    replacements: Annotated[tuple[Replacement, ...], Bounds(max_length=20)]

    def message(self, value: str) -> str:
        """The commit's message for a value, as PipeCD writes it."""
        template = self.commit_message or f'Replace values with "{value}" set by Event "{self.event}"'
        values = {".Value": value, ".EventName": self.event}
        return _VARIABLE.sub(lambda match: values[match[1]], template)


class PipecdApp(PipecdModel):
    """What Slipway needs of an `app.pipecd.yaml`."""

    ecs: EcsApp
    handlers: tuple[EventHandler, ...] = ()

    def handler(self, event: str) -> EventHandler | None:
        """The handler of an event, or none."""
        return next((handler for handler in self.handlers if handler.event == event), None)


def parse_app(text: str, file: str = APP_FILE) -> PipecdApp:
    """Reads an application's configuration.

    Raises:
        FileError: It is not an ECSApp, or holds what PipeCD itself would fail on; every problem is listed.
    """
    return app_of(load_document(text, file))


def app_of(document: Document) -> PipecdApp:
    """The application of a document.

    Raises:
        FileError: It is not an ECSApp, or holds what PipeCD itself would fail on; every problem is listed.
    """
    reader = _AppReader(document)
    app = reader.app()
    if app is None or reader.problems:
        raise FileError(f"reading {document.file}", reader.problems)
    return app


M = TypeVar("M", bound=PipecdModel)


class _AppReader:
    """Reads the parts of the document and collects the problems."""

    def __init__(self, document: Document) -> None:
        self.problems: list[Problem] = []
        self._document = document

    def app(self) -> PipecdApp | None:
        for key, value in EXPECTED.items():
            if self._at((key,)) != value:
                self._problem((key,), f"found {shown(self._at((key,)))}", f"Slipway follows {value}")
        ecs = self._model(EcsApp, ("spec", "input"), {})
        events = self._at(("spec", "eventWatcher"))
        count = len(events) if isinstance(events, list) else 0  # pyright: ignore[reportUnknownArgumentType]
        handlers = [self._handler(("spec", "eventWatcher", index)) for index in range(count)]
        return ecs and PipecdApp(ecs=ecs, handlers=tuple(handler for handler in handlers if handler))

    def _handler(self, path: Path) -> EventHandler | None:
        name = self._at((*path, "matcher", "name"))
        kind = self._at((*path, "handler", "type"))
        if not isinstance(name, str) or not name:
            self._problem((*path, "matcher", "name"), "the event has no name", "name the event that CI registers")
            return None
        if kind != "GIT_UPDATE":
            self._problem((*path, "handler", "type"), f"found {shown(kind)}", "allowed: GIT_UPDATE")
            return None
        config = (*path, "handler", "config")
        handler = self._model(EventHandler, config, {"event": name})
        if handler is not None:
            self._check_handler(handler, config)
        return handler

    def _check_handler(self, handler: EventHandler, path: Path) -> None:
        for name in _VARIABLE.findall(handler.commit_message):
            if name not in VARIABLES:
                self._problem((*path, "commitMessage"), f"found {{{{ {name} }}}}", "allowed: {{ .Value }} and {{ .EventName }}")
        if not handler.replacements:
            self._problem((*path, "replacements"), "replaces nothing", "name a file and its yamlField")
        for index, replacement in enumerate(handler.replacements):
            self._check_replacement(replacement, (*path, "replacements", index))

    def _check_replacement(self, replacement: Replacement, path: Path) -> None:
        for key, value in (("jsonField", replacement.json_field), ("HCLField", replacement.hcl_field)):
            if value:
                # The field is parsed but not implemented, and the file comes out empty: pipe-cd/pipecd issue 7394.
                self._problem((*path, key), f"PipeCD would empty the file by {key}", "use yamlField or regex")
                return
        if not replacement.yaml_field and not replacement.regex:
            self._problem(path, "names no field in the file", "add yamlField, as $.containerDefinitions[0].image")
        if replacement.regex:
            self._check_regex(replacement.regex, (*path, "regex"))

    def _check_regex(self, regex: str, path: Path) -> None:
        try:
            expression(regex)
        except ValueError as error:
            self._problem(path, str(error), "correct the expression; PipeCD's are those of Go, without lookaround")

    def _model(self, model: type[M], path: Path, more: dict[str, Any]) -> M | None:
        data = self._at(path)
        if not isinstance(data, dict):
            self._problem(path, "is required and absent", "add it as PipeCD's reference for ECSApp says")
            return None
        try:
            return model.model_validate({**data, **more}, context=READING, by_alias=True, by_name=bool(more))
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                place = (*path, *detail["loc"])
                self._problem(place, f"found {shown(self._at(place))}", detail["msg"].removeprefix("Value error, "))
            return None

    def _at(self, path: Path) -> Any:
        value: Any = self._document.data
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def _problem(self, path: Path, message: str, help_: str) -> None:
        self.problems.append(self._document.problem(path, message, help_))

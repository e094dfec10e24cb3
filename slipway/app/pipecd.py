"""Reads `app.pipecd.yaml`: the ECS application of PipeCD, v0 (`ECSApp`) or v1 (`Application`), and its event watchers.

Only what Slipway acts on becomes part of the models. slipway/app/pipecd_fields.py has a line for each key that PipeCD knows.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from slipway.app.expressions import expression
from slipway.app.go_functions import quoted
from slipway.app.problems import FileError, Problem, shown
from slipway.app.rules import READING, Bounds, file_of_the_app
from slipway.app.yaml_source import Document, Path, load_document
from slipway.errors import cap
from slipway.text import one_line

APP_FILE = "app.pipecd.yaml"
API_VERSION = "pipecd.dev/v1beta1"
V0, V1 = "ECSApp", "Application"
PLUGIN = ("spec", "plugins", "ecs", "input")
"""Where the ECS plugin of v1 has its input; `spec.input` is where v0 has it."""
FILES_LIMIT = 20
"""Files that one list of the application's may name: each may have megabytes, and is in memory with the others."""
VARIABLES = (".Value", ".EventName")
"""All that PipeCD puts into the template of a commit message."""
_WANTED = {
    "string_type": "allowed: a text",
    "tuple_type": "allowed: a list",
    "bool_type": "allowed: true or false",
    "bool_parsing": "allowed: true or false",
    "int_type": "allowed: a whole number",
    "int_parsing": "allowed: a whole number",
    "dict_type": "allowed: texts by their names",
    "model_type": "allowed: a mapping of keys and values",
    "missing": "add it",
}
"""What is allowed, by pydantic's names of errors."""
_NAME_SHOWN = 60
"""Characters of a variable that PipeCD does not know."""


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

    @model_validator(mode="before")
    @classmethod
    def _as_go_reads(cls, data: Any, info: ValidationInfo) -> Any:
        """Keys in any case; what is null or empty is not given."""
        if info.context != READING or not isinstance(data, dict):
            return data
        given = cast("dict[str, Any]", data)
        names = [field.alias or name for name, field in cls.model_fields.items()]
        spelled = {name.casefold(): name for name in names}
        found: dict[str, Any] = {}
        for key, value in given.items():
            name = spelled.get(key.casefold(), key)
            if name in found:
                raise ValueError(f"has {name!r} twice, in other cases of its letters; keep one")
            found[name] = value
        return {name: value for name, value in found.items() if value is not None and value != ""}


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


class CapacityProvider(PipecdModel):
    """One provider of RunTask's `capacityProviderStrategy`."""

    capacity_provider: str
    weight: int | None = None
    base: int | None = None


class PlacementStrategy(PipecdModel):
    """One rule of RunTask's `placementStrategy`."""

    type: str
    field: str | None = None


class PlacementConstraint(PipecdModel):
    """One rule of RunTask's `placementConstraints`."""

    type: str
    expression: str | None = None


class Tag(PipecdModel):
    """One tag of the task."""

    key: str
    value: str = ""


class EcsApp(PipecdModel):
    """The app's input: how the standalone task runs."""

    cluster_arn: str = ""
    launch_type: str = "FARGATE"
    awsvpc_configuration: AwsvpcConfiguration = AwsvpcConfiguration()
    task_definition_file: AppPath = "taskdef.json"
    service_definition_file: str = ""
    run_standalone_task: bool = True
    capacity_provider_strategy: tuple[CapacityProvider, ...] = ()
    platform_version: str = ""
    placement_strategy: tuple[PlacementStrategy, ...] = ()
    placement_constraints: tuple[PlacementConstraint, ...] = ()
    enable_execute_command: bool = False
    propagate_tags: str = ""
    tags: tuple[Tag, ...] = ()

    @property
    def standalone(self) -> bool:
        """Whether the app is a task that runs once, rather than a service. PipeCD decides by the service's file."""
        return not self.service_definition_file

    @property
    def on_fargate(self) -> bool:
        """Whether Fargate runs the task, which then needs subnets."""
        providers = [item.capacity_provider for item in self.capacity_provider_strategy]
        return any(name.startswith("FARGATE") for name in providers or [self.launch_type])

    def request(self) -> dict[str, Any]:
        """What RunTask is told of how to run the task; what is not given is left out."""
        how = {"platform_version", "placement_strategy", "placement_constraints", "enable_execute_command", "propagate_tags"}
        # RunTask takes a launch type or a strategy, not both.
        how.add("capacity_provider_strategy" if self.capacity_provider_strategy else "launch_type")
        given = self.model_dump(include=how, by_alias=True, exclude_none=True, mode="json")
        given["networkConfiguration"] = self.awsvpc_configuration.request()
        return {name: value for name, value in given.items() if value}


class Attachment(PipecdModel):
    """Files whose content piped puts into others."""

    sources: Annotated[dict[str, AppPath], Bounds(max_length=FILES_LIMIT)] = {}
    """Files, by the names that templates have for them."""
    targets: Annotated[tuple[AppPath, ...], Bounds(max_length=FILES_LIMIT)] = ()
    """Files that are templates. One that is named twice is rendered twice."""


class Encryption(PipecdModel):
    """Secrets that only piped can decrypt."""

    encrypted_secrets: dict[str, str] = {}
    decryption_targets: Annotated[
        tuple[Annotated[str, AfterValidator(posixpath.normpath)], ...], Bounds(max_length=FILES_LIMIT)
    ] = ()


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
    labels: dict[str, str] = {}
    """The event's labels, from the matcher. Name and labels together say which event it is."""
    commit_message: str = ""
    make_pull_request: bool = False
    replacements: Annotated[tuple[Replacement, ...], Bounds(max_length=FILES_LIMIT)]

    def message(self, value: str) -> str:
        """The commit's message for a value, as PipeCD writes it."""
        template = self.commit_message or f"Replace values with {quoted(value)} set by Event {quoted(self.event)}"
        values = {".Value": value, ".EventName": self.event}
        return "".join(text if name is None else text + values[name] for text, name in _parts(template))


class PipecdApp(PipecdModel):
    """What Slipway needs of an `app.pipecd.yaml`."""

    ecs: EcsApp
    handlers: tuple[EventHandler, ...] = ()
    """One for each event watcher, in the file's order."""
    attachment: Attachment | None = None
    encryption: Encryption | None = None
    file: str = APP_FILE
    """The file's name in the application's folder."""
    name: str = ""
    """The application's name in PipeCD; empty where the file has none."""
    input_path: tuple[str, ...] = ("spec", "input")
    """Where the file has the input."""

    def watchers(self, event: str, labels: Mapping[str, str] | None = None) -> tuple[int, ...]:
        """The positions of the event watchers of an event.

        Args:
            event: The event's name.
            labels: Its labels. None: whatever they are.
        """
        return tuple(
            position
            for position, handler in enumerate(self.handlers)
            if handler.event == event and labels in (None, handler.labels)
        )


def parse_app(text: str, file: str = APP_FILE) -> PipecdApp:
    """Reads an application's configuration.

    Raises:
        FileError: It is no ECS application, or holds what PipeCD itself would fail on; every problem is listed.
    """
    return app_of(load_document(text, file, first=True))


def app_of(document: Document) -> PipecdApp:
    """The application of a document.

    Raises:
        FileError: It is no ECS application, or holds what PipeCD itself would fail on; every problem is listed.
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
        self._check_kind()
        path = self._input_path()
        defaults = {} if path == ("spec", "input") and self._at(("kind",)) != V1 else {"run_standalone_task": False}
        ecs = self._model(EcsApp, path, {}, defaults)
        events, name = self._at(("spec", "eventWatcher")), self._at(("spec", "name"))
        count = len(events) if isinstance(events, list) else 0  # pyright: ignore[reportUnknownArgumentType]
        handlers = [self._handler(("spec", "eventWatcher", index)) for index in range(count)]
        return ecs and PipecdApp(
            ecs=ecs,
            handlers=tuple(handler for handler in handlers if handler),
            attachment=self._files(Attachment, "attachment", "targets"),
            encryption=self._files(Encryption, "encryption", "decryptionTargets"),
            file=self._document.file,
            name=name if isinstance(name, str) else "",
            input_path=path,
        )

    def _check_kind(self) -> None:
        version, kind = self._at(("apiVersion",)), self._at(("kind",))
        if version != API_VERSION:
            self._problem(("apiVersion",), f"found {shown(version)}", f"Slipway follows {API_VERSION}")
        if kind not in (V0, V1):
            self._problem(("kind",), f"found {shown(kind)}", f"Slipway follows {V0}, and {V1} with the plugin ecs")

    def _input_path(self) -> tuple[str, ...]:
        """Where the input is: v1 has it under its plugin; older files of v1, as those of v0, right in the spec."""
        in_plugin = self._at(PLUGIN) is not None
        prefers_plugin = self._at(("kind",)) == V1 or self._at(("spec", "input")) is None
        nowhere = self._at(("spec", "input")) is None and self._at(("kind",)) == V1
        return PLUGIN if nowhere or (in_plugin and prefers_plugin) else ("spec", "input")

    def _files(self, model: type[M], key: str, targets: str) -> M | None:
        if self._at(("spec", key)) is None:
            return None
        if not self._at(("spec", key, targets)):
            self._problem(("spec", key, targets), "names no file", "PipeCD wants at least one target here")
            return None
        return self._model(model, ("spec", key), {})

    def _handler(self, path: Path) -> EventHandler | None:
        name, labels = self._at((*path, "matcher", "name")), self._at((*path, "matcher", "labels"))
        kind = self._at((*path, "handler", "type"))
        if not isinstance(name, str) or not name:
            found = "the event has no name" if name is None else f"found {shown(name)}"
            self._problem((*path, "matcher", "name"), found, "write the name of the event that CI registers, as text")
            return None
        if not _is_texts(labels or {}):
            self._problem((*path, "matcher", "labels"), f"found {shown(labels)}", "allowed: texts by their names")
            return None
        if kind != "GIT_UPDATE":
            self._problem((*path, "handler", "type"), f"found {shown(kind)}", "allowed: GIT_UPDATE")
            return None
        config = (*path, "handler", "config")
        handler = self._model(EventHandler, config, {"event": name, "labels": labels or {}})
        if handler is not None:
            self._check_handler(handler, config)
        return handler

    def _check_handler(self, handler: EventHandler, path: Path) -> None:
        for name in (name for _, name in _parts(handler.commit_message) if name is not None):
            if name not in VARIABLES:
                found = f"found {{{{ {cap(one_line(name), _NAME_SHOWN)} }}}}"
                self._problem((*path, "commitMessage"), found, "allowed: {{ .Value }} and {{ .EventName }}")
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

    def _model(self, model: type[M], path: Path, more: dict[str, Any], defaults: dict[str, Any] | None = None) -> M | None:
        data = self._at(path)
        if not isinstance(data, dict):
            self._problem(path, "is required and absent", "add it as PipeCD's reference for its ECS application says")
            return None
        try:
            read = model.model_validate({**data, **more}, context=READING, by_alias=True, by_name=False)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                place = (*path, *detail["loc"])
                self._problem(place, f"found {shown(self._at(place))}", _allowed(detail))
            return None
        return read.model_copy(
            update={name: value for name, value in (defaults or {}).items() if name not in read.model_fields_set}
        )

    def _at(self, path: Path) -> Any:
        """The value at a path. Keys are found in any case, as Go finds them."""
        value: Any = self._document.data
        for part in path:
            try:
                value = value[part] if isinstance(part, int) else member(value, part)
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def _problem(self, path: Path, message: str, help_: str) -> None:
        self.problems.append(self._document.problem(path, message, help_))


def _allowed(detail: ErrorDetails) -> str:
    if detail["type"] == "too_long":
        counted = detail["ctx"]  # pyright: ignore[reportTypedDictNotRequiredAccess] -- this error has it
        return f"allowed: at most {counted['max_length']}, and there are {counted['actual_length']}"
    return _WANTED.get(detail["type"]) or detail["msg"].removeprefix("Value error, ")


def _parts(template: str) -> Iterator[tuple[str, str | None]]:
    """The texts of a message's template, each with the variable behind it; none behind the last.

    Strangers write it. So it is read from front to back once, and no expression goes over its blanks again and again.
    """
    at, trims = 0, False
    while (start := template.find("{{", at)) >= 0 and (end := template.find("}}", start + 2)) >= 0:
        text, action, at = template[at:start], template[start + 2 : end], end + 2
        text = text.lstrip() if trims else text
        # A hyphen takes the space beside the action away; Go wants a blank between the two.
        if action[:1] == "-" and action[1:2].isspace():
            text, action = text.rstrip(), action[1:]
        trims = action[-1:] == "-" and action[-2:-1].isspace()
        yield text, action[: -1 if trims else None].strip()
    yield template[at:].lstrip() if trims else template[at:], None


def member(value: Any, key: str) -> Any:
    """The value of a key, which is found in any case, as Go finds it; none where it is not there."""
    if not isinstance(value, dict):
        return None
    pairs = cast("dict[str, Any]", value)
    if key in pairs:
        return pairs[key]
    return next((inner for name, inner in pairs.items() if name.casefold() == key.casefold()), None)


def _is_texts(labels: Any) -> bool:
    return isinstance(labels, dict) and all(isinstance(value, str) for value in cast("dict[str, Any]", labels).values())

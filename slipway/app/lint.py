"""Checks an application's files against each other, before anything is done with them.

Errors refuse a promotion. Warnings say where something else will happen than the files seem to ask, such as a canary on one
instance.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from slipway.app.pipecd import APP_FILE, EventHandler, PipecdApp, app_of
from slipway.app.problems import FileError, Problem, Severity
from slipway.app.replacements import FileChange, apply_event
from slipway.app.spec import SPEC_FILE, ModelPromotion
from slipway.app.spec_reader import spec_of
from slipway.app.taskdef import TaskDefinition, container_images, parse_taskdef, taskdef_of
from slipway.app.yaml_source import SIZE_LIMIT, TASKDEF_LIMIT, Document, Path, load_document
from slipway.errors import SlipwayError
from slipway.oci.reference import ImageReference

Read = Callable[[str], bytes | None]
"""Gives a file of the application's folder by its path there, or none where it is not there."""
_ROUNDS = 6
PROBE = f"000000000000.dkr.ecr.us-east-1.amazonaws.com/probe@sha256:{'0' * 64}"
"""An image that no file has. It is written to a copy in memory, to see where the handler writes."""
T = TypeVar("T")


@dataclass(frozen=True)
class App:
    """An application's files, read."""

    spec: ModelPromotion
    pipecd: PipecdApp
    handler: EventHandler
    taskdef: TaskDefinition


@dataclass(frozen=True)
class Findings:
    """The result of reading an application: the problems, and the application where there is no error among them."""

    problems: tuple[Problem, ...]
    app: App | None

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that refuse a promotion."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.error)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that are only shown."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.warning)


def read_app(read: Read) -> Findings:
    """Reads and checks an application's files."""
    return _Linter(read, {}).findings()


async def read_app_from(read: Callable[[Collection[str]], Awaitable[Mapping[str, bytes | None]]]) -> Findings:
    """Like `read_app`, for files that have to be waited for: which ones are needed is seen from those that came before.

    A thread parses them, so that other promotions go on whatever is in them. Each file is parsed once.

    Args:
        read: Gives several files of the application's folder by their paths there; none where one is not there.
    """
    known: dict[str, bytes | None] = {}
    documents: dict[str, Document | FileError] = {}
    for _ in range(_ROUNDS):
        wanted: set[str] = set()
        linter = _Linter(lambda path, wanted=wanted: known[path] if path in known else wanted.add(path), documents)
        findings = await asyncio.to_thread(linter.findings)
        if not wanted:
            return findings
        known.update(await read(wanted))
    return await asyncio.to_thread(_Linter(known.get, documents).findings)


class _Linter:
    """One pass over an application's files.

    Args:
        read: Gives a file.
        loaded: The files that an earlier pass has parsed, or could not parse.
    """

    def __init__(self, read: Read, loaded: dict[str, Document | FileError]) -> None:
        self._read = read
        self._loaded = loaded
        self._problems: list[Problem] = []
        self._documents: dict[str, Document] = {}

    def findings(self) -> Findings:
        spec = self._parsed(SPEC_FILE, spec_of)
        pipecd = self._parsed(APP_FILE, app_of)
        taskdef = self._parsed(pipecd.ecs.task_definition_file, taskdef_of, TASKDEF_LIMIT) if pipecd else None
        handler = self._handler(spec, pipecd) if spec and pipecd else None
        if pipecd:
            self._check_pipecd(pipecd, spec.spec.task.launcher if spec else "slipway")
        if spec:
            self._check_task(spec)
            self._check_rollout(spec)
            self._check_approval(spec)
        if spec and pipecd and handler and taskdef:
            self._check_handler(spec, pipecd, handler)
        broken = any(problem.severity is Severity.error for problem in self._problems)
        app = None if broken or not (spec and pipecd and handler and taskdef) else App(spec, pipecd, handler, taskdef)
        return Findings(tuple(self._problems), app)

    def _parsed(self, file: str, parse: Callable[[Document], T], limit: int = SIZE_LIMIT) -> T | None:
        """A file by its reader; what that finds is among the problems."""
        content = self._read(file)
        if content is None:
            self._tell(Problem(file=file, line=0, column=0, path="", message="is not there", help="add it to the app's folder"))
            return None
        if file not in self._loaded:
            self._loaded[file] = _load(content, file, limit)
        document = self._loaded[file]
        if isinstance(document, FileError):
            self._problems.extend(document.problems)
            return None
        self._documents[file] = document
        try:
            return parse(document)
        except FileError as error:
            self._problems.extend(error.problems)
        return None

    def _handler(self, spec: ModelPromotion, pipecd: PipecdApp) -> EventHandler | None:
        handler = pipecd.handler(spec.spec.git.event)
        if handler is None:
            events = ", ".join(handler.event for handler in pipecd.handlers) or "none"
            message = f"{APP_FILE} has no event watcher of this name"
            self._error(SPEC_FILE, ("spec", "git", "event"), message, f"its event watchers: {events}")
        return handler

    def _check_pipecd(self, pipecd: PipecdApp, launcher: str) -> None:
        place = ("spec", "input")
        ecs = pipecd.ecs
        if not ecs.standalone:
            self._error(
                APP_FILE, (*place, "serviceDefinitionFile"), "makes the app a service", "remove it: Slipway runs standalone tasks"
            )
        if not ecs.cluster_arn:
            self._error(APP_FILE, (*place, "clusterArn"), "is required and absent", "name the cluster that the task runs in")
        if ecs.launch_type == "FARGATE" and not ecs.awsvpc_configuration.subnets:
            help_ = "add subnets, which a task on Fargate must have"
            self._error(APP_FILE, (*place, "awsvpcConfiguration", "subnets"), "is required and absent", help_)
        if launcher == "slipway" and ecs.run_standalone_task:
            message = "a piped that deploys this app would run the task a second time"
            self._warn(
                APP_FILE, (*place, "runStandaloneTask"), message, "set runStandaloneTask: false, or do not register the app"
            )

    def _check_task(self, spec: ModelPromotion) -> None:
        if spec.spec.task.launcher == "pipecd":
            message = "the launcher pipecd is not built yet"
            self._error(SPEC_FILE, ("spec", "task", "launcher"), message, "write slipway, which runs the task itself")

    def _check_handler(self, spec: ModelPromotion, pipecd: PipecdApp, handler: EventHandler) -> None:
        """Each place that the image is written to is there, and one of them is the task's image."""
        at = ("spec", "eventWatcher", pipecd.handlers.index(handler), "handler", "config")
        if handler.make_pull_request:
            message = "Slipway pushes to the branch and opens no pull request"
            self._error(APP_FILE, (*at, "makePullRequest"), message, "set it to false, or take another deployment branch")
        try:
            changes = apply_event(handler, PROBE, self._read)
        except SlipwayError as error:
            self._error(APP_FILE, (*at, "replacements"), f"{error.report.tried}: {error.report.answered}", error.report.remedy)
            return
        file = pipecd.ecs.task_definition_file
        change = next((change for change in changes if change.file == file), None)
        if change is None:
            self._error(APP_FILE, (*at, "replacements"), f"does not write to {file}", f"the task runs {file}: replace its image")
            return
        self._check_image(spec, file, change)

    def _check_image(self, spec: ModelPromotion, file: str, change: FileChange) -> None:
        if PROBE not in container_images(parse_taskdef(change.content.decode(), file)).values():
            self._error(APP_FILE, ("spec", "eventWatcher"), "does not write the image of a container", "write to its field image")
            return
        target = spec.spec.image.target
        try:
            found = str(ImageReference.parse(change.before).without_reference)
        except ValueError:
            found = change.before
        if found != target:
            message = f"{file} runs {found}, and the image goes to {target}"
            self._error(SPEC_FILE, ("spec", "image", "target"), message, f"name the same repository here and in {file}")

    def _check_rollout(self, spec: ModelPromotion) -> None:
        at = ("spec", "rollout")
        rollout = spec.spec.rollout
        strategy = rollout.strategy
        kind = "canary" if strategy.canary else "linear" if strategy.linear else None
        if kind and rollout.variant.instance_count == 1:
            message = f"one instance cannot take a {kind} of at most half the fleet: SageMaker moves all traffic at once"
            self._warn(SPEC_FILE, (*at, "strategy", kind), message, "set instanceCount to 2 or more")
        if (kind or strategy.bake) and not strategy.alarms:
            message = "without alarms SageMaker rolls nothing back while the traffic moves and the old fleet is kept"
            self._warn(SPEC_FILE, (*at, "strategy"), message, "name alarms, as alarms: [screening-5xx]")
        if rollout.smoke and self._read(rollout.smoke.payload) is None:
            self._error(
                SPEC_FILE, (*at, "smoke", "payload"), f"{rollout.smoke.payload} is not there", "add it to the app's folder"
            )

    def _check_approval(self, spec: ModelPromotion) -> None:
        at = ("spec", "approval")
        approval = spec.spec.approval
        if approval.mode == "auto" and not spec.spec.gates:
            message = "whatever the pipeline trains is rolled out without a gate or an approval"
            self._warn(SPEC_FILE, (*at, "mode"), message, "add gates, or write manual")
        if approval.mode == "manual" and not approval.self_approval and len(approval.approvers) == approval.quorum:
            message = "an approver who asks for a promotion may not approve it, and the others are too few"
            self._warn(SPEC_FILE, (*at, "approvers"), message, "add an approver, or allow selfApproval")

    def _error(self, file: str, path: Path, message: str, help_: str) -> None:
        self._tell(self._documents[file].problem(path, message, help_))

    def _warn(self, file: str, path: Path, message: str, help_: str) -> None:
        self._tell(self._documents[file].problem(path, message, help_).model_copy(update={"severity": Severity.warning}))

    def _tell(self, problem: Problem) -> None:
        self._problems.append(problem)


def _load(content: bytes, file: str, limit: int) -> Document | FileError:
    try:
        return load_document(content.decode(), file, limit)
    except UnicodeDecodeError:
        problem = Problem(file=file, line=0, column=0, path="", message="is not UTF-8", help="save it as UTF-8")
        return FileError(f"reading {file}", [problem])
    except FileError as error:
        return error

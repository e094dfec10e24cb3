"""Checks an application's files against each other, before anything is done with them.

Errors refuse a promotion. Warnings say where something else will happen than the files seem to ask, such as a canary on one
instance.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from slipway.app.answer_schema import AnswerSchema
from slipway.app.attachment import Read, render_file, uses
from slipway.app.ecs_api import wrong_words
from slipway.app.pipecd import APP_FILE, EventHandler, PipecdApp, app_of
from slipway.app.pipecd_fields import warnings_of
from slipway.app.problems import FileError, Problem, Severity, shown
from slipway.app.regions import region_of_app
from slipway.app.replacements import FileChange, apply_event
from slipway.app.spec import SPEC_FILE, Event, ModelPromotion, Rollout, SmokeRequest
from slipway.app.spec_reader import spec_of
from slipway.app.targets import twins
from slipway.app.taskdef import TaskDefinition, container_images, load_taskdef, taskdef_of
from slipway.app.yaml_source import Document, Path, load_document
from slipway.errors import SlipwayError
from slipway.oci.reference import ImageReference, with_registry

Loaded = dict[tuple[str, str], Document | FileError]
_ROUNDS = 6
PROBE = f"000000000000.dkr.ecr.us-east-1.amazonaws.com/probe@sha256:{'0' * 64}"
"""An image that no file has. It is written to a copy in memory, to see where the handler writes."""


@dataclass(frozen=True)
class App:
    """An application's files, read."""

    spec: ModelPromotion
    pipecd: PipecdApp
    handler: EventHandler
    taskdef: TaskDefinition
    containers: tuple[str, ...]
    """The containers whose image the handler writes."""


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
    documents: Loaded = {}
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
        loaded: The files that an earlier pass has parsed, or could not parse, by name and text.
    """

    def __init__(self, read: Read, loaded: Loaded) -> None:
        self._read = read
        self._loaded = loaded
        self._problems: list[Problem] = []
        self._documents: dict[str, Document] = {}

    def findings(self) -> Findings:
        spec = self._spec()
        launcher = spec.spec.task.launcher if spec else "slipway"
        pipecd = self._pipecd(spec.spec.git.config_filename if spec else APP_FILE, launcher)
        taskdef = self._taskdef(pipecd, launcher) if pipecd else None
        handler = self._handler(spec, pipecd) if spec and pipecd else None
        if pipecd:
            self._check_pipecd(pipecd, launcher)
        if spec and pipecd:
            self._check_places(spec, pipecd)
        if spec:
            self._check_rollout(spec)
            self._check_approval(spec)
        containers: tuple[str, ...] = ()
        if spec and pipecd and handler is not None and taskdef:
            containers = self._check_handler(spec, pipecd, handler, taskdef)
        broken = any(problem.severity is Severity.error for problem in self._problems)
        if broken or not (spec and pipecd and handler is not None and taskdef):
            return Findings(tuple(self._problems), None)
        return Findings(tuple(self._problems), App(spec, pipecd, pipecd.handlers[handler], taskdef, containers))

    # --- the files ---

    def _spec(self) -> ModelPromotion | None:
        content = self._content(SPEC_FILE, "add it to the app's folder")
        if content is None:
            return None
        try:
            return spec_of(self._document(SPEC_FILE, content, load_document))
        except FileError as error:
            self._problems.extend(error.problems)
        return None

    def _pipecd(self, file: str, launcher: str) -> PipecdApp | None:
        content = self._content(file, "add it to the app's folder, or name another *.pipecd.yaml in spec.git.configFilename")
        if content is None:
            return None
        try:
            document = self._document(file, content, partial(load_document, first=True))
            app = app_of(document)
        except FileError as error:
            self._problems.extend(error.problems)
            return None
        self._problems.extend(warnings_of(document, app.input_path, launcher))
        return app

    def _taskdef(self, pipecd: PipecdApp, launcher: str) -> TaskDefinition | None:
        file = pipecd.ecs.task_definition_file
        content = self._content(file, "add it to the app's folder")
        if content is None:
            return None
        try:
            reading = taskdef_of(self._rendered(pipecd, launcher, content))
        except FileError as error:
            self._problems.extend(error.problems)
            return None
        self._problems.extend(reading.warnings)
        return reading.request

    def _rendered(self, pipecd: PipecdApp, launcher: str, content: bytes) -> Document:
        """The task definition of some content, rendered. Secrets that piped decrypts are of no use to what Slipway launches."""
        file = pipecd.ecs.task_definition_file
        encryption = pipecd.encryption if launcher == "pipecd" else None
        text = render_file(file, content, self._read, pipecd.attachment, encryption)
        return self._document(file, text, load_taskdef)

    def _content(self, file: str, help_: str) -> bytes | None:
        content = self._read(file)
        if content is None:
            self._tell(Problem(file=file, line=0, column=0, path="", message="is not there", help=help_))
        return content

    def _document(self, file: str, content: bytes | str, load: Callable[[str, str], Document]) -> Document:
        """The document of a file's content, which is parsed once.

        Raises:
            FileError: The file cannot be read.
        """
        text = content if isinstance(content, str) else _decoded(content, file)
        if (file, text) not in self._loaded:
            try:
                self._loaded[file, text] = load(text, file)
            except FileError as error:
                self._loaded[file, text] = error
        document = self._loaded[file, text]
        if isinstance(document, FileError):
            raise document
        self._documents[file] = document
        return document

    # --- what they say together ---

    def _handler(self, spec: ModelPromotion, pipecd: PipecdApp) -> int | None:
        """The position of the one event watcher that the spec means."""
        event = spec.spec.git.event
        found = pipecd.watchers(event.name, event.labels)
        place = ("spec", "git", "event")
        if not found:
            events = ", ".join(str(Event(name=one.event, labels=one.labels)) for one in pipecd.handlers) or "none"
            self._error(
                SPEC_FILE, place, f"{pipecd.file} has no event watcher of this name and labels", f"its event watchers: {events}"
            )
            return None
        if len(found) > 1:
            places = " and ".join(self._place_of(pipecd.file, position) for position in found)
            alike = len({str(pipecd.handlers[position].labels) for position in found}) < len(found)
            help_ = "keep one of them" if alike else f"tell them apart: {{name: {event.name}, labels: {{…}}}}"
            self._error(SPEC_FILE, place, f"means more than one event watcher, at {places}", help_)
            return None
        return min(found)

    def _place_of(self, file: str, position: int) -> str:
        return f"{file}:{self._documents[file].place_of(('spec', 'eventWatcher', position)).line}"

    def _check_pipecd(self, pipecd: PipecdApp, launcher: str) -> None:
        place, file, ecs = pipecd.input_path, pipecd.file, pipecd.ecs
        if not ecs.standalone:
            help_ = "remove it: Slipway runs standalone tasks"
            self._error(file, (*place, "serviceDefinitionFile"), "makes the app a service", help_)
        if not ecs.cluster_arn:
            self._error(file, (*place, "clusterArn"), "is required and absent", "name the cluster that the task runs in")
        if ecs.on_fargate and not ecs.awsvpc_configuration.subnets:
            help_ = "add subnets, which a task on Fargate must have"
            self._error(file, (*place, "awsvpcConfiguration", "subnets"), "is required and absent", help_)
        if ecs.capacity_provider_strategy and "launch_type" in ecs.model_fields_set:
            message = "ECS takes a launch type or capacityProviderStrategy, not both"
            self._error(file, (*place, "launchType"), message, "keep one of them")
        for path, word, allowed in wrong_words(ecs.request(), "RunTask"):
            written = (part for part in path if part != "networkConfiguration")
            self._error(file, (*place, *written), f"found {shown(word)}", f"allowed: {allowed}")
        if launcher == "slipway":
            self._check_launch(pipecd)
        elif not ecs.run_standalone_task:
            message = "is false, and piped would register the task definition and run nothing"
            help_ = "set it to true: task.launcher in promotion.yaml is pipecd"
            self._error(file, (*place, "runStandaloneTask"), message, help_)

    def _check_launch(self, pipecd: PipecdApp) -> None:
        """What piped alone can do, or would do again."""
        if pipecd.ecs.run_standalone_task:
            message = "a piped that deploys this app would run the task a second time"
            help_ = "set runStandaloneTask: false, or do not register the app"
            self._warn(pipecd.file, (*pipecd.input_path, "runStandaloneTask"), message, help_)
        file, attachment, encryption = pipecd.ecs.task_definition_file, pipecd.attachment, pipecd.encryption
        sources = attachment.sources.values() if attachment and uses(attachment, file) else ()
        for position, target in enumerate(encryption.decryption_targets if encryption and encryption.encrypted_secrets else ()):
            if target in (file, *sources):
                message = f"{target} is decrypted by piped, and Slipway reads it without: only piped has the key"
                help_ = "put the secret into AWS Secrets Manager or Parameter Store, and name it in the container's secrets:"
                self._error(pipecd.file, ("spec", "encryption", "decryptionTargets", position), message, help_)

    def _check_places(self, spec: ModelPromotion, pipecd: PipecdApp) -> None:
        """What only ECR's registries have, and each endpoint once."""
        image = spec.spec.image
        source = ImageReference.parse(image.source)
        if image.scan and source.ecr is None:
            message = f"is ECR's scan, and the source is in {source.registry}"
            help_ = "remove it and scan the image in CI, or let CI push to ECR"
            self._error(SPEC_FILE, ("spec", "image", "scan"), message, help_)
        if image.signed_by and image.referrers == "ignore":
            message = "the signature stays in the source, which must keep it until the task has run"
            self._warn(SPEC_FILE, ("spec", "image", "referrers"), message, "remove it: signatures are then copied with the image")
        for twin in twins(spec, pipecd.ecs):
            at = ("spec", "rollout", "waves", twin.wave, "targets", twin.position)
            message = f"the endpoint {twin.target.endpoint} in {twin.region} is {twin.earlier} already"
            help_ = "remove one of them; names of endpoints are the same in any case of their letters"
            self._error(SPEC_FILE, at, message, help_)
        if not region_of_app(spec, pipecd.ecs):
            at = (*pipecd.input_path, "clusterArn")
            message = f"is no ARN, and the image's target {image.target} is in no region of AWS"
            self._error(pipecd.file, at, message, "write the cluster's ARN, which names the region")

    def _check_handler(self, spec: ModelPromotion, pipecd: PipecdApp, position: int, taskdef: TaskDefinition) -> tuple[str, ...]:
        """The containers whose image is written. Each place that the image is written to is there, and one is the task's."""
        handler = pipecd.handlers[position]
        at = ("spec", "eventWatcher", position, "handler", "config")
        if handler.make_pull_request and spec.spec.git.writer == "slipway":
            message = "Slipway pushes to the branch and opens no pull request"
            self._error(pipecd.file, (*at, "makePullRequest"), message, "set it to false, or take another deployment branch")
        try:
            changes = apply_event(handler, PROBE, self._read)
        except SlipwayError as error:
            said = f"{error.report.tried}: {error.report.answered}"
            self._error(pipecd.file, (*at, "replacements"), said, error.report.remedy)
            return ()
        file = pipecd.ecs.task_definition_file
        change = next((change for change in changes if change.file == file), None)
        if change is None:
            message = f"does not write to {file}"
            self._error(pipecd.file, (*at, "replacements"), message, f"the task runs {file}: replace its image")
            return ()
        return self._check_image(spec, pipecd, (*at, "replacements"), change, taskdef)

    def _check_image(
        self, spec: ModelPromotion, pipecd: PipecdApp, at: Path, change: FileChange, taskdef: TaskDefinition
    ) -> tuple[str, ...]:
        """The containers whose image is written: the whole of it, in place of one from the repository that its writer writes."""
        file = change.file
        repository = spec.spec.image.source if spec.spec.git.writer == "pipecd" else spec.spec.image.target
        try:
            written = taskdef_of(self._rendered(pipecd, spec.spec.task.launcher, change.content)).request
        except FileError as error:
            message = f"would make a file that cannot be read: {error.problems[0]}"
            self._error(pipecd.file, at, message, "let it write to the field image, and nothing else")
            return ()
        before, after = container_images(taskdef), container_images(written)
        for name, image in after.items():
            if PROBE in image and image != PROBE:
                come_out = image.replace(PROBE, f"{repository}@sha256:…")
                message = f"writes a part of the image of the container {name}, which would be {shown(come_out)}"
                self._error(pipecd.file, at, message, "let the first group cover the whole image, registry and tag and all")
                return ()
        names = tuple(name for name, image in after.items() if image == PROBE)
        if not names:
            self._error(pipecd.file, at, "does not write the image of a container", "write to its field image")
        for name in names:
            self._check_repository(spec, file, _repository_of(before.get(name, "")))
        if spec.spec.git.writer == "pipecd":
            self._check_held(spec, file, [before.get(name, "") for name in names])
        return names

    def _check_repository(self, spec: ModelPromotion, file: str, found: str) -> None:
        """The task definition runs an image of the repository that is written: another would be another program.

        Where Slipway writes the target, it may still run CI's own.
        """
        image = spec.spec.image
        key = "source" if spec.spec.git.writer == "pipecd" else "target"
        written, place = (image.source if key == "source" else image.target), ("spec", "image", key)
        message = f"{file} runs {found}, and the image that is written is of {written}"
        if found == written:
            return
        if found == image.source:
            self._warn(SPEC_FILE, place, message, "see that the task's execution role may pull from there")
        else:
            self._error(SPEC_FILE, place, message, f"name the same repository here and in {file}")

    def _check_held(self, spec: ModelPromotion, file: str, images: Collection[str]) -> None:
        """What piped's event watcher wrote, or will write."""
        at, image = ("spec", "git", "writer"), spec.spec.image
        for tagged in sorted({held for held in images if "@" not in held}):
            message = f"{file} names the image by the tag {tagged}, which may move before it is promoted"
            self._warn(
                SPEC_FILE, at, message, "register events with the image by digest, or make the repository's tags immutable"
            )
        if spec.spec.task.launcher == "pipecd" and image.source != image.target:
            message = f"piped writes and runs images of {image.source}, and a copy in {image.target} would run nowhere"
            self._error(SPEC_FILE, ("spec", "image", "target"), message, "name the source here, too: nothing is copied then")

    def _check_rollout(self, spec: ModelPromotion) -> None:
        at = ("spec", "rollout")
        rollout = spec.spec.rollout
        strategy = rollout.strategy
        kind = strategy.kind
        if kind and rollout.settings.serverless:
            message = "a serverless endpoint has no instances: SageMaker moves all its traffic at once"
            self._warn(SPEC_FILE, (*at, "strategy", kind), message, f"remove {kind}")
        self._check_batches(rollout)
        # Without a type the spec speaks of live endpoints only, which keep their number of instances.
        if kind and rollout.variant.instance_type and rollout.variant.instance_count == 1:
            part = "batch" if kind == "rolling" else kind
            message = f"one instance cannot take a {part} of at most half the fleet: SageMaker moves all traffic at once"
            self._warn(SPEC_FILE, (*at, "strategy", kind), message, "set instanceCount to 2 or more")
        if (kind or strategy.bake) and not strategy.alarms:
            message = "without alarms SageMaker rolls nothing back while the traffic moves and the old fleet is kept"
            self._warn(SPEC_FILE, (*at, "strategy"), message, "name alarms, as alarms: [screening-5xx]")
        elif strategy.metrics and not strategy.alarms:
            message = "without alarms nothing stops an update: where a metric breaches, the former config follows after its end"
            self._warn(SPEC_FILE, (*at, "strategy", "metrics"), message, "name alarms, as alarms: [screening-5xx]")
        if rollout.smoke:
            self._check_smoke(rollout.smoke)

    def _check_smoke(self, smoke: SmokeRequest) -> None:
        at, help_ = ("spec", "rollout", "smoke"), "add it to the app's folder"
        if self._read(smoke.payload) is None:
            self._error(SPEC_FILE, (*at, "payload"), f"{smoke.payload} is not there", help_)
        if smoke.answer_schema is None:
            return
        content = self._read(smoke.answer_schema)
        if content is None:
            self._error(SPEC_FILE, (*at, "schema"), f"{smoke.answer_schema} is not there", help_)
            return
        try:
            AnswerSchema.parse(content)
        except ValueError as error:
            self._error(SPEC_FILE, (*at, "schema"), f"{smoke.answer_schema} {error}", "correct the schema")

    def _check_batches(self, rollout: Rollout) -> None:
        rolling, count = rollout.strategy.rolling, rollout.variant.instance_count
        if rolling and rollout.variant.instance_type and count > 1 and (problem := rolling.problem(count)):
            help_ = "write percent in place of instances, or another number; an update keeps the live number of instances"
            self._warn(SPEC_FILE, ("spec", "rollout", "strategy", "rolling"), problem, help_)

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


def _decoded(content: bytes, file: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        problem = Problem(file=file, line=0, column=0, path="", message="is not UTF-8", help="save it as UTF-8")
        raise FileError(f"reading {file}", [problem]) from error


def _repository_of(image: str) -> str:
    try:
        return str(ImageReference.parse(with_registry(image)).without_reference)
    except ValueError:
        return image

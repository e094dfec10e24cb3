"""What the first three stages would do: the image, the file that gets it, the task definition that is registered."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from activities.collecting import Collector
from activities.event_commits import require_held
from activities.images.activities import require_digest
from activities.images.origins import ImageOrigins
from activities.images.registries import find_digest, open_registry, read_image, require_ecr, require_repository
from activities.images.scans import SCAN_RUNS, judge_scans, read_scan, require_finished
from activities.origin import Origin
from activities.repositories import read_files
from activities.taskdefs import changes_at
from activities.tasks.definition import Revision, definition_to_register, newest_revisions, revision_of
from activities.tasks.messages import RegisterTaskDefinition
from slipway.api import TaskdefCommit
from slipway.app.durations import format_duration
from slipway.app.lint import App
from slipway.app.regions import region_of_app
from slipway.app.replacements import FileChange
from slipway.app.spec import SPEC_FILE, Scan
from slipway.app.taskdef import FORWARDED, TaskDefinition
from slipway.aws.clients import Aws
from slipway.differences import FieldChange, changes_between
from slipway.errors import RefusedError
from slipway.gathering import gather_all
from slipway.git.repository import Repository
from slipway.oci.copy import is_tagged
from slipway.oci.manifests import ImageRepository, ImageTree
from slipway.oci.reference import ImageReference
from slipway.plan import ImageAction, ImagePlan, RevisionAction, TaskdefPlan, TaskPlan

IMAGE = f"{SPEC_FILE}: spec.image"
AT_ONCE = "the promotion would end at its first stage"


@dataclass(frozen=True)
class StagesLook:
    """Looks at the stages before the training.

    Args:
        aws: Where to find AWS.
        repository: The deployment repository.
        origin: The promotion, and the commit that is read.
        app: The files there, which the policy allows.
        found: Keeps what would stop it.
    """

    aws: Aws
    repository: Repository
    origin: Origin
    app: App
    found: Collector

    @property
    def _target(self) -> str:
        return f"{self.app.spec.spec.image.target}@{self.origin.request.digest}"

    # --- 1 image ---

    async def image(self, origins: ImageOrigins) -> ImagePlan:
        """What becomes of the image.

        Args:
            origins: Looks who signed it.
        """
        image, request = self.app.spec.spec.image, self.origin.request
        plan = ImagePlan(source=request.image, target=self._target, tag=request.tag)
        source = self.found.check(lambda: require_digest(request.image), "the image", AT_ONCE)
        if source is None or await self.found.attempt(find_digest(self.aws, source), f"{IMAGE}.source", AT_ONCE) is None:
            return plan
        tree = await self.found.attempt(read_image(self.aws, source), f"{IMAGE}.source", AT_ONCE)
        if tree is None:
            return plan
        signed = await self.found.attempt(origins.find(self.origin, image), f"{IMAGE}.signedBy, signedBy in the policy", AT_ONCE)
        for warning in signed.warnings if signed else ():
            self.found.warn(warning, "the image", "nobody has signed it, so it may say anything", "see who attached it")
        return plan.model_copy(
            update={
                "origin": signed.origin.lines if signed else (),
                "scan": await self._scan(source, tree, image.scan) if image.scan else "",
                "action": await self._copy(source),
            }
        )

    async def _copy(self, source: ImageReference) -> ImageAction | None:
        target = ImageReference.parse(self._target)
        if target.without_reference == source.without_reference:
            return ImageAction.nothing
        before = self.found.is_refused
        where, why = f"{IMAGE}.target", "the image could not be copied"
        await self.found.attempt(require_repository(self.aws, target), where, why)
        if self.found.is_refused and not before:
            return None
        there = await self.found.attempt(self._is_there(target), where, why)
        return None if there is None else ImageAction.there if there else ImageAction.copy_it

    async def _is_there(self, target: ImageReference) -> bool:
        async with await open_registry(self.aws, target) as registry:
            place = ImageRepository(registry, target.repository)
            return await is_tagged(place, self.origin.request.tag, target.digest or "")

    async def _scan(self, image: ImageReference, tree: ImageTree, policy: Scan) -> str:
        """What the scan says so far: a promotion waits for its end."""
        where = f"{IMAGE}.scan"
        if self.found.check(lambda: require_ecr(image, f"checking the scan of {image}"), where, AT_ONCE) is None:
            return ""
        parts = [image.at(digest) for digest in tree.images]
        scans = await gather_all(*(read_scan(self.aws, str(part)) for part in parts))
        running = next((scan.status for scan in scans if scan.status in SCAN_RUNS), "")
        if running:
            what = "ECR has no scan of the image yet" if running == "NOT_FOUND" else f"ECR's scan of the image is {running}"
            why = f"the promotion waits for its end, {format_duration(policy.timeout)} at most"
            self.found.warn(what, where, why, "turn on scanning for the repository, or start the scan, if none begins by itself")
            return running
        tried = f"waiting for the scan of {image}"
        if self.found.check(lambda: [require_finished(tried, scan) for scan in scans], where, AT_ONCE):
            self.found.check(lambda: judge_scans(image, scans, policy), where, AT_ONCE)
        counts = ", ".join(f"{number} {severity}" for scan in scans for severity, number in scan.counts.items())
        return f"{scans[0].status}, {counts or 'nothing found'}"

    async def task_to_run(self) -> tuple[TaskdefPlan, TaskPlan]:
        """What becomes of the files that get the image, and of the task definition that they make."""
        taskdef, written, held = await self._taskdef()
        return taskdef, await self._task(written, held)

    # --- 2 taskdef ---

    async def _taskdef(self) -> tuple[TaskdefPlan, Mapping[str, bytes], str]:
        """What becomes of the files that get the image, with it, and what they hold in its place where piped writes it."""
        handler, git = self.app.handler, self.app.spec.spec.git
        held = await self._held() if git.writer == "pipecd" else ""
        writes = changes_at(self.repository, self.origin.app, self.origin.commit, handler, held or self._target)
        changes = (
            await self.found.attempt(writes, f"{self.app.pipecd.file}: eventWatcher", "the image could not be written") or ()
        )
        plan = TaskdefPlan(
            writer=git.writer,
            files=tuple(self._file(change) for change in changes),
            message=handler.message(held or self._target).partition("\n")[0],
        )
        return plan, {change.file: change.content for change in changes}, held

    async def _held(self) -> str:
        """What the files hold, or will: piped's event watcher writes the image by itself."""
        app, handler, commit, source = self.origin.app, self.app.handler, self.origin.commit, self.origin.request.image
        try:
            return await require_held(self.aws, self.repository, app, handler, commit, source)
        except RefusedError as error:
            what, why = f"the files do not hold the image yet: {error.report.answered}", "a promotion begins once they do"
            self.found.warn(
                what, f"{SPEC_FILE}: spec.git.writer", why, "register the event with PipeCD (`pipectl event register`)"
            )
            return source

    def _file(self, change: FileChange) -> TaskdefCommit:
        return TaskdefCommit(
            commit=self.origin.commit, changed=change.changed, file=change.file, before=change.before, after=change.after
        )

    # --- 3 task ---

    async def _task(self, written: Mapping[str, bytes], held: str) -> TaskPlan:
        """What becomes of the task definition.

        Args:
            written: The files that get the image, with it.
            held: What they hold in the image's place, where piped writes it.
        """
        ecs, region = self.app.pipecd.ecs, region_of_app(self.app.spec, self.app.pipecd.ecs)
        family = str(self.app.taskdef["family"])
        plan = TaskPlan(family=family, cluster=ecs.cluster_arn or "default", region=region)
        if self.app.spec.spec.task.launcher == "pipecd":
            return plan.model_copy(update={"action": RevisionAction.by_piped})
        definition = await self._definition(region, written, held)
        if definition is None:
            return plan
        where, why = f"{ecs.task_definition_file}: family", "the task definition could not be registered"
        revisions = await self.found.attempt(newest_revisions(self.aws, region, family), where, why)
        if revisions is None:
            return plan
        live = revisions[0] if revisions else Revision("", {}, "")
        reused = revision_of(revisions, definition)
        return plan.model_copy(
            update={
                "action": RevisionAction.reuse if reused else RevisionAction.register,
                "revision": reused or "",
                "live": live.arn,
                "changes": _registered(live.described, definition),
            }
        )

    async def _definition(self, region: str, written: Mapping[str, bytes], held: str) -> TaskDefinition | None:
        ecs = self.app.pipecd.ecs
        register = RegisterTaskDefinition(
            app=self.origin.app,
            commit=self.origin.commit,
            file=ecs.task_definition_file,
            region=region,
            image=self._target,
            containers=self.app.containers,
            attachment=self.app.pipecd.attachment,
            held=held,
        )

        async def read(files: Collection[str]) -> Mapping[str, bytes | None]:
            contents = await read_files(self.repository, self.origin.app, self.origin.commit, files)
            return {file: written.get(file, content) for file, content in contents.items()}

        made = definition_to_register(register, read)
        return await self.found.attempt(made, ecs.task_definition_file, "the task definition could not be registered")


def _registered(live: Mapping[str, object], definition: TaskDefinition) -> tuple[FieldChange, ...]:
    """The newest revision, compared with the one that is registered."""
    return changes_between({member: value for member, value in live.items() if member in FORWARDED}, definition)

"""What PipeCD's API says of an application's deployments: a second witness beside the tags that piped puts on tasks.

It never starts, syncs or cancels anything. Where PipeCD does not answer, the tags alone count, and people are told why.
"""

from __future__ import annotations

import contextlib
import posixpath
from dataclasses import dataclass
from itertools import takewhile
from urllib.parse import urlsplit

from activities.tasks.messages import StartedTask
from activities.tasks.piped import Brings, PipedTask, Tasks
from slipway.api import AppRef
from slipway.app.lint import App
from slipway.errors import NeedsPersonError, RefusedError, SlipwayError
from slipway.git.rules import normalise_url
from slipway.pipecd.client import PipecdApi, PipecdApplication, PipecdDeployment
from slipway.text import one_line, pluralize


@dataclass(frozen=True)
class Heard:
    """What PipeCD said at one look.

    Args:
        silence: Why it said nothing: it did not answer, or does not know the application. Empty where it answered.
        application: The application.
        deployments: The application's, the newest first.
        own: Those of commits that bring the promotion's image, newer than the one that ran the task of before.
        later: Those of commits that bring another image, later.
        former: The task of before, where a newer one is waited for.
    """

    silence: str = ""
    application: PipecdApplication | None = None
    deployments: tuple[PipecdDeployment, ...] = ()
    own: tuple[PipecdDeployment, ...] = ()
    later: tuple[PipecdDeployment, ...] = ()
    former: StartedTask | None = None

    @property
    def newest(self) -> PipecdDeployment | None:
        """The newest deployment of the image."""
        return self.own[0] if self.own else None

    @property
    def progress(self) -> str:
        """It in short, while piped's task is waited for."""
        if self.silence:
            return self.silence
        return self.newest.line if self.newest else "no deployment of it by PipeCD yet"

    @property
    def told(self) -> str:
        """It, where there is no task."""
        if self.silence:
            return self.silence
        if self.newest:
            return self.newest.sentence
        none = "PipeCD has no newer deployment" if self.former else "PipeCD has no deployment of it"
        return f"{none}{self._last}{self._hindrance}"

    @property
    def _last(self) -> str:
        return f"; the last one: {self.deployments[0].sentence}" if self.deployments else ""

    @property
    def _hindrance(self) -> str:
        app = self.application
        disabled = f"; the application {app.id} is disabled in PipeCD" if app and app.is_disabled else ""
        return disabled + (f"; piped cannot read the application's file: {app.invalid}" if app and app.invalid else "")

    def deployment_of(self, task: PipedTask) -> PipecdDeployment | None:
        """The deployment that ran a task: of its commit, one that went well before one that did not, else the newest."""
        if self.former and self.former.deployment and task.arn == self.former.arn:
            return next((each for each in self.deployments if each.id == self.former.deployment), None)
        of_commit = [each for each in self.deployments if each.commit == task.commit]
        newer = [each for each in self.own if each.commit == task.commit]
        return min(newer or of_commit, key=lambda each: each.state.rank, default=None)

    def contradiction(self, task: PipedTask) -> str:
        """What the tags on a task say otherwise than PipeCD; empty where they agree."""
        known = self.application.id if self.application else ""
        if known != task.application:
            tag = one_line(task.application)[:64] or "none"
            return f"its tags name the application {tag}, and the application of this file is {known} in PipeCD"
        if self.deployment_of(task) is None:
            return f"its tags say that piped ran it for {task.commit[:12]}, and PipeCD has no deployment of that{self._last}"
        return ""


class DeploymentWitness:
    """Asks PipeCD about one application.

    Args:
        api: PipeCD's.
        place: Where the application is.
        app: Its files.
    """

    def __init__(self, api: PipecdApi, place: AppRef, app: App) -> None:
        self._api = api
        self._place = place
        self._app = app

    async def ask(self, tasks: Tasks, former: StartedTask | None) -> Heard:
        """What PipeCD says now.

        Args:
            tasks: Says what a commit brings.
            former: The task of before, where a newer one is waited for.
        """
        try:
            application = await self._application()
            deployments = await self._api.deployments(application.id)
        except SlipwayError as error:
            return Heard(silence=f"PipeCD could not be asked: {error.report.answered}")
        brings = {each.commit: await tasks.brings(each.commit) for each in deployments if each.commit}
        newer = deployments
        if former:
            # Which are newer is only known where PipeCD was heard about the task of before.
            newer = tuple(takewhile(lambda each: each.id != former.deployment, deployments)) if former.deployment else ()
        return Heard(
            application=application,
            deployments=deployments,
            own=tuple(each for each in newer if brings.get(each.commit) is Brings.image),
            later=tuple(each for each in deployments if brings.get(each.commit) is Brings.other),
            former=former,
        )

    async def failure(self, deployment: PipecdDeployment) -> str:
        """A deployment that has failed, with the last error in its log where there is one."""
        with contextlib.suppress(SlipwayError):
            if error := await self._api.last_error(deployment.id):
                return f"{deployment.sentence}, and its log says: {error}"
        return deployment.sentence

    async def _application(self) -> PipecdApplication:
        """The application of the file, as PipeCD knows it.

        Raises:
            SlipwayError: PipeCD does not answer, or knows none or several.
        """
        name, file = self._app.pipecd.name, self._app.pipecd.file
        tried, remedy = f"asking PipeCD for the application of {file}", "register the application with PipeCD"
        if not name:
            raise NeedsPersonError(tried, f"{file} has no spec.name to find it by", remedy)
        found: list[PipecdApplication] = []
        for disabled in (False, True):
            found = found or [each for each in await self._api.applications(name, disabled=disabled) if self._is_it(each)]
        if len(found) != 1:
            place = f"{posixpath.join(self._place.folder, file)} on {self._place.branch} of this repository"
            count = pluralize(len(found), "application") if found else "no application"
            raise NeedsPersonError(tried, f"it has {count} {one_line(name)[:100]} of {place}", remedy)
        return found[0]

    def _is_it(self, application: PipecdApplication) -> bool:
        place = self._place
        return (
            application.folder == posixpath.normpath(place.folder or ".")
            and application.file == self._app.pipecd.file
            and application.branch == place.branch
            and is_same_repository(application.remote, place.repository)
        )


def is_same_repository(one: str, other: str) -> bool:
    """Whether two URLs name one repository: piped may clone by ssh what the worker reads by https."""
    try:
        parts = [urlsplit(normalise_url(url)) for url in (one, other)]
    except RefusedError:
        return False
    return len({(each.hostname, each.path) for each in parts}) == 1

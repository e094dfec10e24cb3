"""Checks at the effect: before an activity changes AWS or git, the worker makes sure by itself that it may.

Anybody who can reach Temporal can schedule an activity with any input. So nothing in the input is believed: the promotion's id
follows from its request, the spec is read again at the commit that it pinned, that commit must be on the branch that the policy
allows, and the activity must do what the spec says there. The policy is read again each time.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from activities.origin import Origin
from activities.repositories import Repositories, app_at, read_files
from slipway.app.attachment import read_definition
from slipway.app.going_back import spec_of_rollback
from slipway.app.lint import App
from slipway.errors import NeedsPersonError, RefusedError
from slipway.git.repository import Repository
from slipway.git.rules import app_file, normalise_url
from slipway.kept import Kept
from slipway.policy.check import Use, entry_for, require_allowed, require_app, uses_of_definition
from slipway.policy.model import AppEntry

KEPT = 256
"""Applications at one commit that are kept in memory."""


class Guard:
    """What an application at one commit may do.

    Args:
        repositories: The repositories that this worker may use, and its policy.
    """

    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories
        self._apps: Kept[tuple[str, str, str, str], App] = Kept(KEPT)

    async def permit(self, origin: Origin, *more: Use) -> App:
        """The application's files at the promotion's commit, if the policy allows all that they name. The spec is as it is used.

        Args:
            origin: The promotion.
            more: What the effect touches beside that.

        Raises:
            RefusedError: The policy has no entry for it, allows less, or the commit is not on the branch.
        """
        entry = await self.entry(origin)
        app = await self._app_of(origin)
        require_app(entry, origin.app, app)
        require_allowed(entry, origin.app, more)
        going_back = origin.request.rollback
        return replace(app, spec=spec_of_rollback(app.spec, going_back.endpoint)) if going_back else app

    async def entry(self, origin: Origin) -> AppEntry:
        """What the policy says of the application.

        Raises:
            RefusedError: The policy has no entry for it.
        """
        return entry_for(await self._repositories.policies(), origin.app)

    async def require_on_branch(self, origin: Origin) -> None:
        """Checks that the promotion's commit is on a branch that the policy names. More is not asked of what undoes an effect.

        What the worker knows of the branch suffices: an endpoint is restored also while the remote does not answer.

        Raises:
            RefusedError: The policy does not name the branch, or the commit is not on it.
        """
        repository, branch = await self.repository_of(origin), origin.app.branch
        if not await repository.contained(branch, origin.commit):
            raise _not_on_branch(repository, branch, origin.commit)

    async def repository_of(self, origin: Origin) -> Repository:
        """The deployment repository of a promotion.

        Raises:
            RefusedError: The policy names neither the repository nor the branch.
        """
        return await self._repositories.open(origin.app)

    async def _app_of(self, origin: Origin) -> App:
        repository = await self.repository_of(origin)
        await _require_on_branch(repository, origin.app.branch, origin.commit)
        folder = app_file(origin.app.folder)
        key = (normalise_url(origin.app.repository), origin.app.branch, folder, origin.commit)
        if key not in self._apps:
            self._apps[key] = await app_at(repository, origin.app, origin.commit)
        return self._apps[key]

    async def permit_definition(self, origin: Origin, app: App, commit: str) -> None:
        """Checks the task definition of a later commit, the one that wrote the image.

        Args:
            origin: The promotion.
            app: The application at the promotion's commit, which says which file it is and what is attached to it.
            commit: The later commit.

        Raises:
            RefusedError: The commit is not on the branch, or the policy does not allow what the file names.
        """
        repository = await self.repository_of(origin)
        await _require_on_branch(repository, origin.app.branch, commit)
        file = app.pipecd.ecs.task_definition_file
        read = partial(read_files, repository, origin.app, commit)
        definition = await read_definition(file, read, app.pipecd.attachment, app_file(origin.app.folder, file))
        require_allowed(await self.entry(origin), origin.app, uses_of_definition(definition, file))


async def _require_on_branch(repository: Repository, branch: str, commit: str) -> None:
    if not await repository.contains(branch, commit):
        raise _not_on_branch(repository, branch, commit)


def _not_on_branch(repository: Repository, branch: str, commit: str) -> RefusedError:
    return RefusedError(
        f"using the commit {commit[:12]} of {repository.shown}",
        f"it is not on the branch {branch}",
        "start the promotion again: it reads the branch's head",
    )


def promoted_image(origin: Origin, app: App) -> str:
    """The image that a promotion is about, where the task pulls it from."""
    return f"{app.spec.spec.image.target}@{origin.request.digest}"


def known_origin(activity: str, origin: Origin | None) -> Origin:
    """The promotion that an activity works for.

    Raises:
        NeedsPersonError: The input names none, as one that an older release made.
    """
    if origin is None:
        raise NeedsPersonError(
            f"checking whether {activity} is allowed",
            "its input does not say which promotion it is for: an older release of the worker made it, or a person did",
            "retry: the activity is then scheduled with it; where the effect was to be undone, undo it by hand",
        )
    return origin

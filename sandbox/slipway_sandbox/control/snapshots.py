"""`/_sandbox/snapshots`: states by name, to come back to; and the state that a restart picks up."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated
from wsgiref.types import StartResponse, WSGIEnvironment

from pydantic import Field, ValidationError
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import Map
from werkzeug.wrappers import Request, Response

from slipway_sandbox.control.api import answer
from slipway_sandbox.control.routes import rules
from slipway_sandbox.core.models import Frozen
from slipway_sandbox.core.world import World
from slipway_sandbox.state.pickled import UnreadableStateError
from slipway_sandbox.state.states import States, read

log = logging.getLogger(__name__)

PREFIX = "/_sandbox/snapshots"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SAVE_EVERY = 1.0
"""Real seconds between two looks whether something changed."""
SHARE = 20
"""A save that took a second is followed by none for so many: it holds everybody up."""
PATHS = {"GET ": "listed", "POST ": "take", "POST /<name>/restore": "restore", "DELETE /<name>": "delete"}
ROUTES = Map(rules(PREFIX, PATHS))


class Wanted(Frozen):
    """A snapshot to take."""

    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    account: Annotated[str | None, Field(pattern=r"^\d{12}$")] = None
    """Only this account's part; all, unless given."""


class Snapshots:
    """A small JSON API over named states."""

    def __init__(self, states: States) -> None:
        self._states = states
        self._folder = states.folder / "snapshots"

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            endpoint, arguments = ROUTES.bind_to_environ(environ).match()
            response: Response = getattr(self, endpoint)(Request(environ), **arguments)
        except HTTPException as error:
            response = answer({"error": error.description}, error.code or 500)
        except ValidationError as error:
            response = answer({"error": error.errors(include_url=False, include_input=False, include_context=False)}, 422)
        except (UnreadableStateError, TimeoutError) as error:
            response = answer({"error": str(error)}, 409)
        return response(environ, start_response)

    def listed(self, _request: Request) -> Response:
        """The snapshots by name, each with the account that it is of (null: all)."""
        names = sorted(path.stem for path in self._folder.glob("*.state"))
        return answer({"snapshots": [{"name": name, "account": read(self._path(name))[0].account} for name in names]})

    def take(self, request: Request) -> Response:
        """Take one; one of the same name is replaced."""
        wanted = Wanted.model_validate_json(request.get_data())
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._states.save(self._folder / f"{wanted.name}.state", wanted.account)
        return answer(wanted.model_dump(), 201)

    def restore(self, _request: Request, name: str) -> Response:
        """Go back to one: the account that it is of, or all, becomes what it was."""
        self._states.restore(self._path(name))
        return answer({"name": name})

    def delete(self, _request: Request, name: str) -> Response:
        """Forget one."""
        self._path(name).unlink()
        return answer({})

    def _path(self, name: str) -> Path:
        path = self._folder / f"{name}.state"
        if not NAME.fullmatch(name) or not path.is_file():
            raise NotFound(f"there is no snapshot {name}")
        return path


class Saver:
    """Keeps the state in the data folder up to date, so that the next start picks it up, even after a SIGKILL.

    Args:
        world: Says when something changed.
        states: Saves.
    """

    def __init__(self, world: World, states: States) -> None:
        self._world = world
        self._states = states
        self._path = states.folder / "last.state"
        self._saved = world.changes
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sandbox-saver", daemon=True)

    def start(self) -> None:
        """Pick up what an earlier process left, and keep what changes from now on.

        Raises:
            UnreadableStateError: It cannot be read.
        """
        if self._path.exists():
            self._states.restore(self._path)
        self._thread.start()

    def stop(self) -> None:
        """Save once more, and no longer."""
        self._stopped.set()
        self._thread.join()
        self._save()

    def _run(self) -> None:
        pause = SAVE_EVERY
        while not self._stopped.wait(pause):
            changes = self._world.changes
            if changes == self._saved:
                continue
            began = time.monotonic()
            self._save()
            self._saved = changes
            pause = max(SAVE_EVERY, SHARE * (time.monotonic() - began))

    def _save(self) -> None:
        try:
            self._states.save(self._path, None)
        except (OSError, TimeoutError):
            log.exception("the state could not be saved; it is tried again")

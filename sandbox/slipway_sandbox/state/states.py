"""Everything that the sandbox knows, of one account or of all, as one file: saved, put back, forgotten.

What runs is not saved: a room decides in `take_up` how it goes on.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from slipway_sandbox.core.models import Frozen
from slipway_sandbox.core.world import Room, World
from slipway_sandbox.moto.backend import MotoBackend
from slipway_sandbox.state import moto_state, pickled
from slipway_sandbox.state.pickled import UnreadableStateError

log = logging.getLogger(__name__)

LOCKS_SECONDS = 30.0
"""How long to try for a moment in which no room is busy."""
PAUSE = 0.01
Kept = dict[str, dict[Any, Any]]
"""Rooms' mappings by `<room's class>.<name>`."""


class Header(Frozen):
    """The first line of a file: what wrote it, and which other files it needs."""

    sandbox: str
    moto: str
    account: str | None
    objects: tuple[str, ...]

    @classmethod
    def own(cls, account: str | None, objects: Iterable[str]) -> Header:
        """That of a file that is written now."""
        return cls(
            sandbox=importlib.metadata.version("slipway-sandbox"),
            moto=importlib.metadata.version("moto"),
            account=account,
            objects=tuple(sorted(objects)),
        )


class States:
    """Saves and restores.

    Args:
        world: What all rooms share.
        rooms: The own services' rooms.
        moto: Answers for the others.
    """

    def __init__(self, world: World, rooms: Sequence[Room], moto: MotoBackend) -> None:
        self._world = world
        self._rooms = rooms
        self._moto = moto
        self.folder = world.data / "state"
        self._objects = self.folder / "objects"
        self._saving = threading.Lock()
        self.on_reset: list[Callable[[], None]] = []
        """Told when what was known does not hold any more."""

    def save(self, path: Path, account: str | None) -> None:
        """Write what is known now.

        Raises:
            OSError: The file cannot be written.
            TimeoutError: There was no moment in which all rooms stood still.
        """
        with self._saving:
            # Others' secrets may be in it.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._objects.mkdir(exist_ok=True)
            with self._quiet():
                kept = {name: of_account(mapping, account) for name, mapping in self._mappings().items()}
                own, needed = pickled.dump(kept, self._objects)
                others, more = moto_state.save(account, self._objects)
                whole, _ = pickled.dump((own, others), self._objects)
            header = Header.own(account, needed | more)
            part = path.with_suffix(".part")
            part.touch(mode=0o600)
            part.write_bytes(header.model_dump_json().encode() + b"\n" + whole)
            part.replace(path)
            self._drop_unneeded()

    def restore(self, path: Path) -> None:
        """Forget the account that the file is of, or all, and put back what the file says.

        Raises:
            UnreadableStateError: It cannot be read.
        """
        header, whole = read(path)
        own, others = pickled.load(whole, self._objects, self._world)
        kept: Kept = pickled.load(own, self._objects, self._world)
        self.reset(header.account)
        with self._quiet():
            moto_state.restore(others, self._objects, self._world)
            mappings = self._mappings()
            for name, saved in kept.items():
                if name in mappings:
                    mappings[name].update(saved)
            for room in self._rooms:
                room.take_up(header.account)

    def reset(self, account: str | None) -> None:
        """Forget one account, or all, and end what runs there."""
        for room in self._rooms:
            with room.lock:
                room.reset(account)
        with self._moto.lock:
            moto_state.reset(account)
        for told in self.on_reset:
            told()

    def _mappings(self) -> Mapping[str, MutableMapping[Any, Any]]:
        return {f"{type(room).__name__}.{name}": mapping for room in self._rooms for name, mapping in room.kept().items()}

    @contextlib.contextmanager
    def _quiet(self) -> Generator[None]:
        """Hold every lock. Rooms take each other's in any order, so this never waits with one in hand."""
        locks = [*{id(room.lock): room.lock for room in self._rooms}.values(), self._moto.lock]
        deadline = time.monotonic() + LOCKS_SECONDS
        while not acquired_together(locks):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the sandbox was busy for {LOCKS_SECONDS:g} s; try again")
            time.sleep(PAUSE)
        try:
            yield
        finally:
            for lock in locks:
                lock.release()

    def _drop_unneeded(self) -> None:
        """Remove the contents of objects that no file needs any more."""
        needed = {name for path in self.folder.glob("**/*.state") for name in read(path)[0].objects}
        for path in self._objects.iterdir():
            if path.name not in needed:
                path.unlink(missing_ok=True)


def read(path: Path) -> tuple[Header, bytes]:
    """A file's header, and its pickle.

    Raises:
        UnreadableStateError: It is none of this version's.
    """
    try:
        with path.open("rb") as file:
            header = Header.model_validate_json(file.readline())
            whole = file.read()
    except (OSError, ValueError) as error:
        raise UnreadableStateError(f"{path.name} is no state of this sandbox: {error}") from error
    mine = Header.own(None, ())
    if (header.sandbox, header.moto) != (mine.sandbox, mine.moto):
        raise UnreadableStateError(
            f"{path.name} was saved by slipway-sandbox {header.sandbox} with moto {header.moto}, "
            f"but this is {mine.sandbox} with moto {mine.moto}"
        )
    return header, whole


def acquired_together(locks: Sequence[Any]) -> bool:
    """Take all locks, or none where one is taken."""
    held: list[Any] = []
    for lock in locks:
        if not lock.acquire(blocking=False):
            for other in held:
                other.release()
            return False
        held.append(lock)
    return True


def of_account(mapping: Mapping[Any, Any], account: str | None) -> dict[Any, Any]:
    """One account's part of a room's mapping, or all of it."""
    return {key: value for key, value in mapping.items() if account in (None, account_of(key))}


def account_of(key: object) -> str:
    """The account that a key of a room's mapping names: an ARN, or a tuple that begins with an account or an ARN."""
    first = key[0] if isinstance(key, tuple) else key  # pyright: ignore[reportUnknownVariableType]
    text = str(first)  # pyright: ignore[reportUnknownArgumentType]
    return text.split(":")[4] if text.startswith("arn:") else text

"""State as bytes and back: pickles of plain data, which load only data types of the sandbox, moto and the standard library.

Locks, events and conditions in the data are left out and made anew. Contents of S3 objects live in files of their own, by
their digest, so that saving again writes only what is new.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import pickle
import re
import threading
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType
from typing import Any, cast

from slipway_sandbox.core.clock import Clock
from slipway_sandbox.core.world import World

INLINE = 4096
"""Bytes up to which the content of an S3 object is kept beside its description."""
DATA_MODULES = frozenset(
    {
        *("slipway_sandbox", "moto", "dateutil", "requests"),
        *("datetime", "collections", "decimal", "uuid", "pathlib", "ipaddress", "zoneinfo", "enum"),
    }
)
"""Packages whose classes a state may hold."""
BUILTINS = frozenset(
    {
        "set",
        "frozenset",
        "bytearray",
        "complex",
        "range",
        "slice",
        "object",
        "dict",
        "list",
        "tuple",
        "str",
        "int",
        "float",
        "bool",
    }
)
LOCK = type(threading.Lock())
RLOCK = type(threading.RLock())


class UnreadableStateError(Exception):
    """A saved state that this sandbox cannot read; the text says why."""


def dump(state: object, objects: Path) -> tuple[bytes, frozenset[str]]:
    """The state as bytes, and the names of the files in `objects` that it needs beside them.

    Args:
        state: Plain data. The world and its clock may be in it and stay what they are.
        objects: A folder for the contents of S3 objects.
    """
    buffer = io.BytesIO()
    pickler = _Pickler(buffer, objects)
    pickler.dump(state)
    return buffer.getvalue(), frozenset(pickler.needed)


def load(data: bytes, objects: Path, world: World) -> Any:
    """What `dump` was given.

    Raises:
        UnreadableStateError: It holds what no state of this sandbox does, or a file is missing.
    """
    try:
        return _Unpickler(io.BytesIO(data), objects, world).load()
    except (pickle.UnpicklingError, AttributeError, ImportError, EOFError, OSError, TypeError, ValueError, KeyError) as error:
        raise UnreadableStateError(str(error)) from error


def new_event(happened: bool) -> threading.Event:
    """An event, which may have happened already."""
    event = threading.Event()
    if happened:
        event.set()
    return event


def new_lock() -> object:
    """A free lock."""
    return threading.Lock()


def new_rlock() -> object:
    """A free re-entrant lock."""
    return threading.RLock()


def new_condition() -> threading.Condition:
    """A condition that nobody waits for."""
    return threading.Condition()


def new_pattern(text: str, flags: int) -> re.Pattern[str]:
    """A regular expression."""
    return re.compile(text, flags)


def new_private_key(text: bytes) -> object:
    """A private key of KMS's, from its PEM."""
    return importlib.import_module("cryptography.hazmat.primitives.serialization").load_pem_private_key(text, None)


def pem_of(key: Any) -> bytes:
    """A private key as text: states are as secret as the secrets that moto keeps in them."""
    kinds = importlib.import_module("cryptography.hazmat.primitives.serialization")
    return key.private_bytes(kinds.Encoding.PEM, kinds.PrivateFormat.PKCS8, kinds.NoEncryption())


def restored_object(kind: Any, state: dict[str, Any], content: bytes) -> object:
    """An S3 object of moto's."""
    made: Any = object.__new__(kind)
    made.__setstate__({**state, "value": content})
    return made


MAKERS = {
    maker.__name__: maker
    for maker in (new_event, new_lock, new_rlock, new_condition, new_pattern, new_private_key, restored_object)
}


def is_data(kind: type[Any]) -> bool:
    """Whether a state may hold objects of a class."""
    package = kind.__module__.partition(".")[0].lstrip("_")
    return package in DATA_MODULES or (package == "builtins" and kind.__qualname__ in BUILTINS)


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, objects: Path) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._objects = objects
        self.needed: set[str] = set()

    def persistent_id(self, obj: Any, /) -> Any:
        match obj:
            case World():
                return "world"
            case Clock():
                return "clock"
            case Content():
                return self._stored(obj.data)
            case _:
                return None

    def reducer_override(self, obj: Any, /) -> Any:
        match obj:
            case threading.Event():
                return new_event, (obj.is_set(),)
            case threading.Condition():
                return new_condition, ()
            case re.Pattern():
                found = cast("re.Pattern[str]", obj)
                return new_pattern, (found.pattern, found.flags)
            case defaultdict() if type(obj) is not defaultdict or isinstance(obj.default_factory, FunctionType):  # pyright: ignore[reportUnknownArgumentType]
                # Its factory cannot be kept. Whoever loads it fills a new mapping that has its own (see moto_state.py).
                return dict, (dict(cast("dict[Any, Any]", obj)),)
            case _ if isinstance(obj, LOCK | RLOCK):
                return new_lock if isinstance(obj, LOCK) else new_rlock, ()
            case _ if type(obj).__name__ == "FakeKey" and type(obj).__module__ == "moto.s3.models":
                state: dict[str, Any] = obj.__getstate__()
                return restored_object, (type(obj), {**state, "value": b""}, Content(state["value"] or b""))
            case _ if type(obj).__module__.startswith("cryptography.") and hasattr(obj, "private_bytes"):
                return new_private_key, (pem_of(obj),)
            case FunctionType() if MAKERS.get(obj.__name__) is obj:
                return NotImplemented
            case _:
                kind = cast("type[Any]", obj if isinstance(obj, type) else type(obj))
                if not is_data(kind):
                    # What could not be read again is not written either.
                    raise pickle.PicklingError(f"a state holds no {kind.__module__}.{kind.__qualname__}")
                return NotImplemented

    def _stored(self, data: bytes) -> Any:
        if len(data) <= INLINE:
            return ("inline", data)
        name = hashlib.sha256(data).hexdigest()
        path = self._objects / name
        if not path.exists():
            part = path.with_suffix(".part")
            part.write_bytes(data)
            part.replace(path)
        self.needed.add(name)
        return ("object", name)


class Content:
    """Bytes that a state keeps in a file of their own."""

    def __init__(self, data: bytes) -> None:
        self.data = data


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, objects: Path, world: World) -> None:
        super().__init__(file)
        self._objects = objects
        self._singles: Mapping[str, object] = {"world": world, "clock": world.clock}

    def persistent_load(self, pid: Any, /) -> Any:
        match pid:
            case "world" | "clock":
                return self._singles[pid]
            case "inline", bytes() as data:
                return data
            case "object", str() as name if len(name) == hashlib.sha256().digest_size * 2 and name.isalnum():
                return (self._objects / name).read_bytes()
            case _:
                raise pickle.UnpicklingError(f"an unknown reference {pid!r}")

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """A class of the packages allowed, or one of the makers above. Never a function of anybody else's."""
        if module_name == __name__ and global_name in MAKERS:
            return MAKERS[global_name]
        if module_name == "builtins" and global_name in BUILTINS:
            return super().find_class(module_name, global_name)
        if module_name.partition(".")[0] in DATA_MODULES:
            found = self._class(module_name, global_name)
            if isinstance(found, type) and is_data(found):
                return found
        raise pickle.UnpicklingError(f"a state holds no {module_name}.{global_name}")

    @staticmethod
    def _class(module_name: str, global_name: str) -> object:
        found: object = importlib.import_module(module_name)
        for part in global_name.split("."):
            found = getattr(found, part)
        return found

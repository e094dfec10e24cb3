"""Keeps what takes minutes to build outside the checkout, so that a fresh clone does not build it again."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def cached(name: str, sources: str, build: Callable[[Path], None]) -> Path:
    """A file in the user's cache folder.

    Args:
        name: The start of the file's name, for people who look into the folder.
        sources: All that the content depends on. Other sources give another file.
        build: Writes the content to the path that it is given. It is called only if the file is not there.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slipway"
    file = folder / f"{name}-{hashlib.sha256(sources.encode()).hexdigest()[:16]}"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        # The file appears whole or not at all, also where two processes build it at once.
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-") as scratch:
            build(Path(scratch) / file.name)
            (Path(scratch) / file.name).replace(file)
    return file

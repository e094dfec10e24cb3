"""Images that run Python programs with this machine's own interpreter, for tests that have no container engine at hand.

Example:
    image = python_image({"serve": SERVE})
    uri = push_image(sandbox, account, "my-model", "v1", image)
"""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slipway_sandbox.testing.images import TestImage, build_image, layer_of, libraries_of, member

INTERPRETER = str(Path(sys.executable).resolve())
ALWAYS = ("encodings.idna", "encodings.latin_1", "encodings.ascii")
"""Modules that the standard library imports only when it needs them."""


def python_image(programs: Mapping[str, str], *, imports: Sequence[str] = ("json", "http.server"), **config: Any) -> TestImage:
    """An image with these programs on its PATH, and as much of Python as they import.

    Args:
        programs: Sources by the name to run them by, such as `train` and `serve`. They see the standard library alone.
        imports: The modules that they import.
        config: What the image says of how it runs, as for `build_image`: `command`, `env`, `labels` and so on.
    """
    own = [member(f"usr/local/bin/{name}", f"#!{INTERPRETER} -IS\n{source}".encode()) for name, source in programs.items()]
    return build_image([python_layer(tuple(imports)), layer_of(*own)], **config)


@functools.cache
def python_layer(imports: Sequence[str]) -> bytes:
    """A layer with the interpreter, these modules and all that they import, compiled, and the shared libraries of both."""
    listing = (
        f"import sys, {', '.join((*imports, *ALWAYS))}\n"
        "for module in list(sys.modules.values()):\n"
        "    for name in ('__file__', '__cached__'):\n"
        "        print(getattr(module, name, None) or '')\n"
    )
    printed = subprocess.run([INTERPRETER, "-IS", "-c", listing], check=True, capture_output=True, text=True).stdout
    modules = {Path(line) for line in printed.split("\n") if line and Path(line).is_file()}
    binaries = [Path(INTERPRETER), *(module for module in modules if module.suffix == ".so")]
    libraries = {Path(library) for binary in binaries for library in libraries_of(binary)}
    files = sorted({Path(INTERPRETER), *modules, *libraries})
    return layer_of(*(member(str(path).lstrip("/"), content_of(path)) for path in files))


def content_of(path: Path) -> bytes:
    """A file's bytes; those of a compiled module without the time of its source.

    A layer does not keep that time, and Python would compile each module again in each container, which is most of what a small
    server costs. The header becomes that of a pyc that is not checked (PEP 552): the magic number, flags 1, and a hash.
    """
    content = path.read_bytes()
    return content[:4] + (1).to_bytes(4, "little") + bytes(8) + content[16:] if path.suffix == ".pyc" else content

"""Ends a process that used Temporal's SDK."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn


def hard_exit(code: int) -> NoReturn:
    """Exit with a code, without tearing the interpreter down.

    A thread of the SDK's core may be about to take the interpreter's lock while it is torn down; CPython 3.11 aborts then
    ("PyGILState_Release: thread state must be current"), and a command that did its work would exit with 134.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # whoever read it has gone, as `head` does
            stream.flush()
    os._exit(code)

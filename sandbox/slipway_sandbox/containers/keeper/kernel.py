"""The few calls to Linux that Python 3.11 has no functions for, and the children of a process."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
NS_GET_USERNS = 0xB701


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def prctl(option: int, value: int) -> None:
    """Set one attribute of this process.

    Raises:
        OSError: The kernel refused.
    """
    zero = ctypes.c_ulong(0)
    _checked(_libc().prctl(option, ctypes.c_ulong(value), zero, zero, zero))


def enter_network(namespace: int) -> None:
    """Move this process, which has one thread only, into a network namespace.

    That takes the rights of the user namespace which the network belongs to, so the process moves into that first. bubblewrap's
    command has one further down, which would not do.

    Args:
        namespace: An open file of the namespace.

    Raises:
        OSError: The kernel refused.
    """
    owner = fcntl.ioctl(namespace, NS_GET_USERNS)
    try:
        _checked(_libc().setns(owner, CLONE_NEWUSER))
        _checked(_libc().setns(namespace, CLONE_NEWNET))
    finally:
        os.close(owner)


def children_of(parent: int) -> list[int]:
    """The ids of a process's children, adopted ones too."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            # The name before it, in parentheses, may have blanks and parentheses itself.
            _state, owner, *_ = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if int(owner) == parent:
                found.append(int(entry.name))
    return found

"""Runs a command inside a running container. Started as a program of its own: `python nsenter.py <pid> <folder> <command>…`.

To change the user namespace, a process must have one thread only, so the sandbox cannot do it itself. Uses nothing of the
sandbox, to start fast. The command's variables come by standard input, `NAME=value` with a NUL after each: as this program's own,
some would change how it runs itself. Its exit code is the command's, and the command ends with it.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
from collections.abc import Mapping, Sequence

NS_GET_USERNS = 0xB701
"""The user namespace that owns a namespace (ioctl_ns(2))."""
NAMESPACES = ("mnt", "pid", "ipc", "uts", "net")
PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
MOST_CAPABILITIES = 64
NOT_ENTERED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127
_LIBC = ctypes.CDLL(None, use_errno=True)


def main(arguments: Sequence[str]) -> int:
    """Enter the container, run the command there, and wait for its end."""
    target, folder, *command = arguments
    variables = dict(item.split(b"=", 1) for item in sys.stdin.buffer.read().split(b"\0") if item)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    try:
        enter(int(target))
    except OSError:
        return NOT_ENTERED
    child = os.fork()
    if child == 0:
        run(folder, command, variables)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def enter(target: int) -> None:
    """Join the namespaces of a process. The one that owns its mounts comes first: it may lie outside the process's own."""
    own_user = os.open(f"/proc/{target}/ns/user", os.O_RDONLY)
    others = [os.open(f"/proc/{target}/ns/{name}", os.O_RDONLY) for name in NAMESPACES]
    owner = fcntl.ioctl(others[0], NS_GET_USERNS)
    # All are opened and compared first: with the mounts, the view of /proc changes.
    here = {os.stat(f"/proc/self/ns/{name}").st_ino for name in ("user", *NAMESPACES)}  # noqa: PTH116  (pathlib is slow to import)
    for namespace in (owner, *others, own_user):
        number = os.fstat(namespace).st_ino
        if number not in here:
            join(namespace)
            here.add(number)


def join(namespace: int) -> None:
    """Move into a namespace."""
    if _LIBC.setns(namespace, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def run(folder: str, command: list[str], variables: Mapping[bytes, bytes]) -> None:
    """Become the command, without the rights that entering gave."""
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for capability in range(MOST_CAPABILITIES):
        _LIBC.prctl(PR_CAPBSET_DROP, capability)
    _LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    try:
        os.chdir(folder)
    except OSError:
        os._exit(NOT_EXECUTABLE)
    program = command[0]
    # Searched by hand: `os.execvpe` imports a module, and by now that would be the container's.
    places = [program] if "/" in program else [f"{place}/{program}" for place in variables.get(b"PATH", b"").decode().split(":")]
    code = NOT_FOUND
    for place in places:
        try:
            os.execve(place, command, variables)  # noqa: S606  (the container's own program, without a shell)
        except FileNotFoundError:
            continue
        except OSError:
            code = NOT_EXECUTABLE
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

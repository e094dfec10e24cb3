"""Logins of registries from Docker's config file and its credential helpers, looked up as `docker` does it.

A helper (`docker-credential-<name>`) is run without a shell and gets the registry's name on its standard input. What it answers
is in no error and no log.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from slipway.errors import NeedsPersonError, TransientError
from slipway.oci.reference import DOCKER_HUB
from slipway.programs import no_longer_than, start

HELPED_WITHIN = 30.0
"""Seconds that a helper may take. One for ECR or GCR asks its cloud."""
ANSWER_LIMIT = 65_536
"""Bytes of a helper's answer that are read."""
CONFIG_LIMIT = 1_048_576
_HUB_SERVER = "https://index.docker.io/v1/"
"""What Docker's files and helpers call Docker Hub."""
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_REFRESH = "<token>"
"""The user name that a helper gives with an identity token in place of a password."""
_ABSENT = b"credentials not found"
"""How a helper says that it has none (docker-credential-helpers)."""


@dataclass(frozen=True)
class Credentials:
    """A login of one registry."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    """What `docker login` keeps in place of a password, where the registry gave one."""

    @property
    def basic(self) -> str:
        """The credentials of basic authentication."""
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


async def find_credentials(registry: str) -> Credentials | None:
    """The login of a registry, or none: then it is used without one.

    Args:
        registry: Its host and port, as images name it.

    Raises:
        NeedsPersonError: The config cannot be read, or a helper fails.
        TransientError: A helper takes too long.
    """
    config = await asyncio.to_thread(_read_config)
    names = (_HUB_SERVER, DOCKER_HUB, "index.docker.io") if registry == DOCKER_HUB else (registry,)
    helpers = _mapping(config, "credHelpers")
    helper = next((str(helpers[name]) for name in names if name in helpers), None) or config.get("credsStore")
    if helper:
        return await _ask_helper(str(helper), names[0])
    logins = {_host_of(name): login for name, login in _mapping(config, "auths").items()}
    login = next((logins[_host_of(name)] for name in names if _host_of(name) in logins), None)
    return _from_file(registry, cast("Mapping[str, Any]", login)) if isinstance(login, Mapping) else None


def config_file() -> Path:
    """Docker's config file: `$DOCKER_CONFIG/config.json`, or the user's own."""
    folder = os.environ.get("DOCKER_CONFIG")
    return (Path(folder) if folder else Path.home() / ".docker") / "config.json"


def _read_config() -> Mapping[str, Any]:
    tried = f"reading Docker's config {(file := config_file())}"
    try:
        if file.stat().st_size > CONFIG_LIMIT:
            raise NeedsPersonError(tried, f"it has more than {CONFIG_LIMIT:,} bytes", "keep the logins of registries in it alone")
        content = file.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise NeedsPersonError(tried, str(error.strerror), "let the worker read it, then retry") from error
    try:
        config = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NeedsPersonError(tried, "it is no JSON", "correct it, then retry") from error
    if not isinstance(config, Mapping):
        raise NeedsPersonError(tried, "it is no JSON object", "correct it, then retry")
    return cast("Mapping[str, Any]", config)


def _mapping(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = config.get(key)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def _host_of(server: str) -> str:
    """A server as Docker compares them: without scheme and path."""
    return re.sub(r"^https?://", "", server).partition("/")[0]


def _from_file(registry: str, login: Mapping[str, Any]) -> Credentials | None:
    if token := login.get("identitytoken"):
        return Credentials(identity_token=str(token))
    if encoded := login.get("auth"):
        try:
            username, _, password = base64.b64decode(str(encoded), validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            tried = f"reading the login of {registry} in {config_file()}"
            # Without the cause: it may show a part of the secret.
            raise NeedsPersonError(tried, "its `auth` is no base64", f"run `docker login {registry}`, then retry") from None
        return Credentials(username, password.rstrip("\0"))
    if login.get("username"):
        return Credentials(str(login["username"]), str(login.get("password", "")))
    return None


async def _ask_helper(helper: str, server: str) -> Credentials | None:
    tried = f"asking docker-credential-{helper[:60]} for the login of {server}"
    if not _HELPER.fullmatch(helper):
        raise NeedsPersonError(tried, "a helper's name has letters, digits, '.', '_' and '-'", f"correct {config_file()}")
    code, answer = await _run(tried, f"docker-credential-{helper}", server)
    if code != 0:
        if _ABSENT in answer:
            return None
        raise NeedsPersonError(
            tried, f"it ended with exit code {code}", f"run `echo {server} | docker-credential-{helper} get` there, then retry"
        )
    try:
        found = json.loads(answer)
        username, secret = str(found["Username"]), str(found["Secret"])
    except (ValueError, KeyError, TypeError, RecursionError):
        # Without the cause, which would quote the answer.
        raise NeedsPersonError(tried, "it answered no Username and Secret", "correct or replace the helper") from None
    if username == _REFRESH:
        return Credentials(identity_token=secret)
    return Credentials(username, secret) if username or secret else None


async def _run(tried: str, program: str, server: str) -> tuple[int, bytes]:
    """The exit code and the answer."""
    try:
        process = await start(program, "get", stderr=asyncio.subprocess.DEVNULL)
    except (FileNotFoundError, PermissionError) as error:
        remedy = f"install it where the worker runs, or correct {config_file()}; then retry"
        raise NeedsPersonError(tried, "there is no such program on the worker's PATH", remedy) from error
    try:
        return await _answer_of(process, tried, server)
    except TimeoutError as error:
        raise TransientError(tried, f"it had not ended after {HELPED_WITHIN:.0f} s") from error


async def _answer_of(process: asyncio.subprocess.Process, tried: str, server: str) -> tuple[int, bytes]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a process that was started with pipes has none")
    async with no_longer_than(process, HELPED_WITHIN):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(f"{server}\n".encode())
            await process.stdin.drain()
        process.stdin.close()
        answer = await _read_at_most(process.stdout, ANSWER_LIMIT)
        if len(answer) > ANSWER_LIMIT:
            raise NeedsPersonError(
                tried, f"it answered more than {ANSWER_LIMIT:,} bytes", "correct or replace the helper, then retry"
            )
        return await process.wait(), answer


async def _read_at_most(stream: asyncio.StreamReader, limit: int) -> bytes:
    """All of a stream, or one byte more than the limit."""
    read = bytearray()
    while len(read) <= limit and (chunk := await stream.read(limit + 1 - len(read))):
        read += chunk
    return bytes(read)

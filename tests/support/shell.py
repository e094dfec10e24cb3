"""Somebody's shell, in which `slipway` is typed: in this process, or as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from demo.stack import BINARIES
from demo.temporal import TemporalServer
from slipway.api import PromotionRequest
from slipway.cli.app import run


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> dict[str, str]:
        """What `--json` says about what went wrong."""
        return json.loads(self.err)["error"]


class Shell:
    """Runs commands with an environment of their own. One at a time in this process."""

    def __init__(self, temporal: TemporalServer, task_queue: str, folder: Path) -> None:
        self.environment = {
            "PATH": f"{BINARIES}{os.pathsep}{os.environ.get('PATH', '')}",
            "HOME": str(folder),
            "TEMPORAL_ADDRESS": temporal.address,
            "TEMPORAL_NAMESPACE": "default",
            "SLIPWAY_TASK_QUEUE": task_queue,
            "SLIPWAY_USER": "ana",
        }
        self._out = io.StringIO()

    async def slipway(self, *arguments: str, **environment: str) -> Done:
        """The command, in this process."""
        self._out = out = io.StringIO()
        err = io.StringIO()
        with (
            mock.patch.dict(os.environ, {**self.environment, **environment}, clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = await _run_beside(arguments)
        return _done(code, out.getvalue(), err.getvalue())

    async def until_said(self, text: str) -> None:
        """Wait until the command that runs in this process says something."""
        async with asyncio.timeout(40):
            while text not in self._out.getvalue():  # noqa: ASYNC110 -- it is written by another thread
                await asyncio.sleep(0.05)

    async def process(self, *arguments: str, **environment: str) -> Done:
        """The command, as a process of its own."""
        process = await asyncio.create_subprocess_exec(
            str(BINARIES / "slipway"),
            *arguments,
            env={**self.environment, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        return _done(process.returncode or 0, out.decode(), err.decode())


async def _run_beside(arguments: Sequence[str]) -> int:
    """Run a command in a thread that nothing waits for: one that follows a promotion goes on after its test has failed."""
    ended: Future[int] = Future()
    ended.set_running_or_notify_cancel()

    def work() -> None:
        try:
            ended.set_result(run(arguments))
        except BaseException as error:  # noqa: BLE001 -- it is the test's
            ended.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return await asyncio.wrap_future(ended)


def _done(code: int, out: str, err: str) -> Done:
    assert "\x1b" not in out + err, "there are escapes off a terminal"
    return Done(code, out, err)


def start_arguments(asked: PromotionRequest) -> list[str]:
    """The command that sends a request."""
    app = asked.app
    place = ["--repository", app.repository, "--branch", app.branch, "--folder", app.folder]
    return ["start", *place, "--image", asked.image, "--commit", asked.commit, "--requested-by", "ci"]

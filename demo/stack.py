"""Everything a promotion needs, in one folder: a local AWS, Temporal, git and a worker. The demo and the tests use the same."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from slipway_sandbox.testing import SandboxProcess
from temporalio.client import Client

from demo.processes import Child, free_port, listens
from demo.temporal import ONE_PROCESSOR, TemporalServer
from slipway.temporal.setup import set_up

CI_ACCOUNT = "111111111111"
ML_ACCOUNT = "222222222222"
REGION = "us-east-1"
BINARIES = Path(sys.executable).parent


class Stack:
    """The servers: a local AWS and Temporal. Each can be killed and started again by itself.

    Args:
        folder: Holds everything: data, logs, repositories. Made if it is not there.
        time_scale: Simulated seconds that pass in a real second of the local AWS.
    """

    def __init__(self, folder: Path, time_scale: float = 600) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self.sandbox = SandboxProcess(data=self.folder / "aws", time_scale=time_scale, log=self.folder / "sandbox.log")
        self.temporal = TemporalServer(self.folder, base_environment(self.folder) | ONE_PROCESSOR)

    def __enter__(self) -> Self:
        self.sandbox.start()
        self.temporal.start_anywhere()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.temporal.process.stop()
        self.sandbox.stop()

    def environment(self, account: str, namespace: str) -> dict[str, str]:
        """The environment of somebody who works in one account: an operator's shell, a CI job, a worker."""
        return {
            **base_environment(self.folder),
            **self.sandbox.environment(account, REGION),
            "TEMPORAL_ADDRESS": self.temporal.address,
            "TEMPORAL_NAMESPACE": namespace,
        }


class Crew:
    """Those who work for one account: the worker, and operators with the `slipway` command.

    Args:
        stack: The servers they work with.
        account: The account whose credentials they have.
        namespace: Their Temporal namespace.
        credentials: Environment variables with those of a role, instead of the account's own.
        policy: The worker's policy; without one it serves every app in the stack's repositories.
    """

    def __init__(
        self,
        stack: Stack,
        account: str,
        namespace: str = "default",
        credentials: Mapping[str, str] | None = None,
        policy: Path | None = None,
    ) -> None:
        self._environment = stack.environment(account, namespace) | dict(credentials or {})
        self._folder = stack.folder / f"crew-{namespace}"
        self._folder.mkdir(exist_ok=True)
        self.account = account
        self.namespace = namespace
        self.health_port = free_port()
        anything = {"SLIPWAY_REPOSITORIES": f"{(stack.folder / 'git').as_uri()}/*"}
        settings = {
            **({"SLIPWAY_POLICY": str(policy)} if policy else anything),
            "SLIPWAY_WORK_FOLDER": str(self._folder / "work"),
            "SLIPWAY_POLL_SECONDS": "0.25",
            "SLIPWAY_WATCH_SECONDS": "0.25",
            "SLIPWAY_HEALTH_PORT": str(self.health_port),
            "SLIPWAY_METRICS_PORT": str(free_port()),
        }
        self._worker_environment = self._environment | settings
        self.worker = self.make_worker(str(BINARIES / "slipway-worker"))

    def __enter__(self) -> Self:
        """Set Temporal up, and start the worker."""
        asyncio.run(self._set_up())
        self.start_worker()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.worker.stop()

    async def _set_up(self) -> None:
        await set_up(await Client.connect(self._environment["TEMPORAL_ADDRESS"], namespace=self.namespace))

    def start_worker(self) -> None:
        """Start the worker, and wait until it polls."""
        self.worker.start(lambda: listens(self.health_port))

    def replace_worker(self, program: Path) -> None:
        """Stop the worker as an upgrade does, and start another program in its place."""
        self.worker.stop()
        self.worker = self.make_worker(str(program))
        self.start_worker()

    def make_worker(self, *command: str) -> Child:
        """A worker by another command, to be put in the place of `worker` while that does not run."""
        return Child("worker", [*command], self._worker_environment, self._folder)

    def slipway(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the `slipway` command as one of them does, and return what it printed."""
        return subprocess.run(
            [str(BINARIES / "slipway"), *arguments],
            env=self._environment,
            cwd=self._folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )


def base_environment(folder: Path) -> dict[str, str]:
    """What every part may know of the machine: the search path and a home of its own, nobody's credentials or git settings."""
    return {
        "PATH": f"{BINARIES}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "PYTHONUNBUFFERED": "1",
    }

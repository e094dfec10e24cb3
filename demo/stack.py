"""Everything a promotion needs, in one folder: a local AWS, Temporal, git and a worker. The demo and the tests use the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from slipway_sandbox.testing import SandboxProcess

from demo.processes import Child, free_port, listens
from demo.temporal import TemporalServer

CI_ACCOUNT = "111111111111"
ML_ACCOUNT = "222222222222"
REGION = "us-east-1"
BINARIES = Path(sys.executable).parent


class Stack:
    """Starts and stops the parts; each can be killed and started again by itself.

    Args:
        folder: Holds everything: data, logs, repositories. Made if it is not there.
        time_scale: Simulated seconds that pass in a real second of the local AWS.
    """

    def __init__(self, folder: Path, time_scale: float = 600) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self.sandbox = SandboxProcess(data=self.folder / "aws", time_scale=time_scale, log=self.folder / "sandbox.log")
        self.temporal = TemporalServer(self.folder, base_environment(self.folder))
        self.health_port = free_port()
        self.metrics_port = free_port()
        self._worker: Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.stop()

    @property
    def repositories(self) -> Path:
        """The folder of the git remotes; the worker may write to those in it."""
        return self.folder / "git"

    @property
    def worker(self) -> Child:
        """The worker's process."""
        if self._worker is None:
            self._worker = Child("worker", [str(BINARIES / "slipway-worker")], self._worker_environment(), self.folder)
        return self._worker

    def start_servers(self) -> None:
        """Bring up the local AWS and Temporal, and set Temporal up as an operator would: by `slipway setup`."""
        self.sandbox.start()
        self.temporal.start()
        self.slipway("setup").check_returncode()

    def start_worker(self) -> None:
        """Start the worker, and wait until it polls."""
        self.worker.start(lambda: listens(self.health_port))

    def stop(self) -> None:
        """End every part, the worker first. Parts that never started are nothing to do."""
        if self._worker:
            self._worker.stop()
        self.temporal.process.stop()
        self.sandbox.stop()

    def environment(self, account: str) -> dict[str, str]:
        """The environment of somebody who works in one account: an operator's shell, or a CI job."""
        return {
            **base_environment(self.folder),
            **self.sandbox.environment(account, REGION),
            "TEMPORAL_ADDRESS": self.temporal.address,
        }

    def slipway(self, *arguments: str, account: str = ML_ACCOUNT) -> subprocess.CompletedProcess[str]:
        """Run the `slipway` command as a person in that account does, and return what it printed."""
        return subprocess.run(
            [str(BINARIES / "slipway"), *arguments],
            env=self.environment(account),
            cwd=self.folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def _worker_environment(self) -> dict[str, str]:
        return {
            **self.environment(ML_ACCOUNT),
            "SLIPWAY_REPOSITORIES": f"{self.repositories.as_uri()}/*",
            "SLIPWAY_WORK_FOLDER": str(self.folder / "work"),
            "SLIPWAY_POLL_SECONDS": "0.25",
            "SLIPWAY_HEALTH_PORT": str(self.health_port),
            "SLIPWAY_METRICS_PORT": str(self.metrics_port),
        }


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

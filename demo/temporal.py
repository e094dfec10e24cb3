"""The real Temporal server, as one process with a SQLite file, so that it can be killed and started again."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from demo.processes import Child, StartError, free_port, listens

OLDEST = (1, 9, 1)
"""The CLI version that the lock names; an installed one of at least that age is taken first."""

PORT_TRIES = 3
STEPS_A_SECOND = "history.transferProcessorMaxPollRPS=1000"
"""How often each shard looks for the next steps of its workflows. A development server has one shard, and by default it looks 20
times a second: each step of a promotion would wait up to 50 ms. Servers for production have hundreds of shards."""
ONE_PROCESSOR = {"GOMAXPROCS": "1"}
"""For its environment. The steps of a workflow follow each other: handed from one processor to another, each takes about a tenth
longer."""


class TemporalServer:
    """A development server in `folder`.

    Args:
        folder: Holds the database and the log.
        environment: The environment to run in.
        options: More of the server's options.
    """

    def __init__(self, folder: Path, environment: dict[str, str], *options: str) -> None:
        self._folder, self._environment, self._options = folder, environment, options
        self._take_ports()

    def _take_ports(self) -> None:
        self.port, self.ui_port = free_port(), free_port()
        command = [
            *(str(find_temporal()), "server", "start-dev", "--ip", "127.0.0.1", "--log-level", "warn"),
            *("--port", str(self.port), "--ui-port", str(self.ui_port), "--db-filename", str(self._folder / "temporal.db")),
            *("--namespace", "default", "--ui-disable-news-fetch"),
            # It outlives a killed server, though not a power failure, and does not wait for the disk at each step.
            *("--sqlite-pragma", "synchronous=off", "--sqlite-pragma", "journal_mode=wal"),
            *("--dynamic-config-value", STEPS_A_SECOND),
            *self._options,
        ]
        self.process = Child("temporal", command, self._environment, self._folder)

    def start_anywhere(self) -> None:
        """Start for the first time. A port that was free may be taken by the time that the server binds it: then on others.

        Raises:
            StartError: It did not start.
        """
        for _ in range(PORT_TRIES - 1):
            try:
                self.start()
            except StartError:
                if "address already in use" not in self.process.tail(200):
                    raise
                self._take_ports()
            else:
                return
        self.start()

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"127.0.0.1:{self.port}"

    @property
    def ui(self) -> str:
        """The Temporal UI's base URL."""
        return f"http://127.0.0.1:{self.ui_port}"

    def start(self) -> None:
        """Start, and wait until clients and the UI are served: the frontend listens a moment before it answers."""
        self.process.start(lambda: listens(self.port) and listens(self.ui_port) and self._is_healthy())

    def _is_healthy(self) -> bool:
        command = [str(find_temporal()), "operator", "cluster", "health", "--address", self.address]
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def find_temporal() -> Path:
    """The `temporal` on PATH if it is new enough, or else the one of the locked wheel.

    Raises:
        StartError: Neither is there.
    """
    installed = shutil.which("temporal")
    if installed and version_of(Path(installed)) >= OLDEST:
        return Path(installed)
    locked = Path(sys.executable).parent / "temporal"
    if locked.exists():
        return locked
    raise StartError("no Temporal server is there: run `make setup`, which installs it into .venv")


def version_of(binary: Path) -> tuple[int, ...]:
    """The version of a `temporal` binary; () where it does not say."""
    output = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=False, timeout=10).stdout
    found = re.search(r"version (\d+)\.(\d+)\.(\d+)", output)
    return tuple(int(part) for part in found.groups()) if found else ()

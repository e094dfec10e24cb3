"""A sandbox in a process of its own, for tests and demos.

Example:
    with SandboxProcess(time_scale=60) as sandbox:
        ecr = sandbox.client("ecr", account="111111111111")
        ecr.create_repository(repositoryName="screening")
        assert sandbox.counts() == {"ecr.CreateRepository": 1}
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Self

import boto3
import httpx
from botocore.config import Config

from slipway_sandbox.core.faults import Fault
from slipway_sandbox.core.world import DEFAULT_ACCOUNT

DEFAULT_REGION = "us-east-1"
LOOK_EVERY = 0.25
"""Real seconds between two looks of `wait_until` at most."""
STOP_GRACE = 10.0
"""Seconds that the process has to end its containers, before it is killed."""


class SandboxStartError(RuntimeError):
    """The sandbox did not come up; the text ends with what it said itself."""


def fresh_account() -> str:
    """A random account id. Tests that share a sandbox keep out of each other's way by having one each."""
    return str(secrets.randbelow(9 * 10**11) + 10**11)


def wait_until(condition: Callable[[], bool], what: str, timeout: float = 60, every: float = LOOK_EVERY) -> None:
    """Look again and again until a condition holds.

    Args:
        condition: What to wait for.
        what: The same in words, for the error.
        timeout: Real seconds to wait at most.
        every: Real seconds between two looks at most. The first looks follow each other sooner.

    Raises:
        TimeoutError: It did not hold in time.
    """
    begun = time.monotonic()
    while not condition():
        waited = time.monotonic() - begun
        if waited > timeout:
            raise TimeoutError(f"timeout after {timeout:g} s waiting for {what}")
        time.sleep(min(every, 0.02 + waited / 10))


class SandboxProcess:
    """Starts, asks and stops one sandbox.

    Args:
        data: Folder for what it stores; a temporary one of its own, removed at the end, unless given.
        time_scale: Simulated seconds that pass in one real second.
        port: Port to listen on; 0 picks a free one.
        log: File that its standard error goes to; `sandbox.log` in the data folder unless given.
    """

    def __init__(self, *, data: Path | None = None, time_scale: float = 1.0, port: int = 0, log: Path | None = None) -> None:
        self._cleanup = contextlib.ExitStack()
        if data is None:
            data = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="slipway-sandbox-")))
        self.data = data
        self.log = log or data / "sandbox.log"
        self.time_scale = time_scale
        self._port = port
        self._process: subprocess.Popen[str] | None = None
        self._endpoint = ""
        self._session = boto3.session.Session()
        self._clients: dict[tuple[str, str, str, int], Any] = {}
        self._lock = threading.Lock()
        self._http = httpx.Client(trust_env=False, timeout=30)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        """The base URL, once it is started."""
        if not self._endpoint:
            raise SandboxStartError("the sandbox is not started yet")
        return self._endpoint

    @property
    def pid(self) -> int:
        """The process id, once it is started."""
        if self._process is None:
            raise SandboxStartError("the sandbox is not started yet")
        return self._process.pid

    def start(self, timeout: float = 60) -> None:
        """Start it and wait until it serves.

        Args:
            timeout: Seconds to wait at most.

        Raises:
            SandboxStartError: It ended, or said nothing in time.
        """
        try:
            self.data.mkdir(parents=True, exist_ok=True)
            self.log.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SandboxStartError(f"the sandbox cannot keep its data in {self.data}: {error}") from error
        arguments = ["serve", "--port", str(self._port), "--data", str(self.data), "--time-scale", str(self.time_scale)]
        with self.log.open("a") as log:
            # Its own process group: a Ctrl-C is for the program that started it, which then stops it in good order. If that
            # program is killed, the pipe closes, and the sandbox ends by itself.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "slipway_sandbox", *arguments, "--until-input-ends"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                process_group=0,
            )
        ready = self._first_line(self._process, timeout)
        try:
            self._endpoint = json.loads(ready)["endpoint"]
        except ValueError as error:
            said = self.log.read_text().strip()
            self.stop()
            raise SandboxStartError(f"the sandbox did not start within {timeout:g} s: {said or 'it said nothing'}") from error

    @staticmethod
    def _first_line(process: subprocess.Popen[str], timeout: float) -> str:
        lines: queue.Queue[str] = queue.Queue()
        output = process.stdout
        if output is None:
            return ""
        threading.Thread(target=lambda: lines.put(output.readline()), daemon=True).start()
        try:
            return lines.get(timeout=timeout)
        except queue.Empty:
            return ""

    def stop(self) -> None:
        """End it with all that runs in it. Stopping twice is nothing to do."""
        process, self._process, self._endpoint = self._process, None, ""
        if process:
            process.terminate()
            try:
                process.wait(STOP_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()
        self._clients.clear()
        self._cleanup.close()

    def environment(self, account: str = DEFAULT_ACCOUNT, region: str = DEFAULT_REGION) -> dict[str, str]:
        """Environment variables that point any AWS client at this sandbox, as that account."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": "sandbox",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def process_environment(self, account: str = DEFAULT_ACCOUNT, region: str = DEFAULT_REGION) -> dict[str, str]:
        """This process's environment, with `environment` in place of any AWS settings of its user."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return own | self.environment(account, region)

    def client(self, service: str, account: str = DEFAULT_ACCOUNT, region: str = DEFAULT_REGION, attempts: int = 1) -> Any:
        """A boto3 client of an account.

        Args:
            service: Its name in boto3.
            account: The account it acts in.
            region: The region it acts in.
            attempts: How often it tries in all; once by default, so that a planted fault is seen.
        """
        key = (service, account, region, attempts)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self.new_client(service, account, region, attempts)
            return self._clients[key]

    def new_client(self, service: str, account: str, region: str, attempts: int, more: Config | None = None) -> Any:
        """A client as `client` gives, but none that others have, too; `more` settings go on top of its own."""
        return self._session.client(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportCallIssue]
            service,  # pyright: ignore[reportArgumentType]
            endpoint_url=self.endpoint,
            region_name=region,
            aws_access_key_id=account,
            aws_secret_access_key="sandbox",  # noqa: S106  (nothing checks it)
            config=Config(
                retries={"mode": "standard", "total_max_attempts": attempts},
                connect_timeout=5,
                read_timeout=30,
                s3={"addressing_style": "path"},
            ).merge(more or Config()),
        )

    def plant_fault(self, service: str, operation: str, kind: str, **more: Any) -> int:
        """Plant a fault (see `faults.Fault` for `more`); returns the number to remove it by."""
        fault = Fault(service=service, operation=operation, kind=kind, **more)  # pyright: ignore[reportArgumentType]
        return int(self.control("POST", "faults", fault.model_dump(mode="json"))["number"])

    def remove_fault(self, number: int) -> None:
        """Take a fault away, and let go the answers it holds."""
        self.control("DELETE", f"faults/{number}")

    def struck(self, number: int) -> int:
        """How often a planted fault has struck; 0 for one that is gone."""
        faults = self.control("GET", "faults")["faults"]
        return next((fault["struck"] for fault in faults if fault["number"] == number), 0)

    def calls(
        self, service: str | None = None, operation: str | None = None, account: str | None = None, since: int = 0
    ) -> list[dict[str, Any]]:
        """The calls that clients made, oldest first, narrowed by what is given. `since` leaves out those up to that number."""
        wanted = {"service": service, "operation": operation, "account": account, "since": str(since)}
        query = {name: value for name, value in wanted.items() if value is not None}
        return self.control("GET", "calls", query=query)["calls"]

    def counts(self, account: str | None = None) -> dict[str, int]:
        """Calls by `service.Operation`."""
        return self.control("GET", "counts", query={"account": account} if account else {})

    def reset(self, account: str | None = None) -> None:
        """Forget everything of one account, or of all."""
        self.control("POST", "reset", query={"account": account} if account else {})

    @contextlib.contextmanager
    def own_account(self) -> Generator[str]:
        """A fresh account, which is forgotten at the end with all that runs in it. A sandbox that is gone by then is no error."""
        account = fresh_account()
        try:
            yield account
        finally:
            self.leave(account)

    def leave(self, account: str) -> None:
        """Forget an account that nobody uses any more, and the clients of it. It never fails: no test depends on it."""
        with self._lock:
            gone = [self._clients.pop(key) for key in list(self._clients) if key[1] == account]
        for client in gone:
            client.close()
        with contextlib.suppress(httpx.HTTPError, SandboxStartError):
            self.reset(account)

    def set_time_scale(self, scale: float) -> None:
        """Let the simulated time run faster or slower from now on; 0 stops it until `advance`."""
        self.control("POST", "clock", {"timeScale": scale})
        self.time_scale = scale

    def advance(self, seconds: float) -> None:
        """Let so many simulated seconds pass at once."""
        self.control("POST", "clock/advance", {"seconds": seconds})

    def control(self, method: str, path: str, body: object = None, query: dict[str, str] | None = None) -> Any:
        """One call of the sandbox's own API under `/_sandbox/`.

        Raises:
            httpx.HTTPStatusError: It was refused.
        """
        response = self._http.request(method, f"{self.endpoint}/_sandbox/{path}", json=body, params=query)
        if response.is_error:
            raise httpx.HTTPStatusError(
                f"{method} /_sandbox/{path}: {response.status_code} {response.text}", request=response.request, response=response
            )
        return response.json()

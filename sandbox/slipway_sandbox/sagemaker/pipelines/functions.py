"""Local Python functions in the place of Lambda's, for Lambda steps: registered by ARN, each run in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field

from slipway_sandbox.core.calls import Caller, Incoming
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.core.models import Frozen
from slipway_sandbox.core.world import World
from slipway_sandbox.iam.trust import LAMBDA
from slipway_sandbox.roles.acting import ActingRole

SCRIPT = Path(__file__).with_name("function_process.py")
OPTIONS = ("-I", "-u", "-B")
"""Python's own: nothing of the environment or of the script's folder, output at once, no cache files."""
TIMEOUT = 600.0
"""Simulated seconds that AWS gives a function in a Lambda step."""
LEAST_TIMEOUT = 30.0
"""True seconds that it has however fast the time runs."""
POLL = 0.05
LARGEST_ANSWER = 6 * 1024 * 1024
"""Bytes, as for Lambda."""
LOGGED_LINES = 1000
TIMED_OUT = "The Lambda function did not finish within 10 minutes."
ARN = re.compile(
    r"arn:aws[a-z-]*:lambda:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):function:(?P<name>[A-Za-z0-9-_]{1,64})(?::[A-Za-z0-9-_$]+)?"
)


class FunctionError(Exception):
    """A function that could not be run, or that failed; the text says why.

    Args:
        reason: The text.
        exception: The type by which retry policies know it.
    """

    def __init__(self, reason: str, exception: str | None = None) -> None:
        super().__init__(reason)
        self.exception = exception


class Registration(Frozen):
    """Which local function stands for which of Lambda's."""

    function_arn: str = Field(alias="functionArn", pattern=rf"^{ARN.pattern}$")
    file: Path
    """A Python file, by its absolute path."""
    handler: str = Field(default="handler", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The function in it, which takes an event and a context."""
    role: str | None = None
    """The function's own role; without it, the account itself acts."""

    def checked(self) -> LocalFunction:
        """The function, if its file may be run.

        Raises:
            ValueError: It is no Python file of whoever runs the sandbox, or others may write it.
        """
        if not self.file.is_absolute() or self.file.suffix != ".py":
            raise ValueError(f"{self.file} is not the absolute path of a .py file")
        path = self.file.resolve()
        if not path.is_file():
            raise ValueError(f"{path} is not there")
        status = path.stat()
        if status.st_uid != os.geteuid() or status.st_mode & 0o002:
            raise ValueError(f"{path} has to belong to whoever runs the sandbox, and not be writable by everybody")
        found = ARN.fullmatch(self.function_arn)
        name = found["name"] if found else ""
        return LocalFunction(name, str(path), self.handler, self.role)


@dataclass(frozen=True)
class LocalFunction:
    """A function that stands for one of Lambda's."""

    name: str
    file: str
    handler: str
    role: str | None


class Functions:
    """The functions that are registered, and how they run.

    A function's process is no container: it is this machine's Python, with the sandbox's own packages and its user's rights. It
    sees none of the sandbox's environment, and ends with the sandbox.

    Args:
        world: The sandbox.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.rows: dict[tuple[str, str, str], LocalFunction] = {}
        """By account, region and name."""

    def register(self, registration: Registration) -> LocalFunction:
        """Let a local function stand for one of Lambda's.

        Raises:
            ValueError: Its file may not be run.
        """
        function = registration.checked()
        self.rows[key_of(registration.function_arn)] = function
        return function

    def authorize(self, caller: Caller, keys: dict[str, Any] | None, arn: str) -> None:
        """Let the role that calls a function do so, or not; the call log has it either way.

        Args:
            caller: The account and region that the step runs in.
            keys: The role's credentials; None for a role without any, which may.
            arn: The function.

        Raises:
            FunctionError: It may not.
        """
        if keys is None:
            return
        call = Incoming({}, Caller(caller.account, caller.region, keys["AccessKeyId"]), "lambda", "Invoke", {"FunctionName": arn})
        try:
            self._world.guard.check(call)
        except AwsError as error:
            self._world.calls.add(self._world.clock.now(), call, error.status, error.code)
            raise FunctionError(f"Failed to invoke lambda:Invoke. Error Details: {error.message}") from error
        self._world.calls.add(self._world.clock.now(), call, HTTPStatus.OK, None)

    def invoke(self, caller: Caller, arn: str, event: Any, abandoned: threading.Event) -> Any:
        """Run a function to its end, and return what it returns.

        Args:
            caller: The account and region that the step runs in.
            arn: The function.
            event: What it is called with; JSON-ready.
            abandoned: Set when its answer is no longer of use.

        Raises:
            FunctionError: It is not registered, failed, or took too long.
        """
        function = self.rows.get(key_of(arn))
        if function is None:
            raise FunctionError(
                f"Failed to invoke lambda:Invoke. Error Details: Function not found: {arn} (the sandbox runs the functions that "
                "were registered by POST /_sandbox/sagemaker/lambda)"
            )
        with tempfile.TemporaryDirectory(prefix="function-", dir=self._world.data) as folder:
            call = Invocation(self._world, caller, function, arn, Path(folder))
            try:
                return call.run(event, self._environment(caller, function, call), abandoned)
            finally:
                call.keep_log()

    def _environment(self, caller: Caller, function: LocalFunction, call: Invocation) -> dict[str, str]:
        keys = ActingRole(self._world, caller, LAMBDA, function.role, function.name).keys()
        credentials = (
            {
                "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
                "AWS_SESSION_TOKEN": keys["Token"],
            }
            if keys
            else {"AWS_ACCESS_KEY_ID": caller.account, "AWS_SECRET_ACCESS_KEY": "sandbox"}
        )
        return {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "AWS_ENDPOINT_URL": self._world.endpoint,
            "AWS_REGION": caller.region,
            "AWS_DEFAULT_REGION": caller.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_LOG_GROUP_NAME": call.group,
            "AWS_LAMBDA_LOG_STREAM_NAME": call.stream,
            "SANDBOX_FUNCTION_ARN": call.arn,
            "SANDBOX_REQUEST_ID": call.request_id,
            **credentials,
        }


class Invocation:
    """One run of a function.

    Args:
        world: The sandbox.
        caller: The account and region that the step runs in.
        function: The function.
        arn: The ARN that the step calls.
        folder: A folder of the run's own.
    """

    def __init__(self, world: World, caller: Caller, function: LocalFunction, arn: str, folder: Path) -> None:
        self._world = world
        self._caller = caller
        self._function = function
        self.arn = arn
        self.request_id = str(uuid.uuid4())
        self.group = f"/aws/lambda/{function.name}"
        self.stream = f"{world.clock.now():%Y/%m/%d}/[$LATEST]{self.request_id.replace('-', '')}"
        self._result = folder / "result.json"
        self._log = folder / "log.txt"

    def run(self, event: Any, environment: dict[str, str], abandoned: threading.Event) -> Any:
        """Start the process, and wait for its end.

        Raises:
            FunctionError: It failed, or took too long.
        """
        command = [sys.executable, *OPTIONS, str(SCRIPT), self._function.file, self._function.handler, str(self._result)]
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self._result.parent,
                start_new_session=True,
            )
        try:
            if process.stdin:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(json.dumps(event, default=str).encode() + b"\n")
                    process.stdin.flush()
            self._wait(process, abandoned)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdin:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
        return self._answer()

    def keep_log(self) -> None:
        """Put what it printed into CloudWatch Logs."""
        lines = self._log.read_text(errors="replace").splitlines()[:LOGGED_LINES] if self._log.exists() else []
        client = self._world.client("logs", self._caller)
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": line} for line in lines if line]
        with contextlib.suppress(ClientError, BotoCoreError):
            with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
                client.create_log_group(logGroupName=self.group)
            client.create_log_stream(logGroupName=self.group, logStreamName=self.stream)
            if events:
                client.put_log_events(logGroupName=self.group, logStreamName=self.stream, logEvents=events)

    def _wait(self, process: subprocess.Popen[bytes], abandoned: threading.Event) -> None:
        deadline = time.monotonic() + self._world.clock.real(TIMEOUT, LEAST_TIMEOUT)
        while process.poll() is None:
            if time.monotonic() > deadline:
                raise FunctionError(TIMED_OUT)
            if abandoned.wait(POLL):
                raise FunctionError("The execution is gone.")

    def _answer(self) -> Any:
        try:
            if self._result.stat().st_size > LARGEST_ANSWER:
                raise FunctionError(f"The function's answer is larger than {LARGEST_ANSWER} bytes.")
            answer = json.loads(self._result.read_bytes())
        except (OSError, ValueError) as error:
            raise FunctionError(f"Lambda function {self.arn} ended without an answer.") from error
        if "raised" in answer:
            raise FunctionError(f"Lambda function {self.arn} failed: {json.dumps(answer['raised'])}")
        return answer["returned"]


def key_of(arn: str) -> tuple[str, str, str]:
    """Account, region and name of a function; a version or alias makes no difference."""
    found = ARN.fullmatch(arn)
    return (found["account"], found["region"], found["name"]) if found else ("", "", arn)

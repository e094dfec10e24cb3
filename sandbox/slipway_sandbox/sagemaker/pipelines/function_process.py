"""Runs one local function once, in a process of its own. A script, not a module: it imports nothing of the sandbox.

    python function_process.py FILE HANDLER RESULT

The event comes on standard input as one JSON line; standard input then stays open until the sandbox is gone. What the function
returns goes to the file RESULT, `{"returned": …}` or `{"raised": {"errorType", "errorMessage"}}`; what it prints is its log.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any


def end_with_sandbox() -> None:
    """Wait until standard input ends, and end this process then, with any that it started."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.killpg(0, signal.SIGKILL)


class Context:
    """What a handler may ask of its invocation."""

    def __init__(self) -> None:
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = "$LATEST"
        self.invoked_function_arn = os.environ["SANDBOX_FUNCTION_ARN"]
        self.memory_limit_in_mb = "128"
        self.aws_request_id = os.environ["SANDBOX_REQUEST_ID"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]


def run(file: Path, handler: str, event: Any) -> Any:
    """Load the file, and call its function."""
    sys.path.insert(0, str(file.parent))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return getattr(module, handler)(event, Context())


def main(file: str, handler: str, result: str) -> None:
    """Run it, and write down how it ended."""
    event = json.loads(read_line())
    threading.Thread(target=end_with_sandbox, daemon=True).start()
    try:
        answer = json.dumps({"returned": run(Path(file), handler, event)})
    except BaseException as error:  # noqa: BLE001  (whatever it raises, SystemExit too, is its answer)
        traceback.print_exc()
        answer = json.dumps({"raised": {"errorType": type(error).__name__, "errorMessage": str(error)}})
    Path(result).write_text(answer)
    sys.stdout.flush()
    # What it left running must not keep it alive.
    os._exit(0)


def read_line() -> bytes:
    """The first line of standard input, and not a byte more."""
    line = bytearray()
    while (byte := os.read(sys.stdin.fileno(), 65536)) and not byte.endswith(b"\n"):
        line += byte
    return bytes(line + byte)


if __name__ == "__main__":
    main(*sys.argv[1:4])

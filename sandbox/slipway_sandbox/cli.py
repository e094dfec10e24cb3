"""The `slipway-sandbox` command."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from slipway_sandbox.pickled import UnreadableStateError
from slipway_sandbox.server import SandboxServer
from slipway_sandbox.world import DEFAULT_ACCOUNT

app = App(
    name="slipway-sandbox", help="A local AWS for model promotions: registry, tasks, pipelines and endpoints that really run."
)


@app.command
def serve(
    *,
    port: Annotated[int, Parameter(help="Port to listen on; 0 picks a free one.")] = 4566,
    host: Annotated[str, Parameter(help="Address to bind.")] = "127.0.0.1",
    data: Annotated[
        Path | None, Parameter(help="Folder for what is stored, which the next start picks up; a temporary one unless given.")
    ] = None,
    time_scale: Annotated[float, Parameter(help="Simulated seconds that pass in one real second.")] = 1.0,
    forget: Annotated[
        bool, Parameter(negative="", help="Begin empty and keep no state in the folder for the next start.")
    ] = False,
    until_input_ends: Annotated[
        bool,
        Parameter(negative="", help="Stop when standard input ends, as it does when the process that started this one is gone."),
    ] = False,
) -> int:
    """Serve until interrupted. Prints one JSON line when ready.

    Examples:
        slipway-sandbox serve --port 0 --time-scale 60
        slipway-sandbox serve --data ~/my-aws    # the next start goes on from there
    """
    with contextlib.ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="slipway-sandbox-", ignore_cleanup_errors=True)
        folder = data or Path(stack.enter_context(temporary))
        try:
            server = stack.enter_context(SandboxServer(host, port, folder, time_scale, kept=data is not None and not forget))
        except (OSError, OverflowError, ValueError, UnreadableStateError) as error:
            print(f"cannot serve on {host}:{port}: {explained(error)}", file=sys.stderr)
            return 1
        stack.callback(server.close_rooms)
        serve_until_stopped(server, until_input_ends=until_input_ends)
    return 0


def explained(error: Exception) -> str:
    """What is wrong, and what to do."""
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return "the port is in use. Choose another with --port, or --port 0 for any free one."
    if isinstance(error, UnreadableStateError):
        return f"{error}. Choose another folder with --data, or begin anew in this one with --forget."
    return f"{error}"


def serve_until_stopped(server: SandboxServer, *, until_input_ends: bool) -> None:
    """Say that it is ready, and serve until SIGTERM, SIGINT or, where that is asked for, the end of standard input."""

    def stop(*_: object) -> None:
        # shutdown() waits for the serving loop, which a signal's handler interrupts: another thread has to wait.
        threading.Thread(target=server.shutdown, daemon=True).start()

    def stop_after_input() -> None:
        # Python's own reader would hold its lock at the end, which Python then complains about.
        while os.read(sys.stdin.fileno(), 1024):
            pass
        stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if until_input_ends:
        threading.Thread(target=stop_after_input, daemon=True).start()
    print(json.dumps({"endpoint": server.endpoint, "pid": os.getpid()}), flush=True)
    print(environment_lines(server.endpoint), file=sys.stderr, flush=True)
    server.serve_forever(poll_interval=0.1)


def environment_lines(endpoint: str) -> str:
    """What points any AWS client at this sandbox."""
    values = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": DEFAULT_ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    return "\n".join(f"export {name}={value}" for name, value in values.items())


def main() -> None:
    """Entry point of the command."""
    sys.exit(app())

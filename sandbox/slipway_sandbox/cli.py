"""The `slipway-sandbox` command."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated

from cyclopts import App, Parameter

from slipway_sandbox.server import create_server
from slipway_sandbox.world import DEFAULT_ACCOUNT

app = App(
    name="slipway-sandbox", help="A local AWS for model promotions: registry, tasks, pipelines and endpoints that really run."
)


@app.command
def serve(
    *,
    port: Annotated[int, Parameter(help="Port to listen on; 0 picks a free one.")] = 4566,
    host: Annotated[str, Parameter(help="Address to bind.")] = "127.0.0.1",
    data: Annotated[Path | None, Parameter(help="Folder for what is stored; a temporary one unless given.")] = None,
    time_scale: Annotated[float, Parameter(help="Simulated seconds that pass in one real second.")] = 1.0,
    until_input_ends: Annotated[
        bool,
        Parameter(negative="", help="Stop when standard input ends, as it does when the process that started this one is gone."),
    ] = False,
) -> int:
    """Serve until interrupted. Prints one JSON line when ready.

    Examples:
        slipway-sandbox serve --port 0 --time-scale 60
    """
    folder = data or Path(tempfile.mkdtemp(prefix="slipway-sandbox-"))
    try:
        server = create_server(host, port, folder, time_scale)
    except (OSError, ValueError, SystemExit) as error:
        print(
            f"cannot serve on {host}:{port}: {error}. Choose another with --port, or --port 0 for any free one.", file=sys.stderr
        )
        return 1
    endpoint = f"http://{host}:{server.server_port}"
    print(json.dumps({"endpoint": endpoint, "pid": os.getpid()}), flush=True)
    print(environment_lines(endpoint), file=sys.stderr, flush=True)

    def stop(_number: int, _frame: FrameType | None) -> None:
        # shutdown() waits for the serving loop, which this handler interrupts: another thread has to wait.
        threading.Thread(target=server.shutdown).start()

    def stop_after_input() -> None:
        sys.stdin.buffer.read()
        server.shutdown()

    signal.signal(signal.SIGTERM, stop)
    if until_input_ends:
        threading.Thread(target=stop_after_input, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0


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

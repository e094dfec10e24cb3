"""A local AWS for model promotions: registry, tasks, pipelines and endpoints that really run."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
import tempfile
import threading
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slipway_sandbox.server import SandboxServer

RECURSION_LIMIT = 5000
"""Python's own, 1000, is too low to walk through JSON that is nested as deeply as clients may send it."""


def main() -> None:
    """Entry point of the command."""
    options = vars(parser().parse_args())
    del options["command"]
    sys.exit(serve(**options))


def parser() -> ArgumentParser:
    """What the command takes. By argparse: other libraries take a tenth of the start to import."""
    made = ArgumentParser("slipway-sandbox", description=__doc__, epilog="Example: slipway-sandbox serve --port 4566")
    command = made.add_subparsers(dest="command", required=True).add_parser(
        "serve",
        help="serve until interrupted",
        description=cleandoc(serve.__doc__ or ""),
        formatter_class=RawDescriptionHelpFormatter,
    )
    add = command.add_argument
    add("--port", type=int, default=4566, metavar="PORT", help="port to listen on; 0 picks a free one (%(default)s)")
    add("--host", default="127.0.0.1", help="address to bind (%(default)s)")
    add("--data", type=Path, help="folder for blobs, unpacked images and logs; a temporary one unless given")
    add("--time-scale", type=float, default=1.0, help="simulated seconds that pass in one real second (%(default)s)")
    add(
        "--until-input-ends",
        action="store_true",
        help="stop when standard input ends, as it does when the process that started this one is gone",
    )
    return made


def serve(*, port: int, host: str, data: Path | None, time_scale: float, until_input_ends: bool) -> int:
    """Serve until interrupted. Prints one JSON line when ready.

    Examples:
        slipway-sandbox serve --port 0 --time-scale 60
        slipway-sandbox serve --data /var/tmp/my-aws
    """
    # Only now: with all services it takes far longer to import than --help takes to answer.
    from slipway_sandbox.server import SandboxServer  # noqa: PLC0415

    with contextlib.ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="slipway-sandbox-", ignore_cleanup_errors=True)
        folder = data or Path(stack.enter_context(temporary))
        try:
            server = stack.enter_context(SandboxServer(host, port, folder, time_scale))
        except (OSError, OverflowError, ValueError) as error:
            print(f"cannot serve on {host}:{port}: {explained(error)}", file=sys.stderr)
            return 1
        stack.callback(server.close_rooms)
        sys.setrecursionlimit(RECURSION_LIMIT)
        serve_until_stopped(server, until_input_ends=until_input_ends)
    return 0


def explained(error: Exception) -> str:
    """What is wrong, and what to do."""
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return "the port is in use. Choose another with --port, or --port 0 for any free one."
    return f"{error}"


def serve_until_stopped(server: SandboxServer, *, until_input_ends: bool) -> None:
    """Print that it is ready, and serve until SIGTERM, SIGINT or, with `until_input_ends`, the end of standard input."""

    def stop(*_: object) -> None:
        # `stop` waits for the serving loop, which the signal handler interrupts, so it needs another thread.
        threading.Thread(target=server.stop, daemon=True).start()

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
    server.serve()


def environment_lines(endpoint: str) -> str:
    """What points any AWS client at this sandbox."""
    from slipway_sandbox.core.world import DEFAULT_ACCOUNT  # noqa: PLC0415

    values = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": DEFAULT_ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    return "\n".join(f"export {name}={value}" for name, value in values.items())

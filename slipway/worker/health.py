"""Health checks over HTTP: whether the worker is alive, and whether it polls."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from slipway.errors import NeedsPersonError

REQUEST_SECONDS = 5.0
_ANSWER = "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"


@contextlib.asynccontextmanager
async def health(host: str, port: int, is_ready: Callable[[], bool]) -> AsyncGenerator[None]:
    """Serve `/healthz` and `/readyz` while the body runs. Port 0 serves nothing.

    Args:
        host: The address to listen on.
        port: The port.
        is_ready: Whether the worker polls.

    Raises:
        NeedsPersonError: The port is taken, or the address is not this machine's.
    """
    if not port:
        yield
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(respond(head.split(b" ")[1:2], ready=is_ready()))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client went away, or did not speak HTTP
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(answer, host, port)
    except OSError as error:
        remedy = "set SLIPWAY_HEALTH_PORT to a free port, or 0, and SLIPWAY_BIND to an address of this machine"
        raise NeedsPersonError(f"opening {host}:{port} for health checks", str(error), remedy) from error
    try:
        yield
    finally:
        server.close()


def respond(path: list[bytes], *, ready: bool) -> bytes:
    """The whole answer to a request for a path."""
    answers = {
        b"/healthz": ("200 OK", "ok\n"),
        b"/readyz": ("200 OK", "ready\n") if ready else ("503 Service Unavailable", "not polling\n"),
    }
    status, body = answers.get(path[0] if path else b"", ("404 Not Found", "see /healthz and /readyz\n"))
    return _ANSWER.format(status=status, length=len(body), body=body).encode()

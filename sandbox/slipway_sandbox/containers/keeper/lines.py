"""The messages between sandbox and keeper: small JSON objects, with open files attached."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from typing import Any

LONGEST = 64 * 1024
MOST_FILES = 64


def send(line: socket.socket, message: dict[str, Any], files: Sequence[int] = ()) -> None:
    """Send one message; the files remain the sender's to close.

    Raises:
        OSError: The other side is gone.
    """
    body = json.dumps(message).encode()
    if files:
        socket.send_fds(line, [body], list(files), socket.MSG_NOSIGNAL)
    else:
        line.send(body, socket.MSG_NOSIGNAL)


def receive(line: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """Wait for one message; None when the other side is gone. The files are the receiver's to close."""
    try:
        body, files, _flags, _address = socket.recv_fds(line, LONGEST, MOST_FILES, socket.MSG_CMSG_CLOEXEC)
    except ConnectionError:
        return None, []
    return (json.loads(body) if body else None), files

"""What is done to sockets. The keeper of containers imports it, too, so it imports nothing but Python's own modules."""

from __future__ import annotations

import socket
import struct


def reset_on_close(connection: socket.socket) -> None:
    """Have a connection end with a reset, as a broken network or a refusing port does, and not with an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # lingers for no time

"""Where serving containers listen."""

from __future__ import annotations

import socket

BIND_TO_PORT_LABEL = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"
"""Images that have it, with the value `true`, listen where SAGEMAKER_BIND_TO_PORT says; all others on 8080."""


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

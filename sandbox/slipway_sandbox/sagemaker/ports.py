"""Where serving containers listen."""

from __future__ import annotations

import socket

BIND_TO_PORT_LABEL = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"
"""Containers of one model whose images have it, with the value `true`, listen where SAGEMAKER_BIND_TO_PORT says.

A container that is alone gets no such variable and listens on 8080, whatever its labels are."""


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

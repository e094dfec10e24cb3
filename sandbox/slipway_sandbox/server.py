"""Puts the rooms together and serves them on one port."""

from __future__ import annotations

import logging
from pathlib import Path
from wsgiref.types import WSGIApplication

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from slipway_sandbox.clock import Clock
from slipway_sandbox.control import Control
from slipway_sandbox.ecr.service import EcrRoom
from slipway_sandbox.gateway import Gateway
from slipway_sandbox.world import Room, World


class QuietHandler(WSGIRequestHandler):
    """Keeps connections open, as AWS does, and leaves the request log to the call log."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: every call is in the call log."""


def build(world: World) -> Gateway:
    """All rooms of this sandbox, behind one application."""
    ecr = EcrRoom(world)
    rooms: list[Room] = [
        ecr,
    ]
    paths: dict[str, WSGIApplication] = {"/_sandbox/": Control(world, rooms)}
    return Gateway(world, rooms, paths)


def create_server(host: str, port: int, data: Path, time_scale: float) -> BaseWSGIServer:
    """A server that is bound to its port and not yet serving.

    Args:
        host: The address to bind.
        port: The port; 0 picks a free one.
        data: The folder for blobs, image file systems and job folders.
        time_scale: Simulated seconds in a real one.

    Raises:
        OSError: The port is taken, or the folder cannot be written.
    """
    data.mkdir(parents=True, exist_ok=True)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    world = World(data=data, clock=Clock(time_scale))
    server = make_server(host, port, build(world), threaded=True, request_handler=QuietHandler)
    world.endpoint = f"http://{host}:{server.server_port}"
    return server

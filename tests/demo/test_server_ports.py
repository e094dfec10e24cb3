from __future__ import annotations

import socket
from pathlib import Path

from demo.processes import listens
from demo.stack import base_environment
from demo.temporal import TemporalServer


def test_given_a_port_that_somebody_took_meanwhile_when_the_server_starts_then_it_is_on_another(tmp_path: Path) -> None:
    server = TemporalServer(tmp_path, base_environment(tmp_path))
    taken = server.port
    with socket.create_server(("127.0.0.1", taken)):
        server.start_anywhere()
        try:
            assert server.port != taken
            assert listens(server.port)
        finally:
            server.process.stop()

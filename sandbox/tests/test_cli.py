import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from slipway_sandbox.testing import SandboxProcess, SandboxStartError

SERVE = [sys.executable, "-m", "slipway_sandbox", "serve"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_given_a_serving_sandbox_when_it_is_told_to_end_then_it_ends_cleanly(number: signal.Signals) -> None:
    with subprocess.Popen([*SERVE, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        process.send_signal(number)
        _, said = process.communicate(timeout=20)

    assert ready == {"endpoint": ready["endpoint"], "pid": process.pid}
    assert process.returncode == 0
    assert f"export AWS_ENDPOINT_URL={ready['endpoint']}" in said
    assert "Traceback" not in said


def test_given_a_busy_port_when_it_is_to_serve_there_then_one_line_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run([*SERVE, "--port", str(port)], capture_output=True, text=True, check=False, timeout=30)

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"cannot serve on 127.0.0.1:{port}: the port is in use. Choose another with --port, or --port 0 for any free one."
    ]


def test_given_a_folder_that_is_a_file_when_it_is_started_then_the_error_says_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")

    with pytest.raises(SandboxStartError, match="data"):
        SandboxProcess(data=tmp_path / "data" / "below", log=tmp_path / "log").start()


def test_given_whoever_started_it_when_that_process_is_gone_then_the_sandbox_ends() -> None:
    reading, writing = os.pipe()
    with subprocess.Popen([*SERVE, "--port", "0", "--until-input-ends"], stdin=reading, stdout=subprocess.PIPE) as process:
        os.close(reading)
        assert process.stdout
        process.stdout.readline()
        os.close(writing)
        assert process.wait(20) == 0


def test_when_help_is_asked_for_then_it_comes_without_the_import_of_the_services() -> None:
    report = (
        "import sys; from slipway_sandbox import cli; cli.parser().format_help(); print('slipway_sandbox.server' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True, timeout=30)

    assert done.stdout == "False\n"

"""Images that have nothing of this machine: one program from scratch, and a whole distribution, both as ECS tasks."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from slipway_sandbox.testing import SandboxProcess, TestImage, build_image, layer_of, member, push_image

from sandbox.testkit.cache import cached
from sandbox.testkit.contract import behaviour
from sandbox.testkit.ecs import TaskDesk

MAIN = """package main
import "os"
func main() {
	println("hello from Go")
	os.Exit(9)
}
"""
DEBIAN = "bookworm"
DOWNLOAD = 400.0
DONE_WITHOUT = ("./dev/*", "./proc/*", "./sys/*", "./var/cache/apt/archives/*.deb", "./var/lib/apt/lists/*")


@pytest.fixture
def desk(sandbox: SandboxProcess, account: str) -> TaskDesk:
    return TaskDesk(sandbox, account)


@pytest.fixture
def go_program() -> bytes:
    """A Go program, which loads no library."""
    beside = Path(sys.executable).with_name("go")
    go = str(beside) if beside.is_file() else shutil.which("go")
    if go is None:
        pytest.skip("there is no Go to build a program with; `make setup` brings one")
    version = subprocess.run([go, "version"], capture_output=True, text=True, check=True).stdout

    def build(file: Path) -> None:
        source = file.with_name("main.go")
        source.write_text(MAIN)
        environment = {**os.environ, "CGO_ENABLED": "0", "GO111MODULE": "off"}
        command = [go, "build", "-o", str(file), str(source)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=200)
        assert done.returncode == 0, done.stderr

    return cached("go-program", version + MAIN, build).read_bytes()


@pytest.fixture
def debian() -> bytes:
    """The smallest whole Debian, as one layer."""
    return cached(f"debian-{DEBIAN}.tar", f"{platform.machine()} {DONE_WITHOUT}", download_debian).read_bytes()


def download_debian(file: Path) -> None:
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        pytest.skip("a Debian needs root and debootstrap (Debian: apt-get install debootstrap)")
    root = file.with_name("debian")
    # In namespaces of its own, so that no mount and no process of it is left, however it ends.
    apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    command = [*apart, "debootstrap", "--variant=minbase", DEBIAN, str(root)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DOWNLOAD)
    except subprocess.TimeoutExpired:
        pytest.skip(f"debootstrap had no Debian within {DOWNLOAD:g} s")
    if done.returncode:
        pytest.skip(f"debootstrap has no Debian here: {(done.stderr or done.stdout).strip()[-200:]}")
    without = [f"--exclude={pattern}" for pattern in DONE_WITHOUT]
    subprocess.run(["tar", "--create", "--file", str(file), "--directory", str(root), *without, "."], check=True)


def run_image(desk: TaskDesk, image: TestImage, command: list[str] | None) -> tuple[int, list[str]]:
    """Run an image as a task; answers the exit code and what it wrote."""
    container = desk.container(image=push_image(desk.sandbox, desk.account, "foreign", "v1", image))
    del container["command"]
    task = desk.until(desk.start(desk.register({**container, **({"command": command} if command else {})})), "STOPPED")
    assert "exitCode" in task["containers"][0], task
    return task["containers"][0]["exitCode"], desk.lines(task)


@pytest.mark.timeout(300)
@behaviour("Containers", "a static binary from scratch", like="a program of Go runs in an image with no other file")
def test_given_a_program_of_go_alone_in_an_image_when_it_runs_as_a_task_then_its_exit_code_is_seen(
    desk: TaskDesk, go_program: bytes
) -> None:
    image = build_image([layer_of(member("app", go_program))], entry_point=["/app"])
    assert run_image(desk, image, None) == (9, ["hello from Go"])


@pytest.mark.slow
@pytest.mark.timeout(600)
@behaviour("Containers", "a whole distribution", like="a Debian made by debootstrap runs, with its own package manager")
def test_given_a_whole_debian_in_an_image_when_it_runs_as_a_task_then_its_own_programs_do(desk: TaskDesk, debian: bytes) -> None:
    script = ". /etc/os-release; echo $VERSION_CODENAME; dpkg-query --show --showformat='${Status}\\n' apt; exit 4"
    code, lines = run_image(desk, build_image([debian]), ["/bin/sh", "-c", script])
    assert (code, lines) == (4, [DEBIAN, "install ok installed"])

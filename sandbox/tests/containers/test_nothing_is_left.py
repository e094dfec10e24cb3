"""Whatever happens to the sandbox's process, no container and no helper of it is left."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.testkit.contract import behaviour

OWNER = """
import os, signal, sys, threading
from pathlib import Path
from slipway_sandbox.containers.container import ContainerSpec, OwnNetwork
from slipway_sandbox.containers.runtime import ContainerRuntime
from slipway_sandbox.testing import build_image, shell_layer
from slipway_sandbox.testing.images import ImageFolder

ROUNDS = 24
folder = Path(sys.argv[1])
registry = ImageFolder(folder / "registry")
uri = registry.add("x", "v1", build_image([shell_layer()]))
ContainerRuntime(folder / "data", registry).pull(uri)

def start(runtime, network):
    spec = ContainerSpec(name="x", command=["sh", "-c", "sleep 600; exit", str(folder)], network=network)
    return runtime.start(runtime.pull(uri), spec)

def start_for_ever(runtime, network):
    while True:
        start(runtime, network).stop(0)
"""
IN_SET_UP = """
for number in range(ROUNDS):
    heard, says = os.pipe()
    owner = os.fork()
    if owner == 0:
        runtime = ContainerRuntime(folder / "data", registry)
        start(runtime, None)
        for network in (None, None, OwnNetwork()):
            threading.Thread(target=start_for_ever, args=(runtime, network)).start()
        os.write(says, b"1")
        threading.Event().wait()
    os.read(heard, 1)
    # Each round's own moment is what is tried; nothing is expected to have happened by then.
    threading.Event().wait(0.011 * number)
    os.kill(owner, signal.SIGKILL)
    os.waitpid(owner, 0)
"""
RUNNING = """
runtime = ContainerRuntime(folder / "data", registry)
for network in (None, OwnNetwork()):
    start(runtime, network)
print("running", flush=True)
threading.Event().wait()
"""
Until = Callable[[Callable[[], bool], str], None]


def processes_of(folder: Path) -> list[int]:
    """The processes that have the folder in their command line. One that ended and was not waited for has none."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            """It ended."""
    return found


@pytest.mark.timeout(120)
@behaviour("Containers", "their end", like="no process outlives the sandbox, killed in the middle of starting one or not")
def test_given_containers_being_set_up_when_the_owner_is_killed_then_nothing_is_left(tmp_path: Path, until: Until) -> None:
    subprocess.run([sys.executable, "-c", OWNER + IN_SET_UP, str(tmp_path)], check=True)
    until(lambda: not processes_of(tmp_path), "the end of all processes")


def test_given_running_containers_when_the_owner_is_killed_then_they_their_keeper_and_bridge_are_gone(
    tmp_path: Path, until: Until
) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER + RUNNING, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    assert owner.stdout.readline() == "running\n"
    # Its owner, the keeper, the bridge and, twice, bubblewrap and the program.
    expected = len(("owner", "keeper", "bridge", *("bubblewrap", "program") * 2))
    until(lambda: len(processes_of(tmp_path)) == expected, "all of them")
    owner.kill()
    owner.wait()
    owner.stdout.close()
    until(lambda: not processes_of(tmp_path), "the end of all processes")

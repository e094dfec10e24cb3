"""Programs in Go that tests run, installed once for a machine."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.testkit.cache import cached

INSTALLATION = 480.0
"""Seconds for a program's download and compilation: only the first run on a machine takes any."""


def go_command(what_for: str) -> str:
    """Go's command: of the environment, or on the path. Where there is none, the test is skipped.

    Args:
        what_for: What is to be built, as people read it.
    """
    beside = Path(sys.executable).with_name("go")
    found = str(beside) if beside.is_file() else shutil.which("go")
    if found is None:
        pytest.skip(f"there is no Go to build {what_for} with; `make setup` brings one")
    return found


def require_wanted(variable: str, what: str) -> None:
    """Skips the test where what takes minutes to build is not there, and nobody asked for it.

    Args:
        variable: The environment variable that asks.
        what: What is to be built, at the beginning of a sentence.
    """
    if not os.environ.get(variable):
        pytest.skip(f"{what} takes some minutes to compile: set {variable}=1 once, and it is kept")


def go_program(name: str, package: str, what: str, wanted_by: str = "") -> Path:
    """A program of a public module. Where it cannot be installed, the test is skipped and says why.

    Args:
        name: The program's name.
        package: The module's package with its version.
        what: What it is, as people read it.
        wanted_by: The environment variable that asks for it, where it takes minutes to build.
    """

    def build(file: Path) -> None:
        if wanted_by:
            require_wanted(wanted_by, what)
        go = go_command(what)
        environment = {**os.environ, "GOBIN": str(file.parent), "GOFLAGS": "-mod=mod"}
        command = [go, "install", package]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=INSTALLATION)
        except subprocess.TimeoutExpired:
            pytest.skip(f"{what} could not be installed within {INSTALLATION:g} s")
        if done.returncode:
            pytest.skip(f"{what} could not be installed: {done.stderr.strip()[-300:]}")
        file.with_name(package.partition("@")[0].rpartition("/")[2]).rename(file)

    return cached(name, f"{package} {platform.machine()}", build)

"""The workers of fixed older commits, each in an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from demo.oci_layout import cache_folder, locked
from demo.team import ROOT

FIRST = "52a14908a548862bae43157c0f96a68988df0ffb"
"""The commit that compatibility is promised from: its promotions go on with today's worker."""
FORMER = "326bfb985dbbaef653b2cc7f7c0f4c2f33f26be6"
"""The newest commit whose worker has every step of today's: each goes on with the other's promotions.

A promotion that has taken a step which the former worker lacks cannot go back to it (docs/operations.md).
So a commit that adds one moves this constant to itself, in the commit after it.
"""
UV = Path(sys.executable).parent / "uv"


def older_worker(commit: str) -> Path:
    """The `slipway-worker` program of an older commit, with the packages that its lock file names.

    It is kept in the user's cache: it never changes.
    """
    folder = cache_folder() / "workers" / commit
    with locked(cache_folder() / f"worker-{commit}.lock"):
        if not folder.exists():
            _install(folder, commit)
    return folder / ".venv" / "bin" / "slipway-worker"


def _install(folder: Path, commit: str) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        archive = Path(scratch) / "source.tar"
        _run("git", "-C", str(ROOT), "archive", f"--output={archive}", commit)
        folder.mkdir()
        try:
            shutil.unpack_archive(archive, folder, filter="data")
            _run(
                *(str(UV), "sync", "--quiet", "--locked", "--no-default-groups", "--group", "worker"),
                *("--project", str(folder), "--python", sys.executable),
            )
        except BaseException:
            shutil.rmtree(folder)
            raise


def _run(*command: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"

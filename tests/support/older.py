"""The worker of a fixed older commit, in an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from demo.oci_layout import cache_folder, locked
from demo.team import ROOT

COMMIT = "52a14908a548862bae43157c0f96a68988df0ffb"
"""The commit that compatibility is promised from. Its promotions go on with today's worker, and today's with its."""
UV = Path(sys.executable).parent / "uv"


def older_worker() -> Path:
    """The `slipway-worker` program of the older commit, with the packages that its lock file names.

    It is kept in the user's cache: it never changes.
    """
    folder = cache_folder() / "workers" / COMMIT
    with locked(cache_folder() / f"worker-{COMMIT}.lock"):
        if not folder.exists():
            _install(folder)
    return folder / ".venv" / "bin" / "slipway-worker"


def _install(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        archive = Path(scratch) / "source.tar"
        _run("git", "-C", str(ROOT), "archive", f"--output={archive}", COMMIT)
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

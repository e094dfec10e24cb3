"""Writes the Python of PipeCD's messages from `slipway/pipecd/api.proto`: `python -m scripts.pipecd_api`."""

from __future__ import annotations

import sys
from pathlib import Path

from grpc_tools import protoc  # pyright: ignore[reportMissingTypeStubs]

ROOT = Path(__file__).parents[1]
PROTO = "slipway/pipecd/api.proto"


def write(folder: Path) -> int:
    """Write the module and its types; the exit code of the compiler.

    Args:
        folder: Below it the files have the paths that they have in the repository.
    """
    out = [f"--python_out={folder}", f"--pyi_out={folder}"]
    return int(protoc.main(["protoc", f"--proto_path={ROOT}", *out, PROTO]))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


if __name__ == "__main__":
    sys.exit(write(ROOT))

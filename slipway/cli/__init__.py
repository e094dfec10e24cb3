"""The `slipway` command: one module for each command or pair of commands."""

from __future__ import annotations

import sys

from slipway.cli.app import run


def main() -> None:
    """The entry point."""
    sys.exit(run(sys.argv[1:]))

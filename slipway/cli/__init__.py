"""The `slipway` command: one module for each command or pair of commands."""

from __future__ import annotations

import sys

from slipway.cli.app import run
from slipway.exit import hard_exit


def main() -> None:
    """The entry point."""
    hard_exit(run(sys.argv[1:]))

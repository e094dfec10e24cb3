"""Starts the keeper: `python -m slipway_sandbox.keeper <number of the inherited line>`."""

import sys

from slipway_sandbox.keeper.process import main

main(sys.argv[1:])

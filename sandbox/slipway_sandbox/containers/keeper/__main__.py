"""Starts the keeper: `python -m slipway_sandbox.containers.keeper <number of the inherited line>`."""

import sys

from slipway_sandbox.containers.keeper.process import main

main(sys.argv[1:])

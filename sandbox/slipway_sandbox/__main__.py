"""`python -m slipway_sandbox`: the command, without its script on PATH."""

from slipway_sandbox.cli import main

main()

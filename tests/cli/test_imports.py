"""What commands import: those that need neither Temporal nor AWS start without their SDKs.

Linting needs botocore for its model of a task definition, and nothing else of it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """\
import sys
from slipway.cli.app import run
run(sys.argv[1:])
print(sorted({"temporalio", "boto3", "grpc"} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["lint", "pipecd"], ["policy", "lint", "policy.yaml"]], ids=" ".join)
def test_given_a_command_that_needs_no_sdk_then_none_is_imported(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"

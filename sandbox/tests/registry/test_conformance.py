"""The OCI distribution-spec's own suite, run against `/v2/`."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from slipway_sandbox.testing import SandboxProcess

from sandbox.testkit.contract import behaviour
from sandbox.testkit.go_programs import go_program

VERSION = "v0.0.0-20260831232431-97274622c111"
PACKAGE = f"github.com/opencontainers/distribution-spec/conformance@{VERSION}"
FEWEST_CHECKS = 500
"""The suite has 516; were it to end early, nothing would fail."""
LEFT_OUT = (
    "DATA_SHA512",
    "DATA_NONDISTRIBUTABLE",
    "API_BLOBS_MOUNT_ANONYMOUS",
)
"""What ECR does not have, or the sandbox does not answer."""


@pytest.fixture(scope="module")
def suite() -> Path:
    """The suite's program, built once by Go."""
    return go_program("oci-conformance", PACKAGE, "the conformance suite")


@pytest.mark.slow
@pytest.mark.timeout(600)
@behaviour(
    "The registry, `/v2/`",
    "the protocol",
    like="passes the OCI distribution-spec's conformance suite: pulls, pushes whole and in chunks, mounts, ranges, deletions",
    differs="the suite's checks of sha512 digests and of mounts that name no repository are left out",
)
def test_given_fresh_repositories_when_the_conformance_suite_runs_then_nothing_fails(
    sandbox: SandboxProcess, account: str, suite: Path, tmp_path: Path
) -> None:
    ecr = sandbox.client("ecr", account)
    for name in ("conf/r1", "conf/r2"):
        ecr.create_repository(repositoryName=name)
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    results = tmp_path / "results"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OCI_")},
        "OCI_REGISTRY": sandbox.endpoint.removeprefix("http://"),
        "OCI_TLS": "disabled",
        "OCI_USERNAME": user,
        "OCI_PASSWORD": password,
        "OCI_REPO1": "conf/r1",
        "OCI_REPO2": "conf/r2",
        "OCI_RESULTS_DIR": str(results),
        **{f"OCI_{name}": "false" for name in LEFT_OUT},
    }

    done = subprocess.run([suite], env=environment, capture_output=True, text=True, check=False, timeout=110)

    # The exit code says nothing: what it printed and wrote does. Its summary counts the failures in a line of its own.
    said = done.stdout + done.stderr
    failed = [line for line in said.splitlines() if "FAIL" in line and not re.fullmatch(r"\s*FAIL\.+:\s+0", line)]
    assert failed == []
    assert (results / "junit.xml").is_file(), said[-2000:]
    totals = ET.parse(results / "junit.xml").getroot()[0].attrib  # noqa: S314 - the suite's own file
    assert (totals["failures"], totals["errors"]) == ("0", "0")
    left_out = int(totals["skipped"]) + int(totals["disabled"])
    assert int(totals["tests"]) - left_out >= FEWEST_CHECKS

"""Scans: their ends, and findings that come later."""

from __future__ import annotations

from typing import Any

from slipway_sandbox.testing import SandboxProcess, build_image, push_image, wait_until

CRITICAL = {"name": "CVE-2026-1", "severity": "CRITICAL"}


def scan(sandbox: SandboxProcess, account: str) -> dict[str, Any]:
    """What is known of the image's scan."""
    found = sandbox.client("ecr", account).describe_image_scan_findings(repositoryName="app", imageId={"imageTag": "v1"})
    return {"status": found["imageScanStatus"]["status"], **found.get("imageScanFindings", {})}


def start(sandbox: SandboxProcess, account: str) -> None:
    """Push an image, and begin to scan it."""
    push_image(sandbox, account, "app", "v1", build_image([]))
    sandbox.client("ecr", account).start_image_scan(repositoryName="app", imageId={"imageTag": "v1"})


def test_given_a_scanned_image_when_a_vulnerability_becomes_known_then_its_findings_have_it_at_once(
    sandbox: SandboxProcess, account: str
) -> None:
    start(sandbox, account)
    wait_until(lambda: scan(sandbox, account)["status"] == "COMPLETE", "the end of the scan")
    assert scan(sandbox, account)["findings"] == []

    sandbox.control("POST", "ecr/rescan", {"account": account, "repository": "app", "findings": [CRITICAL]})

    assert scan(sandbox, account)["findings"] == [CRITICAL]
    assert scan(sandbox, account)["findingSeverityCounts"] == {"CRITICAL": 1}


def test_given_a_status_for_the_next_scan_when_an_image_is_scanned_then_it_has_it(sandbox: SandboxProcess, account: str) -> None:
    seed = {"account": account, "repository": "app", "status": "UNSUPPORTED_IMAGE"}
    sandbox.control("POST", "ecr/scan-findings", seed)
    start(sandbox, account)

    wait_until(lambda: scan(sandbox, account)["status"] == "UNSUPPORTED_IMAGE", "the end of the scan")

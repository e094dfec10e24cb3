"""Whether the demo signs."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.signing import why_claimed


def test_given_a_machine_without_ssh_keygen_when_the_demo_begins_then_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CLAIMED", raising=False)
    assert why_claimed() == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "ssh-keygen is not installed" in why_claimed()
    assert "\n" not in why_claimed()

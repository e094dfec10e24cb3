"""Keys of people, allowed_signers files, and documents to sign: made with plain `ssh-keygen`, as people do."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from slipway.decisions.document import DecisionDocument

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def make_key(folder: Path, name: str, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A new private key; the public one is beside it."""
    key = folder / name
    size = ["-b", "2048"] if kind == "rsa" else []
    keygen("-q", "-t", kind, *size, "-N", passphrase, "-C", name, "-f", str(key))
    return key


def signers_line(principal: str, key: Path, options: str = 'namespaces="slipway-decision"') -> str:
    """A line of an allowed_signers file."""
    name = f'"{principal}"' if " " in principal else principal
    return f"{name} {options} {key.with_suffix('.pub').read_text().strip()}".replace("  ", " ") + "\n"


def keygen(*arguments: str, stdin: str = "") -> str:
    """Runs `ssh-keygen` as a person does."""
    done = subprocess.run(["ssh-keygen", *arguments], input=stdin, text=True, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def document(**changes: Any) -> DecisionDocument:
    """Ana's approval."""
    members = {
        "kind": "approve",
        "namespace": "default",
        "promotion": "screening-0123456789ab",
        "run": "0194f6a2-0000-7000-8000-000000000000",
        "repository": "https://github.com/acme/deploy",
        "branch": "main",
        "folder": "apps/screening",
        "spec_commit": "c" * 40,
        "package": "arn:aws:sagemaker:us-east-1:222222222222:model-package/screening/3",
        "targets": ("screening in us-east-1",),
        "evidence": "e" * 64,
        "by": "ana",
        "nonce": "0" * 32,
        "issued": datetime(2026, 3, 1, 12, tzinfo=UTC),
        "expires": datetime(2026, 3, 8, 12, tzinfo=UTC),
        "reason": "recall is up",
    }
    return DecisionDocument.model_validate(members | changes)

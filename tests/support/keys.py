"""People with SSH keys, as they sign decisions."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from slipway.api import Evidence, PromotionStatus, SignedCommand
from slipway.decisions.document import DecisionDocument, targets_of
from slipway.decisions.signatures import sign
from slipway.git.rules import normalise_url
from slipway.temporal.start import Handle


class Keyring:
    """A folder of keys, by the names of the files.

    Args:
        folder: Where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """The private key of that name, made where it is not there."""
        path = self._folder / name
        if not path.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True)
        return path

    def public(self, name: str) -> str:
        """The public key, as `ssh-ed25519 AAAA…`."""
        key = self.path(name).with_suffix(".pub").read_text()
        return " ".join(key.split()[:2])

    def allowed(self, **people: str) -> str:
        """An allowed_signers file: people with the names of their keys, and options before these, as `valid-before="…" ana-1`."""
        lines = [f"{person} {self._line(key)}" for person, key in people.items()]
        return "".join(f"{line}\n" for line in lines)

    def _line(self, key: str) -> str:
        options, _, name = key.rpartition(" ")
        return f"{options} {self.public(name)}".strip()

    def sign(self, document: DecisionDocument, name: str) -> SignedCommand:
        """The document with the signature that a key makes."""
        text = document.canonical()
        return SignedCommand(document=text, signature=sign(text, self.path(name)))


async def subject_of(handle: Handle) -> dict[str, Any]:
    """What a decision on a promotion is about now, as the command line finds it out."""
    status = await handle.query("status", result_type=PromotionStatus)
    evidence = await handle.query("evidence", result_type=Evidence | None)  # pyright: ignore[reportArgumentType] -- any type that pydantic knows is right
    execution = (await handle.describe()).raw_description.workflow_execution_info
    return {
        "namespace": (await handle.describe()).namespace,
        "promotion": handle.id,
        "run": execution.first_run_id,
        "repository": normalise_url(status.app.repository),
        "branch": status.app.branch,
        "folder": status.app.folder,
        "spec_commit": status.spec_commit or "",
        "package": status.package or "",
        "targets": targets_of([champion.target for champion in evidence.champions], evidence.package.region) if evidence else (),
        "evidence": evidence.sha256 if evidence else "",
    }


def document(subject: Mapping[str, Any], kind: str = "approve", by: str = "ana", **changes: Any) -> DecisionDocument:
    """A decision on a subject, to be signed."""
    now = datetime.now(UTC).replace(microsecond=0)
    members = {"kind": kind, "by": by, "nonce": uuid4().hex, "issued": now, "expires": now + timedelta(days=1), **subject}
    return DecisionDocument.model_validate({**members, **changes})

"""People with SSH keys, as they sign decisions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from slipway.api import Evidence, PromotionStatus, SignedCommand
from slipway.decisions import subject
from slipway.decisions.document import DecisionDocument
from slipway.decisions.signatures import sign
from slipway.temporal.start import Handle
from tests.support.signing import make_key


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
        return path if path.exists() else make_key(self._folder, name)

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
    described = await handle.describe()
    run = described.raw_description.workflow_execution_info.first_run_id
    sha256 = evidence.sha256 if evidence else ""
    return dict(subject.subject_of(status, evidence, sha256, namespace=described.namespace, run=run))


def document(about: Mapping[str, Any], kind: str = "approve", by: str = "ana", **changes: Any) -> DecisionDocument:
    """A decision on a subject, to be signed."""
    now = datetime.now(UTC).replace(microsecond=0)
    members = {"kind": kind, "by": by, "nonce": uuid4().hex, "issued": now, "expires": now + timedelta(days=1), **about}
    return DecisionDocument.model_validate({**members, **changes})

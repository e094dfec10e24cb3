"""How commands sign: which key, and the document of a decision."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Group
from rich.text import Text

from slipway.api import IdentityLevel, SignedCommand
from slipway.cli.common import Length, checked
from slipway.cli.naming import NOTHING, Named
from slipway.cli.reading import FoundEvidence, Opened
from slipway.decisions.document import DecisionDocument, Kind
from slipway.decisions.signatures import sign
from slipway.decisions.subject import subject_of
from slipway.errors import RefusedError

KEYS = ("id_ed25519_sk", "id_ed25519", "id_ecdsa", "id_rsa")
"""The names of keys in ~/.ssh, the one that is looked for first at the front."""
COUNTS_FOR = timedelta(days=7)
Expires = Annotated[
    Length,
    Parameter(name="--expires", help="How long the signed decision may be handed in, as 1h or 7d. Default: 7d."),
]


@Parameter(name="*")
@dataclass(frozen=True)
class Signing:
    """Whether a command signs, and with what."""

    sign: Annotated[
        bool,
        Parameter(
            name="--sign",
            negative="--no-sign",
            env_var="SLIPWAY_SIGN",
            help="Sign the decision with your SSH key, so that it is proved whose it is. SLIPWAY_SIGN=1 makes it the default.",
        ),
    ] = False
    key: Annotated[
        Path | None,
        Parameter(
            name="--key",
            env_var="SLIPWAY_SIGNING_KEY",
            help="The key to sign with: a private key, or a public one whose private key an agent holds. Default: "
            "SLIPWAY_SIGNING_KEY; the key that git signs with, if that is an SSH key; the first in ~/.ssh of "
            f"{', '.join(KEYS)}.",
        ),
    ] = None
    expires: Expires = None

    @property
    def level(self) -> str:
        """How well it will be known who decided, in a word."""
        return IdentityLevel.signed if self.sign else IdentityLevel.claimed

    def sign_document(self, document: DecisionDocument) -> SignedCommand:
        """Sign a document, with a question on the terminal where the key asks one.

        Raises:
            RefusedError: There is no key, or it cannot sign.
        """
        text = document.canonical()
        return SignedCommand(document=text, signature=sign(text, find_key(self.key)))


def require_signed(opened: Opened, name: str, who: str, signing: Signing) -> None:
    """Refuse to go on where a signature is needed and cannot be made, before anybody is asked.

    A command that does not sign is claimed: Temporal's server names the senders of signals alone.

    Raises:
        RefusedError: The promotion takes no claimed decisions, and the command does not sign; or there is no key to sign with.
    """
    needed = opened.status.identity
    if signing.sign:
        find_key(signing.key)
    elif needed is not IdentityLevel.claimed:
        remedy = f"sign it: slipway {name} {opened.status.id} --by {shlex.quote(who)} --sign"
        if needed is IdentityLevel.temporal:
            remedy += f"; or send the signal {name} in the Temporal UI, with a login of your own"
        answered = f"the worker's policy asks for decisions that are {needed}, and this command does not sign"
        raise RefusedError(f"deciding to {name} {opened.status.id}", answered, remedy)


def make_document(
    kind: Kind,
    opened: Opened,
    found: FoundEvidence | None,
    who: str,
    reason: str,
    expires: timedelta | None,
    named: Named = NOTHING,
) -> DecisionDocument:
    """The document of a decision on what a promotion is now.

    Raises:
        RefusedError: A value is not allowed.
    """
    issued = datetime.now(UTC).replace(microsecond=0)
    evidence, sha256 = (found.evidence, found.sha256) if found else (None, "")
    return checked(
        DecisionDocument,
        kind,
        kind=kind,
        **dict(subject_of(opened.status, evidence, sha256, namespace=opened.namespace, run=opened.run)),
        by=who,
        nonce=secrets.token_hex(16),
        issued=issued,
        expires=issued + (expires or COUNTS_FOR),
        reason=reason,
        use_execution=named.execution,
        use_package=named.package,
        use_task=named.task,
    )


def show_document(document: DecisionDocument) -> Group:
    """What is signed, one line each."""
    said = document.model_dump(mode="json", exclude={"slipway", "nonce", "targets"})
    said["targets"] = "; ".join(document.targets)
    names = [name for name in DecisionDocument.model_fields if said.get(name)]
    lines = [Text(f"  {name.replace('_', ' '):<11} {said[name]}") for name in names]
    return Group(Text("what is signed:", style="bold"), *lines)


def find_key(named: Path | None) -> Path:
    """The key that a person signs with.

    Args:
        named: The one that is named, if any.

    Raises:
        RefusedError: There is none.
    """
    folder = Path("~/.ssh").expanduser()
    found = named or _key_of_git() or next((folder / name for name in KEYS if (folder / name).is_file()), None)
    if found is None:
        raise RefusedError(
            "looking for a key to sign with",
            f"neither --key nor SLIPWAY_SIGNING_KEY names one, git signs with none, and ~/.ssh has none of {', '.join(KEYS)}",
            "make one with `ssh-keygen -t ed25519`, and have it enrolled (docs/approvers.md); or name yours with --key",
        )
    return found.expanduser()


def _key_of_git() -> Path | None:
    """The SSH key that git signs with.

    Raises:
        RefusedError: Git has the key itself, which is no file.
    """
    if shutil.which("git") is None or _git("gpg.format") != "ssh":
        return None
    key = _git("user.signingkey")
    if key.startswith(("key::", "ssh-", "ecdsa-", "sk-")):
        raise RefusedError(
            "looking for a key to sign with",
            "git's user.signingkey holds a public key, not the name of a file",
            "write it to a file, and name that with --key or SLIPWAY_SIGNING_KEY",
        )
    return Path(key) if key else None


def _git(setting: str) -> str:
    done = subprocess.run(
        ["git", "config", "--get", setting],
        text=True,
        capture_output=True,
        check=False,
        timeout=10,
        cwd=Path.cwd(),
        env=os.environ,
    )
    return done.stdout.strip()

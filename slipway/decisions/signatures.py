"""Signatures on decisions: made and checked by OpenSSH's `ssh-keygen -Y`.

It is the reference implementation. It knows each kind of key, with those on FIDO tokens and those in an agent, certificates, and
the times between which a key counts. The namespace keeps a signature that was made for something else, as a git commit, from
being one on a decision.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import itertools
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from slipway.api import DOCUMENT_LIMIT, SIGNATURE_LIMIT
from slipway.errors import NeedsPersonError, RefusedError, TransientError
from slipway.programs import output_of, start
from slipway.text import one_line

NAMESPACE = "slipway-decision"
SIGNERS_LIMIT = 256_000
"""Bytes of an allowed_signers file."""
VERIFIED_WITHIN = 20.0
"""Seconds; one takes some milliseconds."""
SIGNED_WITHIN = 300.0
"""Seconds for a person to type a passphrase or to touch a token."""
_ARMOUR = re.compile(r"-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]+)\n-----END SSH SIGNATURE-----\n?")
_GOOD = re.compile(r" with (?P<type>\S+) key (?P<fingerprint>SHA256:[A-Za-z0-9+/]{43})$")
_MAGIC = b"SSHSIG\x00\x00\x00\x01"
_PATTERN = frozenset('*?!,"#')
_CERTIFICATE = "-cert-v01@openssh.com"
_PLAIN_FIELDS = {
    "ssh-ed25519": 1,
    "ssh-rsa": 2,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519": 2,
    "sk-ecdsa-sha2-nistp256": 3,
}
"""How many fields make up the key in a certificate, by the key's type."""


class Signer(BaseModel):
    """Whose key made a signature."""

    model_config = ConfigDict(frozen=True)

    principal: str
    """The name in allowed_signers."""
    fingerprint: str
    """The key's, as `SHA256:…`. A certificate has that of its key."""
    key_type: str
    """As `ED25519` or `ECDSA-SK`; with `-CERT` where a certificate was used."""


def sign(document: str, key: Path) -> str:
    """Signs a document. `ssh-keygen` may ask for a passphrase or a touch on the terminal.

    Args:
        document: The canonical text.
        key: A private key, or a public one whose private key an agent holds.

    Returns:
        The signature in its armour.

    Raises:
        RefusedError: The key cannot sign.
    """
    tried = f"signing the decision with {key}"
    with _private_files(decision=document) as folder:
        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(key), str(folder / "decision")]
        # It asks on a terminal only where standard input and error are one.
        can_ask = sys.stdin.isatty() and sys.stderr.isatty()
        try:
            done = subprocess.run(
                command,
                stdin=None if can_ask else subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if can_ask else subprocess.PIPE,
                timeout=SIGNED_WITHIN,
                check=False,
            )
        except FileNotFoundError as error:
            raise _no_program(tried, "where you sign") from error
        except subprocess.TimeoutExpired as error:
            raise RefusedError(tried, f"nothing came back for {SIGNED_WITHIN:.0f} s", "repeat the command") from error
        made = folder / "decision.sig"
        if done.returncode != 0 or not made.is_file():
            said = one_line((done.stderr or b"").decode(errors="replace")).removeprefix("Enter passphrase: ")
            raise RefusedError(tried, said or "ssh-keygen did not sign; see its words above", _SIGN_REMEDY)
        return made.read_text()


_SIGN_REMEDY = (
    "name your key with --key, or SLIPWAY_SIGNING_KEY: the private key's file, or the public one's if an agent holds the key. "
    "One with a passphrase needs a terminal or an agent (`ssh-add`)"
)


async def verify(document: str, signature: str, allowed_signers: str, principal: str, at: datetime) -> Signer:
    """Whose signature it is, if it is one of the principal's on this very text by a key that counts at this time.

    Args:
        document: What was signed.
        signature: The signature in its armour.
        allowed_signers: The content of an allowed_signers file. Times in it count as UTC where they do not say otherwise.
        principal: The name that must have signed.
        at: When.

    Raises:
        RefusedError: It is not.
        NeedsPersonError: `ssh-keygen` is not there.
        TransientError: It did not end in time.
    """
    tried = f"checking the signature of {one_line(principal)}"
    _check_sizes(tried, document, signature, allowed_signers)
    _check_principal(tried, principal)
    found = fingerprint_of(signature)
    # Windows' editors put a byte order mark first, and ssh-keygen would take it for a part of the first name.
    with _private_files(signers=allowed_signers.removeprefix("\ufeff"), signature=signature) as folder:
        answer = await _run(
            tried,
            [
                "-Y",
                "verify",
                "-n",
                NAMESPACE,
                "-f",
                "signers",
                "-I",
                principal,
                "-s",
                "signature",
                "-O",
                f"verify-time={_time(at)}",
            ],
            folder,
            document.encode(),
        )
    good = _GOOD.search(answer.out.rstrip("\n"))
    if answer.code == 0 and good:
        return Signer(principal=principal, fingerprint=good["fingerprint"], key_type=good["type"])
    answered, remedy = _why(answer.err, found, one_line(principal))
    raise RefusedError(tried, answered, remedy)


def fingerprint_of(signature: str) -> str:
    """The fingerprint of the key that a signature says it was made with, as `SHA256:…`. It proves nothing.

    Raises:
        RefusedError: It is not a signature.
    """
    tried = "reading the signature"
    armour = _ARMOUR.fullmatch(signature) if len(signature) <= SIGNATURE_LIMIT else None
    if armour is None:
        raise RefusedError(tried, "it is not in the armour of `ssh-keygen -Y sign`", _SIGNATURE_REMEDY)
    try:
        blob = base64.b64decode(armour[1].replace("\n", ""), validate=True)
        if not blob.startswith(_MAGIC):
            raise ValueError("another format")  # noqa: TRY301 -- one end for all that is malformed
        key = next(_fields(blob[len(_MAGIC) :]))
        return _fingerprint(_plain_key(key))
    except (binascii.Error, ValueError, StopIteration, KeyError) as error:
        raise RefusedError(tried, "it is damaged", _SIGNATURE_REMEDY) from error


_SIGNATURE_REMEDY = "hand in the whole file that `ssh-keygen -Y sign` wrote, from -----BEGIN to -----END, with its line ends"


def _fingerprint(key: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def _plain_key(key: bytes) -> bytes:
    """The key without the certificate around it: fingerprints are of keys."""
    fields = _fields(key)
    kind = next(fields).decode("ascii")
    if not kind.endswith(_CERTIFICATE):
        return key
    plain = kind.removesuffix(_CERTIFICATE)
    next(fields)  # the certificate's nonce
    kind = f"{plain}@openssh.com" if plain.startswith("sk-") else plain
    parts = list(itertools.islice(fields, _PLAIN_FIELDS[plain]))
    if len(parts) < _PLAIN_FIELDS[plain]:
        raise ValueError("cut off")
    return b"".join(map(_field, (kind.encode(), *parts)))


def _fields(blob: bytes) -> Iterator[bytes]:
    """The strings of SSH's binary format, each behind its length."""
    start = 0
    while start < len(blob):
        length = int.from_bytes(blob[start : start + 4], "big")
        field = blob[start + 4 : start + 4 + length]
        if len(field) != length or start + 4 > len(blob):
            raise ValueError("cut off")
        yield field
        start += 4 + length


def _field(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def _check_sizes(tried: str, document: str, signature: str, allowed_signers: str) -> None:
    if len(document) > DOCUMENT_LIMIT:
        raise RefusedError(tried, f"the document has more than {DOCUMENT_LIMIT:,} characters", "sign a decision's document")
    if len(signature) > SIGNATURE_LIMIT:
        raise RefusedError(tried, f"the signature has more than {SIGNATURE_LIMIT:,} characters", _SIGNATURE_REMEDY)
    if len(allowed_signers.encode()) > SIGNERS_LIMIT:
        raise RefusedError(tried, f"allowed_signers has more than {SIGNERS_LIMIT:,} bytes", "keep it smaller")


def _check_principal(tried: str, principal: str) -> None:
    """A name that is a pattern is nobody's: allowed_signers has patterns, and only there they have a meaning."""
    if not principal.strip() or not principal.isprintable() or _PATTERN & set(principal):
        answered = 'a name in allowed_signers is one line without * ? ! , " #'
        raise RefusedError(tried, answered, "sign under the name that promotion.yaml and allowed_signers have")


def _why(said: str, fingerprint: str, principal: str) -> tuple[str, str]:
    """What a failure means, and what to do."""
    if "incorrect signature" in said:
        return "the document was changed after it was signed, or this is another document's signature", "sign it again"
    if "namespace does not match" in said:
        return "the signature was made for something else", f"sign with `ssh-keygen -Y sign -n {NAMESPACE}`"
    time = re.search(r"key (has expired|is not yet valid)[^\n]*", said)
    if time:
        remedy = "sign with a key that counts, or ask who keeps allowed_signers to correct valid-after and valid-before"
        return f"the key {fingerprint} does not count at this time ({time[0]})", remedy
    certificate = re.search(r"[Cc]ertificate [^\n]*", said)
    if certificate:
        return f"the certificate of the key {fingerprint} does not count: {one_line(certificate[0])}", "get a new certificate"
    if re.search(r"parse signature|sshsig_|invalid format|incomplete message", said):
        return "the signature is damaged", _SIGNATURE_REMEDY
    return (
        f"the key {fingerprint} is not one of {principal} in allowed_signers",
        f"sign with a key that is, or ask who keeps allowed_signers to add a line for {principal} (docs/approvers.md)",
    )


class _Answer(BaseModel):
    code: int
    out: str
    err: str


async def _run(tried: str, arguments: list[str], folder: Path, stdin: bytes) -> _Answer:
    try:
        process = await start(
            "ssh-keygen",
            *arguments,
            cwd=folder,
            # Times without a zone would count otherwise on each machine. No agent or setting of the worker has a say.
            env={"PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC0", "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise _no_program(tried, "where the worker runs") from error
    try:
        out, err = await output_of(process, stdin, VERIFIED_WITHIN)
    except TimeoutError as error:
        raise TransientError(tried, f"ssh-keygen had not ended after {VERIFIED_WITHIN:.0f} s") from error
    return _Answer(code=process.returncode or 0, out=out.decode(errors="replace"), err=err.decode(errors="replace"))


def _no_program(tried: str, where: str) -> NeedsPersonError:
    answered = "there is no program `ssh-keygen` on the PATH"
    return NeedsPersonError(tried, answered, f"install OpenSSH's client {where} (Debian: openssh-client), 8.9 or newer")


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%d%H%M%S")


@contextlib.contextmanager
def _private_files(**contents: str) -> Generator[Path]:
    """A folder that only this user can read, with these files, for as long as they are needed."""
    with tempfile.TemporaryDirectory(prefix="slipway-") as folder:
        for name, content in contents.items():
            (Path(folder) / name).write_bytes(content.encode())
        yield Path(folder)

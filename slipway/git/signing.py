"""Signatures of commits by an SSH key: the options that make git write them, and those that make it believe one key alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

from slipway.errors import NeedsPersonError, TransientError
from slipway.programs import output_of, start

TIMEOUT = 30.0
"""Seconds until ssh-keygen is killed."""
_TRIED = "reading the key of SLIPWAY_GIT_SIGNING_KEY"


def signing_options(key: Path) -> tuple[str, ...]:
    """Git's options that sign with a key."""
    return "-c", "gpg.format=ssh", "-c", f"user.signingKey={key}"


async def verifying_options(key: Path, allowed: Path) -> tuple[str, ...]:
    """Git's options that accept a signature of this key and no other, of whatever kind.

    Args:
        key: The SSH private key.
        allowed: Where the list of accepted keys is written.
    """
    line = f'slipway namespaces="git" {await public_key(key)}\n'
    await asyncio.to_thread(allowed.write_text, line)
    # The worker may have a keyring; what it trusts there does not count.
    return (
        *("-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={allowed}"),
        *("-c", "gpg.openpgp.program=false", "-c", "gpg.x509.program=false"),
    )


async def public_key(key: Path) -> str:
    """The public half of an SSH private key.

    Raises:
        NeedsPersonError: The file is no SSH private key, or has a passphrase.
        TransientError: ssh-keygen did not end.
    """
    remedy = "set it to the file of an SSH private key without a passphrase that only the worker's user can read"
    try:
        process = await start("ssh-keygen", "-y", "-P", "", "-f", str(key), stdin=asyncio.subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise NeedsPersonError(_TRIED, "there is no program `ssh-keygen` on the worker's PATH", "install OpenSSH") from error
    try:
        stdout, stderr = await output_of(process, None, TIMEOUT)
    except TimeoutError as error:
        raise TransientError(_TRIED, f"ssh-keygen had not ended after {TIMEOUT:.0f} s") from error
    if process.returncode:
        raise NeedsPersonError(_TRIED, " ".join(stderr.decode(errors="replace").split()), remedy)
    kind, body, *_ = stdout.decode().split()
    return f"{kind} {body}"

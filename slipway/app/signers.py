"""Who must have signed an image, as a spec or a policy names them: a public key, or an identity that Sigstore has proved.

The checks here need no cryptography: the command has none. The worker reads the keys in full before it changes anything.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated

from slipway.app.expressions import compiled
from slipway.app.rules import Bounds, rule, when_reading
from slipway.app.spec_model import SpecModel

SIGNERS_LIMIT = 20
KEY_LIMIT = 4_000
"""Characters of a key in PEM: RSA with 16,384 bits has 2,900."""
STRANGERS = ("anybody@example.com", "https://github.com/anybody/anything/.github/workflows/any.yml@refs/heads/any")
"""Subjects that no app means."""
_PEM = re.compile(r"\s*-----BEGIN PUBLIC KEY-----\s+(?P<content>[A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----\s*")
_ALGORITHMS = {
    "ECDSA on P-256": bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200"),
    "ECDSA on P-384": bytes.fromhex("3076301006072a8648ce3d020106052b81040022036200"),
    "ECDSA on P-521": bytes.fromhex("30819b301006072a8648ce3d020106052b8104002303818600"),
    "Ed25519": bytes.fromhex("302a300506032b6570032100"),
}
"""How the key's DER begins, by algorithm; its length follows from that."""
_LENGTHS = {"ECDSA on P-256": 91, "ECDSA on P-384": 120, "ECDSA on P-521": 158, "Ed25519": 44}
_RSA = bytes.fromhex("06092a864886f70d010101")
_RSA_LENGTH = 290
"""Bytes of the DER of a key with 2,048 bits, without the spare ones."""
_ISSUER = r"^https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[!-~]*)?$"


def key_content(pem: str) -> bytes:
    """A public key's DER.

    Raises:
        ValueError: It is no public key in PEM, or of a kind that cosign does not sign with. The text is not repeated.
    """
    found = _PEM.fullmatch(pem)
    if found is None:
        what = "a private key: take it out of the file and replace it; " if "PRIVATE KEY" in pem else ""
        raise ValueError(f"must be {what}one public key in PEM, as `cosign generate-key-pair` writes it to cosign.pub")
    try:
        content = base64.b64decode("".join(found["content"].split()), validate=True)
    except binascii.Error as error:
        raise ValueError("must be a whole public key: what stands between its first and last line is not base64") from error
    if not _is_known(content):
        raise ValueError(f"must be a key of {', '.join(_ALGORITHMS)}, or RSA with 2,048 bits or more")
    return content


def _is_known(content: bytes) -> bool:
    if _RSA in content[:24]:
        return len(content) >= _RSA_LENGTH
    return any(content.startswith(prefix) and len(content) == _LENGTHS[name] for name, prefix in _ALGORITHMS.items())


def _key(pem: str) -> str:
    key_content(pem)
    return pem


def _pattern(pattern: str) -> str:
    try:
        expression = compiled(pattern)
    except ValueError as error:
        raise ValueError(f"must be a regular expression; this one {error}") from error
    if any(expression.fullmatch(stranger.encode()) for stranger in STRANGERS):
        remedy = "write out the owner and the repository"
        raise ValueError(f"must be a pattern that does not match anybody at all, as {STRANGERS[-1]}: {remedy}")
    return pattern


class RequiredSigner(SpecModel):
    """One whose signature counts: the holder of a key, or a keyless identity."""

    key: Annotated[str, Bounds(min_length=1, max_length=KEY_LIMIT), when_reading(_key)] | None = None
    """The public key in PEM: ECDSA, Ed25519, or RSA with 2,048 bits or more."""
    issuer: Annotated[str, Bounds(max_length=500, pattern=_ISSUER)] | None = None
    """For a keyless signature: the OIDC issuer who knows the signer, as `https://token.actions.githubusercontent.com`."""
    subject: Annotated[str, Bounds(min_length=1, max_length=500, pattern=r"^[!-~]+$")] | None = None
    """Whom the issuer named: for GitHub Actions
    `https://github.com/<owner>/<repository>/.github/workflows/<file>@refs/heads/<branch>`."""
    subject_pattern: Annotated[str, Bounds(min_length=1, max_length=500), when_reading(_pattern)] | None = None
    """Instead of `subject`: a regular expression (RE2) that the whole subject matches."""

    @rule
    def _is_one_kind(self) -> None:
        """Either `key`, or `issuer` with one of `subject` and `subjectPattern`."""
        named = (self.issuer, self.subject, self.subject_pattern)
        if self.key is not None and any(named):
            raise ValueError("names a key and an identity: list them as two signers")
        if self.key is None and (self.issuer is None or (self.subject is None) == (self.subject_pattern is None)):
            raise ValueError("needs a key, or an issuer with one of subject and subjectPattern")

    def covers(self, subject: str) -> bool:
        """Whether a keyless subject is this signer's."""
        if self.subject_pattern is None:
            return self.subject == subject
        return compiled(self.subject_pattern).fullmatch(subject.encode()) is not None


SignedBy = Annotated[tuple[RequiredSigner, ...], Bounds(max_length=SIGNERS_LIMIT)]

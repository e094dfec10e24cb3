"""Keyless signatures: Sigstore's bundles, verified offline by its own client against a root that the worker's owner gave."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat import asn1

from slipway.cosign.statements import PAYLOAD_TYPE, FormatError
from slipway.errors import NeedsPersonError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.verify import Verifier

ROOT_LIMIT = 1_000_000
_FORMER_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_SETTING = "SLIPWAY_SIGSTORE_ROOT"
_REMEDY = f"ask the worker's owner to set {_SETTING} to Sigstore's trusted root (docs/signatures.md), then retry"


class SigstoreRoot:
    """Whom a worker believes about identities: a file `trusted_root.json` of Sigstore.

    Args:
        file: Its path; none where the worker has none.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._read = b""
        self._verifier: Verifier | None = None

    def verifier(self) -> Verifier:
        """A verifier by the file as it is now.

        Raises:
            NeedsPersonError: There is no file, or it is no trusted root.
        """
        # Sigstore's client takes most of a second to import, and only keyless signatures need it.
        from sigstore.errors import Error  # noqa: PLC0415
        from sigstore.models import TrustedRoot  # noqa: PLC0415
        from sigstore.verify import Verifier  # noqa: PLC0415

        if self._file is None:
            raise NeedsPersonError("verifying a keyless signature", f"the worker has no {_SETTING}", _REMEDY)
        tried = f"reading {_SETTING}"
        try:
            with self._file.open("rb") as file:
                content = file.read(ROOT_LIMIT + 1)
        except OSError as error:
            raise NeedsPersonError(tried, error.strerror or str(error), _REMEDY) from error
        if len(content) > ROOT_LIMIT:
            raise NeedsPersonError(tried, f"it has more than {ROOT_LIMIT:,} bytes", _REMEDY)
        with self._lock:
            if self._verifier is None or content != self._read:
                try:
                    self._verifier = Verifier(trusted_root=TrustedRoot.from_file(str(self._file)))
                except (Error, ValueError) as error:
                    raise NeedsPersonError(tried, f"it is no trusted root: {error}", _REMEDY) from error
                self._read = content
            return self._verifier


@dataclass(frozen=True)
class VerifiedBundle:
    """What a bundle holds, once its signature, its certificate and its log entry have been verified."""

    issuer: str
    subject: str
    payload: bytes
    """An in-toto statement."""


def verify_bundle(bundle: bytes, verifier: Verifier) -> VerifiedBundle:
    """What a bundle holds, and who signed it.

    Its certificate is by the root's authority, and was valid at the time that the log or a timestamp authority has signed. The
    log's proof is in the bundle. Whether the identity is one that counts is for the caller to say.

    Args:
        bundle: Its JSON.
        verifier: Whom to believe.

    Raises:
        FormatError: One of these does not hold.
    """
    from sigstore.models import Bundle  # noqa: PLC0415

    identity = _Identity()
    try:
        payload_type, payload = verifier.verify_dsse(Bundle.from_json(bundle), identity)
    except Exception as error:  # whatever a stranger's bytes do to the library, the signature does not count
        raise FormatError(f"Sigstore's verification failed: {error}") from error
    if payload_type != PAYLOAD_TYPE:
        raise FormatError("it holds no in-toto statement")
    return VerifiedBundle(identity.issuer, identity.subject, payload)


class _Identity:
    """Takes the identity out of a certificate while a bundle is verified."""

    def __init__(self) -> None:
        self.issuer = ""
        self.subject = ""

    def verify(self, cert: Certificate) -> None:
        """Called by the verifier, with a certificate of the root's authority."""
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        subjects = [
            *names.get_values_for_type(x509.RFC822Name),
            *names.get_values_for_type(x509.UniformResourceIdentifier),
        ]
        if len(list(names)) != 1 or len(subjects) != 1:
            raise FormatError("its certificate names more than one identity, or one of another kind")
        self.issuer, self.subject = _issuer(cert), subjects[0]


def _issuer(cert: Certificate) -> str:
    """The OIDC issuer, as Fulcio writes it into its certificates: as DER today, and as plain text formerly."""
    with contextlib.suppress(x509.ExtensionNotFound):
        return asn1.decode_der(str, _value(cert, _ISSUER))
    return _value(cert, _FORMER_ISSUER).decode()


def _value(cert: Certificate, oid: x509.ObjectIdentifier) -> bytes:
    extension = cert.extensions.get_extension_for_oid(oid).value
    if not isinstance(extension, x509.UnrecognizedExtension):
        raise FormatError("its certificate has an extension of another kind")
    return extension.value

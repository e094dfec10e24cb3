"""Who signed an image, and what those people attest of it.

A signature counts where its bytes are by a key or an identity that is asked for, and where what was signed names exactly the
image's digest. Everything else that is attached is only looked at for why it does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slipway.api import ImageSigner
from slipway.app.signers import RequiredSigner
from slipway.cosign.attached import BUNDLES, DSSE, SIMPLE_SIGNING, Attached
from slipway.cosign.keyless import SigstoreRoot, verify_bundle
from slipway.cosign.keys import PublicKey, load_key
from slipway.cosign.statements import (
    PAYLOAD_TYPE,
    SIGNATURE_PREDICATE,
    Envelope,
    FormatError,
    Statement,
    decoded,
    mapping,
    read_envelope,
    read_json,
    read_statement,
    simple_signing_digest,
)

if TYPE_CHECKING:
    from sigstore.verify import Verifier

SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"
SUBJECT_LIMIT = 300
"""Characters of an identity that are kept."""
_CERTIFICATE = "dev.sigstore.cosign/certificate"
_NO_SIGNER = "it is by none of the keys and identities that are asked for"
_FORMER_KEYLESS = "it is keyless in the format of cosign 2, without the log's proof: sign with cosign 3, or --new-bundle-format"


@dataclass(frozen=True)
class Signed:
    """A signature of an image by somebody who is asked for."""

    signer: RequiredSigner
    """As the spec or the policy names them."""
    who: ImageSigner


@dataclass(frozen=True)
class Attestation:
    """What somebody who is asked for says about an image."""

    who: ImageSigner
    statement: Statement


@dataclass
class Verification:
    """What is known of an image by its signatures."""

    signatures: list[Signed] = field(default_factory=list[Signed])
    attestations: list[Attestation] = field(default_factory=list[Attestation])
    others: list[Statement] = field(default_factory=list[Statement])
    """What is said about it in envelopes that nobody who is asked for has signed."""
    objections: list[str] = field(default_factory=list[str])
    """Why something that is attached does not count."""

    def together(self, other: Verification) -> Verification:
        """This and what is known by what is attached to the same image elsewhere."""
        return Verification(
            self.signatures + other.signatures,
            self.attestations + other.attestations,
            self.others + other.others,
            self.objections + other.objections,
        )


def verify_attached(
    attached: Sequence[Attached], digest: str, signers: Sequence[RequiredSigner], root: SigstoreRoot
) -> Verification:
    """What is known of an image by what is attached to it.

    Args:
        attached: That.
        digest: The image's digest. What names another does not count, whoever signed it.
        signers: Whose signatures count.
        root: Whom to believe about identities.

    Raises:
        RefusedError: A key of the signers cannot be read.
        NeedsPersonError: A keyless signer is asked for, and the worker has no trusted root.
    """
    keys = [(signer, load_key(signer.key)) for signer in signers if signer.key is not None]
    people = [signer for signer in signers if signer.key is None]
    look = _Look(digest, keys, people, root.verifier() if people else None)
    for item in attached:
        try:
            look.at(item)
        except FormatError as error:
            look.verdict.objections.append(str(error))
    return look.verdict


class _Look:
    """One look through what is attached."""

    def __init__(
        self,
        digest: str,
        keys: Sequence[tuple[RequiredSigner, PublicKey]],
        people: Sequence[RequiredSigner],
        verifier: Verifier | None,
    ) -> None:
        self.verdict = Verification()
        self._digest = digest
        self._keys = keys
        self._people = people
        self._verifier = verifier

    def at(self, item: Attached) -> None:
        """Looks at one thing.

        Raises:
            FormatError: It does not count.
        """
        if item.large:
            raise FormatError("it is too large to be looked at")
        match item.media_type:
            case kind if kind == SIMPLE_SIGNING:
                self._simple_signing(item)
            case kind if kind == DSSE:
                self._envelope(read_envelope(read_json(item.content)))
            case kind if kind in BUNDLES:
                self._bundle(item.content)
            case _:
                return

    def _simple_signing(self, item: Attached) -> None:
        signature = decoded(item.annotations.get(SIGNATURE_ANNOTATION))
        signed = self._by_keys(item.content, [signature])
        if not signed:
            raise FormatError(_FORMER_KEYLESS if self._people and _CERTIFICATE in item.annotations else _NO_SIGNER)
        self._require_digest((simple_signing_digest(item.content),))
        self.verdict.signatures += signed

    def _envelope(self, envelope: Envelope) -> None:
        if envelope.payload_type != PAYLOAD_TYPE:
            raise FormatError("its envelope holds no in-toto statement")
        self._file(read_statement(envelope.payload), self._by_keys(envelope.signed, envelope.signatures))

    def _bundle(self, content: bytes) -> None:
        document = read_json(content)
        material = mapping(document.get("verificationMaterial"))
        if "publicKey" in material or self._verifier is None:
            self._envelope(read_envelope(mapping(document.get("dsseEnvelope"))))
            return
        verified = verify_bundle(content, self._verifier)
        who = ImageSigner(subject=verified.subject[:SUBJECT_LIMIT], issuer=verified.issuer[:SUBJECT_LIMIT])
        of_people = [each for each in self._people if each.issuer == verified.issuer and each.covers(verified.subject)]
        self._file(read_statement(verified.payload), [Signed(each, who) for each in of_people])

    def _by_keys(self, content: bytes, signatures: Sequence[bytes]) -> list[Signed]:
        return [
            Signed(signer, ImageSigner(key=key.fingerprint))
            for signer, key in self._keys
            if any(key.has_signed(content, signature) for signature in signatures)
        ]

    def _file(self, statement: Statement, signed: list[Signed]) -> None:
        """Puts a statement where it belongs: a signature says nothing but that the image is the signer's."""
        self._require_digest(statement.digests)
        if statement.predicate_type != SIGNATURE_PREDICATE:
            self.verdict.attestations += [Attestation(each.who, statement) for each in signed]
            if not signed:
                self.verdict.others.append(statement)
            return
        if not signed:
            raise FormatError(_NO_SIGNER)
        self.verdict.signatures += signed

    def _require_digest(self, digests: Sequence[str]) -> None:
        if self._digest not in digests:
            raise FormatError("it is about another image")

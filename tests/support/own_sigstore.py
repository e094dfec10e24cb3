"""A Sigstore of one's own, offline: an authority that issues certificates, logs that prove it, and the trusted root of these."""

from __future__ import annotations

import hashlib
import json
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.signed_images import BUNDLE, Key, encoded, envelope_of

_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_FORMER_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_TIMESTAMPS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_START = datetime(2020, 1, 1, tzinfo=UTC)
_LOG = "log.test"


class OwnSigstore:
    """An authority with its logs.

    Args:
        folder: For the trusted root.
    """

    def __init__(self, folder: Path) -> None:
        self._authority = ec.generate_private_key(ec.SECP256R1())
        self._certificates_log = ec.generate_private_key(ec.SECP256R1())
        self._log = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "own.test")])
        self._root = self._authority_certificate()
        self.file = folder / "trusted_root.json"
        self.file.write_text(json.dumps(self._trusted_root()))

    def bundle(
        self,
        payload: bytes,
        subject: str,
        issuer: str = "https://issuer.test",
        *,
        logged_after: timedelta = timedelta(minutes=1),
        former: bool = False,
    ) -> bytes:
        """A keyless signature: a certificate for ten minutes, and the log's entry.

        Args:
            payload: What is signed.
            subject: Whom the certificate names.
            issuer: Who knows the subject.
            logged_after: When the entry was logged, from the certificate's beginning.
            former: Whether the issuer is written as Fulcio formerly did.
        """
        signer = ec.generate_private_key(ec.SECP256R1())
        begin = datetime.now(UTC).replace(microsecond=0) - timedelta(days=30)
        certificate = self._leaf(signer, subject, issuer, begin, former=former)
        envelope = envelope_of(Key(signer), payload)
        entry = self._entry(certificate, payload, envelope, int((begin + logged_after).timestamp()))
        material = {"certificate": {"rawBytes": encoded(certificate.public_bytes(Encoding.DER))}, "tlogEntries": [entry]}
        return json.dumps({"mediaType": BUNDLE, "verificationMaterial": material, "dsseEnvelope": envelope}).encode()

    def _authority_certificate(self) -> x509.Certificate:
        public = self._authority.public_key()
        usage = _usage(certificates=True)
        return (
            x509.CertificateBuilder(
                self._name, self._name, public, x509.random_serial_number(), _START, _START + timedelta(36_500)
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._authority, hashes.SHA256())
        )

    def _leaf(
        self, key: ec.EllipticCurvePrivateKey, subject: str, issuer: str, begin: datetime, *, former: bool
    ) -> x509.Certificate:
        name = x509.UniformResourceIdentifier(subject) if "://" in subject else x509.RFC822Name(subject)
        known = (
            x509.UnrecognizedExtension(_FORMER_ISSUER, issuer.encode())
            if former
            else x509.UnrecognizedExtension(_ISSUER, asn1.encode_der(issuer))
        )
        builder = (
            x509.CertificateBuilder(self._name, x509.Name([]), key.public_key(), x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + timedelta(minutes=10))
            .add_extension(_usage(certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._authority.public_key()), critical=False)
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .add_extension(known, critical=False)
        )
        before = builder.sign(self._authority, hashes.SHA256())
        proof = self._timestamp(before.tbs_certificate_bytes, begin)
        return builder.add_extension(x509.UnrecognizedExtension(_TIMESTAMPS, proof), critical=False).sign(
            self._authority, hashes.SHA256()
        )

    def _timestamp(self, certificate: bytes, at: datetime) -> bytes:
        """The log's signed word that it has seen a certificate (RFC 6962)."""
        milliseconds = int(at.timestamp() * 1_000)
        length = len(certificate).to_bytes(3, "big")
        signed = struct.pack("!BBQH", 0, 0, milliseconds, 1) + key_id(self._authority) + length + certificate + b"\0\0"
        signature = self._certificates_log.sign(signed, ec.ECDSA(hashes.SHA256()))
        word = struct.pack("!B32sQH", 0, key_id(self._certificates_log), milliseconds, 0)
        word += struct.pack("!BBH", 4, 3, len(signature)) + signature
        listed = struct.pack("!HH", len(word) + 2, len(word)) + word
        return asn1.encode_der(listed)

    def _entry(self, certificate: x509.Certificate, payload: bytes, envelope: dict[str, Any], at: int) -> dict[str, Any]:
        """The log's entry, its first and only one, with the proof that it is in there."""
        signatures = [
            {"signature": each["sig"], "verifier": encoded(certificate.public_bytes(Encoding.PEM))}
            for each in envelope["signatures"]
        ]
        spec = {
            "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(json.dumps(envelope).encode()).hexdigest()},
            "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
            "signatures": signatures,
        }
        body = rfc8785.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        tree = hashlib.sha256(b"\0" + body).digest()
        note = f"{_LOG} - 1\n1\n{encoded(tree)}\n"
        mark = key_id(self._log)[:4] + self._signed(note.encode())
        promised = {"body": encoded(body), "integratedTime": at, "logID": key_id(self._log).hex(), "logIndex": 0}
        return {
            "logIndex": "0",
            "logId": {"keyId": encoded(key_id(self._log))},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(at),
            "inclusionPromise": {"signedEntryTimestamp": encoded(self._signed(rfc8785.dumps(promised)))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": encoded(tree),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n— {_LOG} {encoded(mark)}\n"},
            },
            "canonicalizedBody": encoded(body),
        }

    def _signed(self, content: bytes) -> bytes:
        return self._log.sign(content, ec.ECDSA(hashes.SHA256()))

    def _trusted_root(self) -> dict[str, Any]:
        authority = {
            "subject": {"organization": "own.test", "commonName": "own"},
            "uri": "https://authority.test",
            "certChain": {"certificates": [{"rawBytes": encoded(self._root.public_bytes(Encoding.DER))}]},
            "validFor": {"start": _START.isoformat().replace("+00:00", "Z")},
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [_log_of(self._log, "https://log.test")],
            "certificateAuthorities": [authority],
            "ctlogs": [_log_of(self._certificates_log, "https://certificates.test")],
            "timestampAuthorities": [],
        }


def key_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    """How logs name a key."""
    return hashlib.sha256(_der(key)).digest()


def _der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _log_of(key: ec.EllipticCurvePrivateKey, url: str) -> dict[str, Any]:
    public = {
        "rawBytes": encoded(_der(key)),
        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
        "validFor": {"start": _START.isoformat().replace("+00:00", "Z")},
    }
    return {"baseUrl": url, "hashAlgorithm": "SHA2_256", "publicKey": public, "logId": {"keyId": encoded(key_id(key))}}


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        crl_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )

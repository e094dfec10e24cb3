"""A real Temporal server that wants a token: TLS, JSON Web Tokens, and Slipway's authorizer or Temporal's own."""

from __future__ import annotations

import base64
import datetime as dt
import fcntl
import hashlib
import ipaddress
import json
import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID
from temporalio.client import Client
from temporalio.service import TLSConfig

from demo.processes import Child, free_port, listens
from demo.stack import base_environment
from demo.temporal import find_temporal
from sandbox.testkit.cache import cached
from sandbox.testkit.go_programs import go_command, require_wanted
from slipway.temporal.payloads import data_converter

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "deploy" / "temporal" / "authorizer"
DYNAMIC_CONFIG = ROOT / "deploy" / "temporal" / "dynamic-config.yaml"
BUILD = 1500.0
"""Seconds for the server's download and compilation: only the first run on a machine takes any."""
CONFIGURATION = ROOT / "deploy" / "temporal" / "server.yaml"
AUDIENCE = "temporal.test"


def server_program() -> Path:
    """The server with Slipway's authorizer, built once for each state of its sources."""
    # Two test processes at once would build it twice, which takes as long again.
    with (Path(tempfile.gettempdir()) / f"slipway-temporal-server-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _cached_program()


def _cached_program() -> Path:
    files = sorted(file for file in SOURCES.iterdir() if file.suffix in {".go", ".mod", ".sum"} and "_test" not in file.name)
    state = hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
    return cached("temporal-server", f"{state} {platform.machine()}", _build)


def _build(file: Path) -> None:
    require_wanted("SLIPWAY_BUILD_TEMPORAL", "Temporal's server")
    command = [go_command("Temporal's server"), "build", "-o", str(file), "."]
    try:
        done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=False, timeout=BUILD)
    except subprocess.TimeoutExpired:
        pytest.skip(f"Temporal's server could not be built within {BUILD:g} s")
    if done.returncode:
        if "proxy" in done.stderr or "dial tcp" in done.stderr:
            pytest.skip(f"the modules of Temporal's server could not be fetched: {done.stderr.strip()[-300:]}")
        raise AssertionError(done.stderr)


class SecuredTemporal:
    """The server of deploy/temporal/authorizer, with the configuration of the production example, on SQLite in memory.

    Args:
        folder: Keys, certificates and the log.
        authorizer: `slipway`, or `default` for Temporal's own.
    """

    namespace = "default"

    def __init__(self, folder: Path, authorizer: str = "slipway") -> None:
        self.folder = folder
        self.port = free_port()
        self.address = f"localhost:{self.port}"
        self._issuer = ec.generate_private_key(ec.SECP256R1())
        write_certificates(folder)
        _write_keys(folder / "keys.json", self._issuer)
        (folder / "server.yaml").write_text("# enable-template\n" + yaml.safe_dump(self._configuration(authorizer)))
        environment = {
            **base_environment(folder),
            "TEMPORAL_SERVER_CONFIG_FILE_PATH": str(folder / "server.yaml"),
            "TEMPORAL_JWT_AUDIENCE": AUDIENCE,
            "TEMPORAL_JWT_KEY_SOURCE": f"file://{folder / 'keys.json'}",
        }
        self.process = Child("temporal-server", [str(server_program()), "start"], environment, folder)

    def _configuration(self, authorizer: str) -> dict[str, Any]:
        """That of production, but for the database, the places of files, and ports that nobody else has."""
        configuration = yaml.safe_load(CONFIGURATION.read_text())
        stores = configuration["persistence"]["datastores"]
        for store in stores.values():
            store["sql"] = {
                "pluginName": "sqlite",
                "databaseName": "temporal",
                "connectAddr": "localhost",
                "connectProtocol": "tcp",
                "connectAttributes": {"mode": "memory", "cache": "private"},
                "maxConns": 1,
                "maxIdleConns": 1,
            }
        configuration["persistence"]["numHistoryShards"] = 1
        configuration["log"]["level"] = "warn"
        configuration["global"]["authorization"] |= {"authorizer": authorizer, "claimMapper": authorizer}
        configuration["global"]["tls"]["frontend"]["server"] = {
            "certFile": str(self.folder / "server.pem"),
            "keyFile": str(self.folder / "server-key.pem"),
        }
        for service in configuration["services"].values():
            service["rpc"] = {"grpcPort": free_port(), "membershipPort": free_port(), "bindOnIP": "127.0.0.1"}
        configuration["services"]["frontend"]["rpc"]["grpcPort"] = self.port
        configuration["clusterMetadata"]["clusterInformation"]["active"]["rpcAddress"] = f"127.0.0.1:{self.port}"
        configuration["dynamicConfigClient"]["filepath"] = str(DYNAMIC_CONFIG)
        return configuration

    @property
    def tls(self) -> TLSConfig:
        """What a client needs to trust it."""
        return TLSConfig(server_root_ca_cert=(self.folder / "ca.pem").read_bytes())

    def start(self) -> None:
        """Start, and wait until it answers: its port is open a moment before."""
        self.process.start(lambda: listens(self.port) and self._is_healthy(), timeout=120)

    def _is_healthy(self) -> bool:
        command = [str(find_temporal()), "operator", "cluster", "health", "--address", self.address]
        command += ["--tls-ca-path", str(self.folder / "ca.pem")]
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0

    def token(self, subject: str, *permissions: str, **members: object) -> str:
        """A token that the issuer signed. `members` are further ones of its own, or replace those below; None leaves one out."""
        payload: dict[str, object] = {
            "sub": subject,
            "aud": AUDIENCE,
            "exp": int(time.time()) + 600,
            "permissions": list(permissions),
            **members,
        }
        kept = {name: value for name, value in payload.items() if value is not None}
        signed = f"{_encode_json({'alg': 'ES256', 'kid': 'issuer', 'typ': 'JWT'})}.{_encode_json(kept)}"
        r, s = decode_dss_signature(self._issuer.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_encode(r.to_bytes(32) + s.to_bytes(32))}"

    async def connect(self, subject: str, *permissions: str, **members: object) -> Client:
        """A client with such a token."""
        return await self.connect_with(self.token(subject, *permissions, **members))

    async def connect_with(self, token: str | None) -> Client:
        """A client with this token, or without any."""
        return await Client.connect(
            self.address, namespace=self.namespace, api_key=token, tls=self.tls, data_converter=data_converter
        )


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _encode_json(value: object) -> str:
    return _encode(json.dumps(value, separators=(",", ":")).encode())


def _write_keys(file: Path, issuer: ec.EllipticCurvePrivateKey) -> None:
    point = issuer.public_key().public_numbers()
    key = {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "issuer"}
    file.write_text(json.dumps({"keys": [{**key, "x": _encode(point.x.to_bytes(32)), "y": _encode(point.y.to_bytes(32))}]}))


def write_certificates(folder: Path) -> None:
    """An authority `ca.pem`, and `server.pem` with `server-key.pem` for a server on the loopback address."""
    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = dt.datetime.now(dt.UTC)

    def certificate(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(days=1))
        )

    root = certificate(issuer, authority).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    leaf = certificate(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), server).add_extension(
        x509.SubjectAlternativeName(names), critical=False
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(root.sign(authority, hashes.SHA256()).public_bytes(pem))
    (folder / "server.pem").write_bytes(leaf.sign(authority, hashes.SHA256()).public_bytes(pem))
    key = server.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    os.close(os.open(folder / "server-key.pem", os.O_CREAT | os.O_WRONLY, 0o600))
    (folder / "server-key.pem").write_bytes(key)

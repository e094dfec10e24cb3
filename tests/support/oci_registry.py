"""A registry that is not ECR: the CNCF's `registry` behind a token server, as GHCR and Docker Hub have one."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from slipway_sandbox.testing import TestImage

from sandbox.testkit.go_programs import go_program
from slipway.oci.auth import ChallengeAuth
from slipway.oci.client import RegistryClient, content_digest
from slipway.oci.credentials import Credentials

PACKAGE = "github.com/distribution/distribution/v3/cmd/registry@v3.1.2"
USER, PASSWORD = "ci", "not for everybody"
SERVICE = "registry.test"
_PATIENCE = 30.0


@dataclass
class OtherRegistry:
    """A registry that runs."""

    host: str
    """Its host and port."""
    asked: list[Mapping[str, list[str]]] = field(default_factory=list[Mapping[str, list[str]]])
    """What the token server was asked for."""

    def login(self) -> dict[str, Any]:
        """Docker's config with the login."""
        return {"auths": {self.host: {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}}}

    def open(self) -> RegistryClient:
        """A client with the login."""
        return RegistryClient(f"http://{self.host}", ChallengeAuth(self.host, Credentials(USER, PASSWORD)))

    async def push(self, repository: str, tag: str, image: TestImage) -> str:
        """Pushes an image as CI does, and returns its name by digest."""
        async with self.open() as registry:
            for digest, content in image.blobs.items():
                await registry.upload_blob(repository, digest, len(content), partial(_whole, content))
            await registry.put_manifest(repository, tag, image.manifest, json.loads(image.manifest)["mediaType"])
        return f"{self.host}/{repository}@{content_digest(image.manifest)}"


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content


@contextlib.contextmanager
def run_registry(folder: Path) -> Generator[OtherRegistry]:
    """A registry with its token server, for as long as it is needed.

    Args:
        folder: For what it stores.
    """
    program = go_program("registry", PACKAGE, "the registry", "SLIPWAY_BUILD_REGISTRY")
    key = ec.generate_private_key(ec.SECP256R1())
    registry = OtherRegistry("")
    with _token_server(key, registry) as realm:
        (folder / "keys.json").write_text(json.dumps({"keys": [_public(key)]}))
        (folder / "registry.json").write_text(json.dumps(_config(folder, realm)))
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen([program, "serve", str(folder / "registry.json")], stdout=output, stderr=output)
        try:
            registry.host = _address(process, log)
            yield registry
        finally:
            process.terminate()
            process.wait()


def _config(folder: Path, realm: str) -> dict[str, Any]:
    token = {"realm": realm, "service": SERVICE, "issuer": "test", "jwks": str(folder / "keys.json")}
    return {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
        "http": {"addr": "127.0.0.1:0"},
        "auth": {"token": token},
    }


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where it listens, once it does."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        found = re.search(r"listening on (127\.0\.0\.1:\d+)", log.read_text())
        if found:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://{found[1]}/v2/")
                return found[1]
        time.sleep(0.05)
    raise AssertionError(f"the registry did not start: {log.read_text()[-1000:]}")


@contextlib.contextmanager
def _token_server(key: ec.EllipticCurvePrivateKey, registry: OtherRegistry) -> Generator[str]:
    """Gives tokens for every scope that is asked for, to those who log in."""
    login = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            registry.asked.append(query)
            allowed = self.headers.get("Authorization") == login
            body = json.dumps({"token": _token(key, query.get("scope", []))} if allowed else {"details": "no"}).encode()
            self.send_response(200 if allowed else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- as the base has it
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/token"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _token(key: ec.EllipticCurvePrivateKey, scopes: list[str]) -> str:
    now = int(time.time())
    access = [_granted(scope) for scope in scopes]
    claims = {
        "iss": "test",
        "sub": USER,
        "aud": SERVICE,
        "iat": now,
        "nbf": now - 5,
        "exp": now + 300,
        "jti": str(now),
        "access": access,
    }
    parts = [_encoded(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ES256", "kid": "test"}, claims)]
    first, second = decode_dss_signature(key.sign(".".join(parts).encode(), ec.ECDSA(hashes.SHA256())))
    return ".".join([*parts, _encoded(first.to_bytes(32, "big") + second.to_bytes(32, "big"))])


def _granted(scope: str) -> dict[str, Any]:
    kind, name, actions = scope.split(":")
    return {"type": kind, "name": name, "actions": actions.split(",")}


def _public(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    point = {name: _encoded(getattr(numbers, name).to_bytes(32, "big")) for name in ("x", "y")}
    return {"kty": "EC", "crv": "P-256", "kid": "test", "alg": "ES256", "use": "sig", **point}


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

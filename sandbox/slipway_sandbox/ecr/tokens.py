"""The registry's passwords: what GetAuthorizationToken hands out and `/v2/` asks for."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from slipway_sandbox.core.clock import Clock

LIFETIME = timedelta(hours=12)
"""As on ECR; real time, because clients compare it with their own clocks."""
SIGNATURE = hashlib.sha256().digest_size


class ExpiredTokenError(Exception):
    """A password that was right once."""


@dataclass(frozen=True)
class Registry:
    """One private registry: an account's in a region."""

    account: str
    region: str
    holder: str = ""
    """The access key that asked for the password: requests with the password have its rights."""


@dataclass(frozen=True)
class Token:
    """A password and its end."""

    password: str
    expires_at: datetime


class Tokens:
    """Issues and reads passwords. A password says which registry it is for, signed with this process's key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)

    def issue(self, registry: Registry) -> Token:
        """A new password for a registry."""
        expires_at = self._clock.now() + LIFETIME
        payload = json.dumps({**asdict(registry), "expires": expires_at.timestamp()}).encode()
        return Token(base64.urlsafe_b64encode(self._sign(payload) + payload).decode(), expires_at)

    def read(self, password: str) -> Registry:
        """The registry that a password is for.

        Raises:
            ExpiredTokenError: It was one, and is no longer.
            ValueError: It never was one.
        """
        signed = base64.urlsafe_b64decode(password)
        signature, payload = signed[:SIGNATURE], signed[SIGNATURE:]
        if not payload.startswith(b"{"):
            raise ValueError("the password is garbled")
        if not hmac.compare_digest(signature, self._sign(payload)):
            raise ExpiredTokenError
        content = json.loads(payload)
        if content["expires"] < self._clock.now().timestamp():
            raise ExpiredTokenError
        return Registry(content["account"], content["region"], content["holder"])

    def expire_all(self) -> None:
        """Make every password so far worthless."""
        self._key = secrets.token_bytes(32)

    def _sign(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, hashlib.sha256)

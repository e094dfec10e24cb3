"""Tokens of OpenID Connect providers, such as GitHub's, and the roles that trust them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, cast

from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.iam import decision, stored
from slipway_sandbox.iam.policies import Ask
from slipway_sandbox.protocol import documents

ACTION = "sts:AssumeRoleWithWebIdentity"


@dataclass(frozen=True)
class WebIdentity:
    """The identity in a token."""

    provider: str
    """The issuer without its scheme, as IAM names providers."""
    audience: str
    subject: str
    claims: dict[str, Any]

    @property
    def context(self) -> dict[str, tuple[str, ...]]:
        """Its claims as condition keys of trust policies."""
        return {
            f"{self.provider}:{name}".lower(): (str(value),)
            for name, value in self.claims.items()
            if isinstance(value, str | int)
        }


def read(token: str, now: datetime) -> WebIdentity:
    """Read a token. Its signature is not checked.

    Raises:
        AwsError: `InvalidIdentityToken`; it is none. `ExpiredTokenException`.
    """
    try:
        payload = token.split(".")[1]
        claims = cast("dict[str, Any]", documents.parsed(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))
        told: Any = claims["aud"]
        audience = str(cast("list[Any]", told)[0] if isinstance(told, list) else told)
        issuer, subject, ends = str(claims["iss"]), str(claims["sub"]), float(claims["exp"])
    except (ValueError, LookupError, TypeError) as error:
        raise AwsError("InvalidIdentityToken", "The ID Token provided is not a valid JWT.") from error
    if ends <= now.timestamp():
        raise AwsError("ExpiredTokenException", "Token expired: the current date/time must be before the expiration date/time")
    return WebIdentity(issuer.partition("://")[2], audience, subject, {**claims, "aud": audience})


def check(identity: WebIdentity, role: str) -> None:
    """Refuse a token that does not open a role.

    Raises:
        AwsError: `InvalidIdentityToken` for a provider that the account does not have, or another audience; `AccessDenied`.
    """
    account = role.split(":")[4]
    provider = f"arn:aws:iam::{account}:oidc-provider/{identity.provider}"
    audiences = stored.audiences_of(account, provider)
    if audiences is None:
        raise AwsError("InvalidIdentityToken", f"No OpenIDConnect provider found in your account for https://{identity.provider}")
    if identity.audience not in audiences:
        raise AwsError("InvalidIdentityToken", "Incorrect token audience")
    found = stored.role(role)
    if found is None or not decision.lets_provider(found.trust or "", provider, Ask(ACTION, role, identity.context)):
        raise AwsError("AccessDenied", f"Not authorized to perform {ACTION}", HTTPStatus.FORBIDDEN)

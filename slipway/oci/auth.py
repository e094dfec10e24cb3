"""How a client shows a registry who it is: with ECR's token, or as the registry's challenge asks (distribution spec)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import httpx

from slipway.errors import NeedsPersonError, TransientError
from slipway.oci.credentials import Credentials
from slipway.oci.http import REFUSED, is_passing, map_http_errors, read_bounded, retry_after

TokenSource = Callable[[bool], Awaitable[str]]
"""Gives the base64 token of ECR's GetAuthorizationToken; True asks for a new one, because the last was refused."""
_UNAUTHORIZED = 401
_CLIENT = "slipway"
_CHALLENGE = re.compile(r"(?:^|,)\s*(?P<scheme>[A-Za-z][A-Za-z0-9-]*)\s+(?=[A-Za-z0-9_-]+\s*=)")
_PARAMETER = re.compile(r'(?<![A-Za-z0-9_-])([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_TOKEN_LIMIT = 65_536
"""Characters of a token; longer headers are refused by servers."""


@dataclass(frozen=True)
class Access:
    """What a request does in which repository."""

    repository: str
    push: bool = False
    mount_from: str | None = None
    """Another repository that is read from."""

    @property
    def scopes(self) -> tuple[str, ...]:
        """As a token server understands it."""
        own = f"repository:{self.repository}:{'pull,push' if self.push else 'pull'}"
        return (own, f"repository:{self.mount_from}:pull") if self.mount_from else (own,)


class Authorizer(Protocol):
    """Gives a request its Authorization header."""

    async def header(self, http: httpx.AsyncClient, access: Access, refused: httpx.Response | None) -> str | None:
        """The header, or none for a request without one.

        Args:
            http: For requests of its own.
            access: What the request does.
            refused: The answer to the same request with the header from before; then another header is asked for.
        """
        ...


class TokenAuth:
    """One token for all that a client does: ECR's.

    Args:
        token: Where it comes from.
    """

    def __init__(self, token: TokenSource) -> None:
        self._token = token

    async def header(self, http: httpx.AsyncClient, access: Access, refused: httpx.Response | None) -> str | None:
        """The token; a new one where the last was refused."""
        del http, access
        if refused is not None and refused.status_code not in REFUSED:
            return None
        return f"Basic {await self._token(refused is not None)}"


class ChallengeAuth:
    """What the registry asks for in `WWW-Authenticate`: a bearer token of its token server, a user and password, or nothing.

    Args:
        registry: The registry's name, for errors.
        credentials: The login, or none. It goes to the registry itself, and to the token server that the registry names.
    """

    def __init__(self, registry: str, credentials: Credentials | None) -> None:
        self._registry = registry
        self._credentials = credentials
        self._held: dict[tuple[str, bool], str] = {}
        self._lock = asyncio.Lock()

    async def header(self, http: httpx.AsyncClient, access: Access, refused: httpx.Response | None) -> str | None:
        """What the registry last took for this access; or what its challenge asks for.

        Raises:
            NeedsPersonError: It asks for a login, and there is none, or it is not taken.
        """
        if refused is None:
            return self._last(access)
        if refused.status_code != _UNAUTHORIZED:
            return None
        async with self._lock:
            held = self._last(access)
            if held is not None and held != refused.request.headers.get("Authorization"):
                return held  # another request has got it meanwhile
            answer = await self._answer(http, access, refused)
            self._held[access.repository, access.push] = answer
            return answer

    def _last(self, access: Access) -> str | None:
        pushing = self._held.get((access.repository, True))
        return pushing if access.push or pushing else self._held.get((access.repository, False))

    async def _answer(self, http: httpx.AsyncClient, access: Access, refused: httpx.Response) -> str:
        challenges = dict(found for value in refused.headers.get_list("WWW-Authenticate") for found in read_challenges(value))
        if "bearer" in challenges:
            return f"Bearer {await self._bearer(http, access, challenges['bearer'], refused.request.url)}"
        tried = f"logging in to {self._registry}"
        if "basic" not in challenges:
            asked = ", ".join(sorted(challenges)) or "nothing that could be done about it"
            raise NeedsPersonError(tried, f"it answers 401 and asks for {asked[:200]}", "check that it is an OCI registry")
        credentials = self._credentials
        if credentials is None or not credentials.username:
            answered = "it asks for a user and a password, and the worker's Docker config names none"
            raise NeedsPersonError(tried, answered, self._remedy)
        return f"Basic {credentials.basic}"

    async def _bearer(self, http: httpx.AsyncClient, access: Access, challenge: Mapping[str, str], registry: httpx.URL) -> str:
        tried = f"asking for a token of {self._registry} for {access.repository}"
        realm = _realm(tried, challenge.get("realm", ""), registry)
        tried = f"{tried} at {realm.host}"
        service = {"service": challenge["service"]} if challenge.get("service") else {}
        scopes = _scopes(challenge.get("scope", ""), access)
        async with map_http_errors(tried):
            response = await self._ask(http, tried, realm, service, scopes)
        if is_passing(response):
            raise TransientError(tried, f"HTTP {response.status_code}", retry_after=retry_after(response))
        if not response.is_success:
            # Without the answer's words, which may repeat what was sent.
            raise NeedsPersonError(tried, f"HTTP {response.status_code} {response.reason_phrase}", self._remedy)
        return _token_of(tried, response)

    async def _ask(
        self, http: httpx.AsyncClient, tried: str, realm: httpx.URL, service: Mapping[str, str], scopes: tuple[str, ...]
    ) -> httpx.Response:
        """One request, which follows no redirect: the login would go along with it."""
        login = self._credentials
        if login and login.identity_token:
            form = {"grant_type": "refresh_token", "client_id": _CLIENT, "refresh_token": login.identity_token, **service}
            request = http.build_request("POST", realm, data={**form, "scope": " ".join(scopes)})
        else:
            query = [*realm.params.multi_items(), *service.items(), *(("scope", scope) for scope in scopes)]
            headers = {"Authorization": f"Basic {login.basic}"} if login else {}
            request = http.build_request("GET", realm.copy_with(params=query), headers=headers)
        request.headers["Accept-Encoding"] = "identity"
        response = await http.send(request, stream=True, follow_redirects=False)
        try:
            return await read_bounded(response, tried)
        finally:
            await response.aclose()

    @property
    def _remedy(self) -> str:
        return f"run `docker login {self._registry}` where the worker runs, or name a credential helper in its config; then retry"


def read_challenges(value: str) -> list[tuple[str, dict[str, str]]]:
    """The challenges of a `WWW-Authenticate` header, each with its parameters; schemes and keys in lower case."""
    starts = list(_CHALLENGE.finditer(value))
    ends = [start.start() for start in starts[1:]] + [len(value)] * bool(starts)
    return [(start["scheme"].lower(), _parameters(value[start.end() : end])) for start, end in zip(starts, ends, strict=True)]


def _parameters(text: str) -> dict[str, str]:
    found = _PARAMETER.findall(text)
    return {key.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted else plain for key, quoted, plain in found}


def _scopes(asked: str, access: Access) -> tuple[str, ...]:
    """What the challenge asks for, and what the request needs; a scope of another kind (ECR's public registry) alone."""
    scopes = asked.split()  # more than one where a blob is mounted
    if any(not scope.startswith("repository:") for scope in scopes):
        return tuple(scopes)
    return tuple(dict.fromkeys((*scopes, *access.scopes)))


def _realm(tried: str, text: str, registry: httpx.URL) -> httpx.URL:
    """Where the token server is. A registry behind TLS cannot have the login sent in the clear.

    Raises:
        NeedsPersonError: There is none, or it would be.
    """
    try:
        realm = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise NeedsPersonError(tried, f"it names {text[:200]!r}", "check that it is an OCI registry") from error
    allowed = {"https", registry.scheme}
    if realm.scheme not in allowed or not realm.host or realm.userinfo:
        remedy = "check the registry, and what stands between the worker and it"
        raise NeedsPersonError(
            tried, f"it names {text[:200]!r} as its token server, which is no {'/'.join(sorted(allowed))} URL", remedy
        )
    return realm


def _token_of(tried: str, response: httpx.Response) -> str:
    try:
        answer = cast("Mapping[str, Any]", json.loads(response.content))
        token = answer.get("token") or answer.get("access_token")
    except (ValueError, AttributeError, RecursionError):
        token = None
    if not isinstance(token, str) or not re.fullmatch(rf"[!-~]{{1,{_TOKEN_LIMIT}}}", token):
        # Without the answer, which may hold a token.
        raise NeedsPersonError(tried, "the answer holds no token", "check the registry's token server, then retry")
    return token

"""What the calls of registries and of their token servers share: bounded answers, and errors that say what to do."""

from __future__ import annotations

import functools
import ssl
from datetime import timedelta
from types import TracebackType

import httpx

from slipway.errors import NeedsPersonError, RefusedError, SlipwayError, TransientError

CHUNK = 262_144
MANIFEST_LIMIT = 4_194_304
"""Bytes of a manifest; registries take no larger ones."""
NOT_FOUND = 404
REFUSED = (401, 403)
"""Statuses that may mean that the token has expired. ECR then answers 403 `DENIED`, as for a missing permission, and HEAD gets no
reason: only a fresh token shows which it is."""
_TOO_MANY = 429
_DIGITS = 6
"""Of the seconds that an answer asks to wait that are read; more of them are more than is waited in any case."""
_FRAMING = frozenset({"content-encoding", "content-length", "transfer-encoding"})
Origin = tuple[str, str, int | None]


@functools.cache
def certificates() -> ssl.SSLContext:
    """Shared by all clients: to load them takes longer than most calls, and holds the event loop up."""
    return httpx.create_ssl_context()


class map_http_errors:  # noqa: N801 -- used like a function in `async with`
    """Turns httpx's errors into Slipway's."""

    def __init__(self, tried: str) -> None:
        self._tried = tried

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, (httpx.InvalidURL, httpx.TooManyRedirects, httpx.UnsupportedProtocol)):
            raise NeedsPersonError(self._tried, f"{type(error).__name__}: {error}", "check the registry's address") from error
        if isinstance(error, httpx.TransportError):
            raise TransientError(self._tried, f"{type(error).__name__}: {error}") from error


async def read_bounded(response: httpx.Response, tried: str) -> httpx.Response:
    """The answer with at most one byte more than a manifest may have, as it was sent: never decompressed."""
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity" and response.request.method == "GET" and response.is_success:
        remedy = "see what stands between the worker and the registry"
        raise RefusedError(tried, f"the answer comes as {encoding[:40]!r}, which was not asked for", remedy)
    body = bytearray()
    async for chunk in response.aiter_raw(CHUNK):
        body += chunk
        if len(body) > MANIFEST_LIMIT:
            break
    headers = [(name, value) for name, value in response.headers.multi_items() if name not in _FRAMING]
    return httpx.Response(
        response.status_code, headers=headers, content=bytes(body[: MANIFEST_LIMIT + 1]), request=response.request
    )


def answer_error(tried: str, response: httpx.Response) -> SlipwayError:
    """The error for a registry's answer, with its status and its own words."""
    answered = f"HTTP {response.status_code} {_words(response)}".strip()
    status = response.status_code
    if is_passing(response):
        return TransientError(tried, answered, retry_after=retry_after(response))
    if status in REFUSED:
        who = "the worker's role, or the login in its Docker config,"
        return NeedsPersonError(tried, answered, f"let {who} read the source and write the target repository, then retry")
    if status == NOT_FOUND:
        remedy = "create the repository, or push the image again: a lifecycle rule may have removed it; then retry"
        return NeedsPersonError(tried, answered, remedy)
    return RefusedError(tried, answered, "push the image again, or correct its name")


def origin_of(url: httpx.URL) -> Origin:
    """The scheme, host and port, which together must be the same for a token to be sent."""
    return url.scheme, url.host, url.port


def is_passing(response: httpx.Response) -> bool:
    """Whether the same request may succeed later."""
    return response.status_code == _TOO_MANY or response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR


def retry_after(response: httpx.Response) -> timedelta | None:
    """How long the answer asks to wait, at most ten minutes."""
    seconds = response.headers.get("Retry-After", "")
    return timedelta(seconds=min(int(seconds[:_DIGITS]), 600)) if seconds.isdecimal() else None


def leads_to(response: httpx.Response, address: str, tried: str) -> httpx.URL:
    """Where an address in an answer leads, which may be relative to what was asked.

    Raises:
        NeedsPersonError: Nowhere that can be asked.
    """
    try:
        url = response.url.join(address)
    except httpx.InvalidURL:
        url = None
    if url is None or url.scheme not in {"http", "https"} or not url.host:
        remedy = "check the registry's address, and what stands between the worker and it"
        raise NeedsPersonError(tried, f"the registry's answer leads to {address[:200]!r}", remedy)
    return url


def _words(response: httpx.Response) -> str:
    """The error's code and message; registries send them as `{"errors": [{"code": …, "message": …}]}`."""
    try:
        first = response.json()["errors"][0]
        return f"{first['code']}: {first.get('message', '')}"
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return f"{response.reason_phrase} {response.text[:300]}".strip()

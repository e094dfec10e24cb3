"""Keeps other sites' pages in a person's browser away from `/_sandbox/`, which has no login.

Two ways lead there from a browser: a request across sites (CSRF), and a name that an attacker lets point at this machine (DNS
rebinding), which makes the request look like one of the same site. Tools send neither `Origin` nor `Sec-Fetch-Site`, and reach
the sandbox by an address or a name that no outsider can own; they notice nothing.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.wrappers import Response

OWN_NAMES = (".localhost", ".internal")
"""Top-level names that cannot be registered (RFC 6761, and ICANN's reservation for private use)."""
SAME_SITE = frozenset({"same-origin", "none"})
READING = frozenset({"GET", "HEAD"})


class Guard:
    """Refuses with 403 what a browser sends on behalf of another site.

    Args:
        application: What is guarded.
        endpoint: The sandbox's own address; its host name is always trusted.
    """

    def __init__(self, application: WSGIApplication, endpoint: str) -> None:
        self._application = application
        self._own = urlsplit(endpoint).hostname or ""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        refusal = self.refusal(environ)
        if refusal is None:
            return self._application(environ, start_response)
        response = Response(json.dumps({"error": refusal}), HTTPStatus.FORBIDDEN, content_type="application/json")
        return response(environ, start_response)

    def refusal(self, environ: WSGIEnvironment) -> str | None:
        """Why a request is refused, or None."""
        host = environ.get("HTTP_HOST", "")
        name = host_name(host)
        if name != self._own and not is_private(name):
            return f"the host {name!r} is not known here: use the address, or localhost"
        origin: str | None = environ.get("HTTP_ORIGIN")
        if origin is not None and origin.partition("://")[2] != host:
            return f"requests from {origin!r} are not allowed"
        if environ.get("HTTP_SEC_FETCH_SITE", "none") not in SAME_SITE and not is_visit(environ):
            return "requests from other sites are not allowed"
        return None


def host_name(host: str) -> str:
    """The name or address in a `Host` header, in lower case; empty where there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_private(name: str) -> bool:
    """Whether no outsider can let this name point here: an address, one word, or a reserved top-level name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return bool(name) and ("." not in name or name.endswith(OWN_NAMES))
    return True


def is_visit(environ: WSGIEnvironment) -> bool:
    """Whether a person follows a link to here: that only shows the page, and only to them."""
    return environ["REQUEST_METHOD"] in READING and environ.get("HTTP_SEC_FETCH_MODE") == "navigate"

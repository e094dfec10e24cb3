"""One registry over the OCI distribution API: manifests by their exact bytes, blobs as streams, every digest checked.

Memory stays bounded by one chunk, whatever the blob's size. Uploads are one POST and one PUT, as ECR is reported to mishandle
chunked ones (aws/containers-roadmap issue 2831).
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import TracebackType
from typing import Any, Self, cast

import httpx

from slipway.errors import NeedsPersonError, RefusedError, SlipwayError, TransientError
from slipway.oci.reference import REPOSITORY_NAME

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    *INDEX_TYPES,
)
MANIFEST_LIMIT = 4_194_304
"""Bytes of a manifest; registries take no larger ones."""
CHUNK = 262_144
TokenSource = Callable[[bool], Awaitable[str]]
"""Gives the base64 token of ECR's GetAuthorizationToken; True asks for a new one, because the last was refused."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CREATED = 201
_FRAMING = frozenset({"content-encoding", "content-length", "transfer-encoding"})
_TOO_MANY = 429
_NOT_FOUND = 404
_REFUSED = (401, 403)
"""Statuses that may mean that the token has expired. ECR then answers 403 `DENIED`, as for a missing permission, and HEAD gets no
reason: only a fresh token shows which it is."""


class Upload(StrEnum):
    """How a blob got into a repository."""

    existing = "existing"
    mounted = "mounted"
    uploaded = "uploaded"


@dataclass(frozen=True)
class Manifest:
    """A manifest or index, as its exact bytes."""

    digest: str
    media_type: str
    body: bytes

    @property
    def document(self) -> Mapping[str, Any]:
        """The manifest's JSON.

        Raises:
            ValueError: It is no JSON, or nested too deeply.
        """
        try:
            return cast("Mapping[str, Any]", json.loads(self.body))
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Shared by all clients: to load them takes longer than most calls, and holds the event loop up."""
    return httpx.create_ssl_context()


class RegistryClient:
    """Talks to one registry.

    Args:
        base_url: The registry's address: the `proxyEndpoint` of ECR's GetAuthorizationToken.
        token: Gives the basic-auth token, or none for a registry without one.
        http: An httpx client to use; its owner closes it.
    """

    def __init__(self, base_url: str, token: TokenSource | None = None, http: httpx.AsyncClient | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        self._origin = _origin(httpx.URL(self.base_url))
        self._token = token
        self._owned = http is None
        # httpx drops the Authorization header itself where a redirect leads to another origin, as ECR's blobs do to S3.
        self._http = http or httpx.AsyncClient(
            timeout=httpx.Timeout(60, connect=10, pool=None), follow_redirects=True, verify=_certificates()
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._owned:
            await self._http.aclose()

    async def get_manifest(self, repository: str, reference: str) -> Manifest:
        """A manifest by tag or digest.

        Raises:
            NeedsPersonError: There is none.
            RefusedError: Its bytes are not those of its digest.
        """
        tried = f"reading the manifest {reference} of {repository}"
        headers = {"Accept": ", ".join(MANIFEST_TYPES)}
        response = await self._send("GET", self._url(repository, f"manifests/{reference}"), tried, headers=headers)
        if not response.is_success:
            raise answer_error(tried, response)
        body = response.content
        digest = content_digest(body)
        wanted = reference if _DIGEST.fullmatch(reference) else response.headers.get("Docker-Content-Digest", digest)
        if len(body) > MANIFEST_LIMIT:
            raise RefusedError(tried, f"it has more than {MANIFEST_LIMIT:,} bytes", "push an image with a smaller manifest")
        if digest != wanted:
            raise RefusedError(tried, f"{len(body)} bytes came with the digest {digest}, not {wanted}", "push the image again")
        return Manifest(digest, response.headers.get("Content-Type", "").partition(";")[0], body)

    async def manifest_digest(self, repository: str, reference: str) -> str | None:
        """The digest that a tag or digest stands for, or none."""
        tried = f"looking for the manifest {reference} of {repository}"
        headers = {"Accept": ", ".join(MANIFEST_TYPES)}
        response = await self._send("HEAD", self._url(repository, f"manifests/{reference}"), tried, headers=headers)
        if response.status_code == _NOT_FOUND:
            return None
        if not response.is_success:
            raise answer_error(tried, response)
        return response.headers.get("Docker-Content-Digest") or (await self.get_manifest(repository, reference)).digest

    async def put_manifest(self, repository: str, reference: str, body: bytes, media_type: str) -> str:
        """Stores a manifest under a tag or digest, and returns its digest. What it refers to must exist there."""
        tried = f"writing the manifest {reference} of {repository}"
        url = self._url(repository, f"manifests/{reference}")
        response = await self._send("PUT", url, tried, headers={"Content-Type": media_type}, content=body)
        if not response.is_success:
            raise answer_error(tried, response)
        digest = content_digest(body)
        stored = response.headers.get("Docker-Content-Digest", digest)
        if stored != digest:
            raise NeedsPersonError(tried, f"the registry stored {stored} instead of {digest}", "check the registry, then retry")
        return digest

    async def has_blob(self, repository: str, digest: str) -> bool:
        """Whether a repository holds a blob."""
        tried = f"looking for the blob {digest} in {repository}"
        response = await self._send("HEAD", self._url(repository, f"blobs/{_checked(digest)}"), tried)
        if response.status_code != _NOT_FOUND and not response.is_success:
            raise answer_error(tried, response)
        return response.is_success

    async def read_blob(self, repository: str, digest: str) -> AsyncGenerator[bytes]:
        """A blob in chunks. The last one only comes if the digest of the whole is right.

        Raises:
            NeedsPersonError: There is no such blob.
            RefusedError: Its bytes are not those of its digest.
        """
        tried = f"reading the blob {digest} of {repository}"
        url = self._url(repository, f"blobs/{_checked(digest)}")
        for fresh in (False, True):
            headers = await self._authorization(url, fresh=fresh)
            async with _map_http_errors(tried), self._http.stream("GET", url, headers=headers) as response:
                if response.status_code in _REFUSED and not fresh:
                    continue
                if not response.is_success:
                    raise answer_error(tried, await _bounded(response, tried))
                async for chunk in verified(response.aiter_raw(CHUNK), digest, tried):
                    yield chunk
                return

    async def upload_blob(
        self,
        repository: str,
        digest: str,
        size: int,
        chunks: Callable[[], AsyncIterator[bytes]],
        mount_from: str | None = None,
    ) -> Upload:
        """Uploads a blob to a repository, unless it exists there.

        Args:
            repository: The repository.
            digest: The blob's digest.
            size: Its bytes.
            chunks: Begins to read the blob; called again if the registry refuses a token in the middle.
            mount_from: A repository of the same registry that holds the blob. A registry may decline; then it is uploaded.
        """
        if await self.has_blob(repository, digest):
            return Upload.existing
        tried = f"uploading the blob {digest} to {repository}"
        for fresh in (False, True):
            location = await self._begin(repository, digest, mount_from, tried)
            if location is None:
                return Upload.mounted
            response = await self._put_blob(location, digest, size, chunks(), tried, fresh=fresh)
            if response.status_code in _REFUSED and not fresh:
                continue
            if not response.is_success:
                raise answer_error(tried, response)
            break
        return Upload.uploaded

    async def _begin(self, repository: str, digest: str, mount_from: str | None, tried: str) -> httpx.URL | None:
        """Where to upload, or none where the blob was mounted."""
        url = self._url(repository, "blobs/uploads/")
        if mount_from is not None:
            url = url.copy_merge_params({"mount": digest, "from": mount_from})
        response = await self._send("POST", url, tried)
        if response.status_code == _CREATED and mount_from is not None:
            return None
        location = response.headers.get("Location")
        if not response.is_success or not location:
            raise answer_error(tried, response)
        url = response.url.join(location)
        if url.scheme not in {"http", "https"} or not url.host:
            remedy = "check the registry's address, and what stands between the worker and it"
            raise NeedsPersonError(tried, f"the registry sends the upload to {location[:200]!r}", remedy)
        return url

    async def _put_blob(
        self, location: httpx.URL, digest: str, size: int, chunks: AsyncIterator[bytes], tried: str, *, fresh: bool
    ) -> httpx.Response:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        headers |= await self._authorization(location, fresh=fresh)
        return await self._request("PUT", location.copy_merge_params({"digest": digest}), tried, headers, chunks)

    async def _send(
        self, method: str, url: httpx.URL, tried: str, headers: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> httpx.Response:
        """One small request; a token that is refused is replaced once."""
        for fresh in (False, True):
            authorized = {**(headers or {}), **await self._authorization(url, fresh=fresh)}
            response = await self._request(method, url, tried, authorized, content)
            if response.status_code not in _REFUSED or self._token is None or fresh:
                break
        return response

    async def _request(
        self,
        method: str,
        url: httpx.URL,
        tried: str,
        headers: Mapping[str, str],
        content: bytes | AsyncIterator[bytes] | None,
    ) -> httpx.Response:
        """One request, with no more of the answer than a manifest may have; a registry may send anything."""
        plain = {"Accept-Encoding": "identity", **headers}
        async with _map_http_errors(tried), self._http.stream(method, url, headers=plain, content=content) as response:
            return await _bounded(response, tried)

    async def _authorization(self, url: httpx.URL, *, fresh: bool) -> dict[str, str]:
        """The header for a URL of this registry; other hosts do not get the token."""
        if self._token is None or _origin(url) != self._origin:
            return {}
        return {"Authorization": f"Basic {await self._token(fresh)}"}

    def _url(self, repository: str, rest: str) -> httpx.URL:
        if not re.fullmatch(REPOSITORY_NAME, repository):
            raise RefusedError(f"using the repository {repository!r}", "it is not a repository name", "write it as ECR shows it")
        return httpx.URL(f"{self.base_url}/v2/{repository}/{rest}")


class _map_http_errors:  # noqa: N801 -- used like a function in `async with`
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


async def _bounded(response: httpx.Response, tried: str) -> httpx.Response:
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
    headers = {name: value for name, value in response.headers.items() if name not in _FRAMING}
    return httpx.Response(
        response.status_code, headers=headers, content=bytes(body[: MANIFEST_LIMIT + 1]), request=response.request
    )


def answer_error(tried: str, response: httpx.Response) -> SlipwayError:
    """The error for a registry's answer, with its status and its own words."""
    answered = f"HTTP {response.status_code} {_words(response)}".strip()
    status = response.status_code
    if status == _TOO_MANY or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return TransientError(tried, answered, retry_after=_retry_after(response))
    if status in _REFUSED:
        return NeedsPersonError(
            tried, answered, "let the worker's role read the source and write the target repository, then retry"
        )
    if status == _NOT_FOUND:
        return NeedsPersonError(tried, answered, "create the repository, or push the image again, then retry")
    return RefusedError(tried, answered, "push the image again, or correct its name")


def content_digest(content: bytes) -> str:
    """The digest of some bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


async def verified(chunks: AsyncIterator[bytes], digest: str, tried: str) -> AsyncGenerator[bytes]:
    """Passes chunks on, one behind: the last is only sent when the whole has the digest.

    A receiver that counts bytes can therefore never take a corrupt blob for a whole one.

    Raises:
        RefusedError: The bytes are not those of the digest.
    """
    seen = hashlib.sha256()
    last: bytes | None = None
    async for chunk in chunks:
        seen.update(chunk)
        if last is not None:
            yield last
        last = chunk
    found = f"sha256:{seen.hexdigest()}"
    if found != digest:
        raise RefusedError(tried, f"the bytes have the digest {found}: the source is corrupt", "push the image again")
    if last is not None:
        yield last


def _checked(digest: str) -> str:
    if _DIGEST.fullmatch(digest):
        return digest
    raise RefusedError(
        "reading a digest", f"{digest!r} is not a sha256 digest", "push an image whose manifest names sha256 digests"
    )


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _retry_after(response: httpx.Response) -> timedelta | None:
    seconds = response.headers.get("Retry-After", "")
    return timedelta(seconds=min(int(seconds), 600)) if seconds.isdecimal() else None


def _words(response: httpx.Response) -> str:
    """The error's code and message; registries send them as `{"errors": [{"code": …, "message": …}]}`."""
    try:
        first = response.json()["errors"][0]
        return f"{first['code']}: {first.get('message', '')}"
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return f"{response.reason_phrase} {response.text[:300]}".strip()

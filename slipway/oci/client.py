"""One registry over the OCI distribution API: manifests by their exact bytes, blobs as streams, every digest checked.

Memory stays bounded by one chunk, whatever the blob's size. Uploads are one POST and one PUT, as ECR is reported to mishandle
chunked ones (aws/containers-roadmap issue 2831).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any, Self, cast

import httpx

from slipway.errors import NeedsPersonError, RefusedError
from slipway.oci.auth import Access, Authorizer
from slipway.oci.http import (
    CHUNK,
    MANIFEST_LIMIT,
    NOT_FOUND,
    REFUSED,
    answer_error,
    certificates,
    leads_to,
    map_http_errors,
    origin_of,
    read_bounded,
)
from slipway.oci.reference import REPOSITORY_NAME

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
IMAGE_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
MANIFEST_TYPES = (*IMAGE_TYPES, *INDEX_TYPES)
PAGES_LIMIT = 20
"""Pages of a list of referrers that are read."""
COMMIT_WITHIN = 600
"""Seconds that a registry may take to store a blob once all of it was sent: it computes the digest of gigabytes."""
_TIMEOUT = httpx.Timeout(60, connect=10, pool=None)
_UPLOAD_TIMEOUT = httpx.Timeout(60, connect=10, pool=None, read=COMMIT_WITHIN)
_NO_REFERRERS = (400, 404, 405, 501)
"""How registries answer that do not list referrers. The specification has 404; others do not know the path."""
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CREATED = 201


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


class RegistryClient:
    """Talks to one registry.

    Args:
        base_url: The registry's address: the `proxyEndpoint` of ECR's GetAuthorizationToken.
        auth: Shows the registry who asks.
        http: An httpx client to use; its owner closes it.
    """

    def __init__(self, base_url: str, auth: Authorizer, http: httpx.AsyncClient | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        self._origin = origin_of(httpx.URL(self.base_url))
        self._auth = auth
        self._owned = http is None
        # httpx drops the Authorization header itself where a redirect leads to another origin, as ECR's blobs do to S3.
        self._http = http or httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=True, verify=certificates())

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
        response = await self._send(
            "GET", self._url(repository, f"manifests/{reference}"), tried, Access(repository), headers=headers
        )
        if not response.is_success:
            raise answer_error(tried, response)
        body = response.content
        digest = content_digest(body)
        wanted = reference if DIGEST.fullmatch(reference) else _digest_in(response) or digest
        if len(body) > MANIFEST_LIMIT:
            raise RefusedError(tried, f"it has more than {MANIFEST_LIMIT:,} bytes", "push an image with a smaller manifest")
        if digest != wanted:
            raise RefusedError(tried, f"{len(body)} bytes came with the digest {digest}, not {wanted}", "push the image again")
        return Manifest(digest, response.headers.get("Content-Type", "").partition(";")[0], body)

    async def manifest_digest(self, repository: str, reference: str) -> str | None:
        """The digest that a tag or digest stands for, or none."""
        tried = f"looking for the manifest {reference} of {repository}"
        headers = {"Accept": ", ".join(MANIFEST_TYPES)}
        response = await self._send(
            "HEAD", self._url(repository, f"manifests/{reference}"), tried, Access(repository), headers=headers
        )
        if response.status_code == NOT_FOUND:
            return None
        if not response.is_success:
            raise answer_error(tried, response)
        return _digest_in(response) or (await self.get_manifest(repository, reference)).digest

    async def put_manifest(self, repository: str, reference: str, body: bytes, media_type: str) -> str:
        """Stores a manifest under a tag or digest, and returns its digest. What it refers to must exist there."""
        tried = f"writing the manifest {reference} of {repository}"
        url = self._url(repository, f"manifests/{reference}")
        access = Access(repository, push=True)
        response = await self._send("PUT", url, tried, access, headers={"Content-Type": media_type}, content=body)
        if not response.is_success:
            raise answer_error(tried, response)
        digest = content_digest(body)
        stored = _digest_in(response) or digest
        if stored != digest:
            raise NeedsPersonError(tried, f"the registry stored {stored} instead of {digest}", "check the registry, then retry")
        return digest

    async def list_referrers(self, repository: str, digest: str) -> list[Mapping[str, Any]] | None:
        """The descriptors of what refers to a manifest as its subject, or none where the registry does not list them.

        Raises:
            RefusedError: The list has no end, or is none.
        """
        tried = f"listing what refers to {digest} in {repository}"
        url = self._url(repository, f"referrers/{_checked(digest)}")
        found: list[Mapping[str, Any]] = []
        for page in range(PAGES_LIMIT):
            response = await self._send("GET", url, tried, Access(repository), headers={"Accept": INDEX_TYPES[0]})
            if response.status_code in _NO_REFERRERS and page == 0:
                return None
            if not response.is_success:
                raise answer_error(tried, response)
            found += entries_of(tried, response.content)
            following = response.links.get("next", {}).get("url")
            if following is None:
                return found
            url = leads_to(response, following, tried)
        raise RefusedError(tried, f"the list has more than {PAGES_LIMIT} pages", "remove what is not needed any more")

    async def has_blob(self, repository: str, digest: str) -> bool:
        """Whether a repository holds a blob."""
        tried = f"looking for the blob {digest} in {repository}"
        response = await self._send("HEAD", self._url(repository, f"blobs/{_checked(digest)}"), tried, Access(repository))
        if response.status_code != NOT_FOUND and not response.is_success:
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
        refused: httpx.Response | None = None
        while True:
            headers = await self._authorization(url, Access(repository), refused)
            if headers is None and refused is not None:
                raise answer_error(tried, refused)
            async with map_http_errors(tried), self._http.stream("GET", url, headers=headers) as response:
                if response.status_code in REFUSED and refused is None:
                    refused = await read_bounded(response, tried)
                    continue
                if not response.is_success:
                    raise answer_error(tried, await read_bounded(response, tried))
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
        access = Access(repository, push=True, mount_from=mount_from)
        refused: httpx.Response | None = None
        while True:
            location = await self._begin(access, digest, tried)
            if location is None:
                return Upload.mounted
            headers = await self._authorization(location, access, refused)
            if headers is None and refused is not None:
                raise answer_error(tried, refused)
            headers = {**(headers or {}), "Content-Type": "application/octet-stream", "Content-Length": str(size)}
            url = location.copy_merge_params({"digest": digest})
            response = await self._request("PUT", url, tried, headers, chunks(), _UPLOAD_TIMEOUT)
            if response.is_success:
                return Upload.uploaded
            if response.status_code not in REFUSED or refused is not None:
                raise answer_error(tried, response)
            refused = response

    async def _begin(self, access: Access, digest: str, tried: str) -> httpx.URL | None:
        """Where to upload, or none where the blob was mounted."""
        url = self._url(access.repository, "blobs/uploads/")
        if access.mount_from is not None:
            url = url.copy_merge_params({"mount": digest, "from": access.mount_from})
        response = await self._send("POST", url, tried, access)
        if response.status_code == _CREATED and access.mount_from is not None:
            return None
        location = response.headers.get("Location")
        if not response.is_success or not location:
            raise answer_error(tried, response)
        return leads_to(response, location, tried)

    async def _send(
        self,
        method: str,
        url: httpx.URL,
        tried: str,
        access: Access,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """One small request; what the registry asks for, where it refuses it, is sent once."""
        refused: httpx.Response | None = None
        while True:
            authorized = await self._authorization(url, access, refused)
            if authorized is None and refused is not None:
                return refused
            response = await self._request(method, url, tried, {**(headers or {}), **(authorized or {})}, content)
            if response.status_code not in REFUSED or refused is not None:
                return response
            refused = response

    async def _request(
        self,
        method: str,
        url: httpx.URL,
        tried: str,
        headers: Mapping[str, str],
        content: bytes | AsyncIterator[bytes] | None,
        within: httpx.Timeout = _TIMEOUT,
    ) -> httpx.Response:
        """One request, with no more of the answer than a manifest may have; a registry may send anything."""
        plain = {"Accept-Encoding": "identity", **headers}
        stream = self._http.stream(method, url, headers=plain, content=content, timeout=within)
        async with map_http_errors(tried), stream as response:
            return await read_bounded(response, tried)

    async def _authorization(self, url: httpx.URL, access: Access, refused: httpx.Response | None) -> dict[str, str] | None:
        """The header for a URL of this registry; other hosts do not get one, and their challenges are not believed.

        None: there is no other way to be allowed than the one that was refused.
        """
        if origin_of(url) != self._origin:
            return {}
        if refused is not None and origin_of(refused.request.url) != self._origin:
            refused = None
        header = await self._auth.header(self._http, access, refused)
        if header is None:
            return {} if refused is None else None
        return {"Authorization": header}

    def _url(self, repository: str, rest: str) -> httpx.URL:
        if not re.fullmatch(REPOSITORY_NAME, repository):
            raise RefusedError(
                f"using the repository {repository!r}", "it is not a repository name", "write it as the registry shows it"
            )
        return httpx.URL(f"{self.base_url}/v2/{repository}/{rest}")


def _digest_in(response: httpx.Response) -> str | None:
    """The digest that an answer names; none where it is of another kind, or no digest at all."""
    named = response.headers.get("Docker-Content-Digest", "")
    return named if DIGEST.fullmatch(named) else None


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


def entries_of(tried: str, index: bytes) -> list[Mapping[str, Any]]:
    """The entries of an index of referrers.

    Raises:
        RefusedError: It is none.
    """
    try:
        document = cast("Mapping[str, Any]", json.loads(index))
        entries = cast("list[Mapping[str, Any]]", document.get("manifests") or [])
        for entry in entries:
            _checked(entry["digest"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RefusedError(
            tried, f"it is no image index: {type(error).__name__} {error}", "see what the registry holds"
        ) from error
    return entries


def _checked(digest: str) -> str:
    if DIGEST.fullmatch(digest):
        return digest
    raise RefusedError(
        "reading a digest", f"{digest!r} is not a sha256 digest", "push an image whose manifest names sha256 digests"
    )

"""`/v2/`: the OCI distribution API on ECR's store (distribution-spec v1.1).

All accounts' registries answer at one address here, where AWS has a host for each. The password tells which one a request is
for: GetAuthorizationToken issues it for an account and a region.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, cast
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.http import parse_range_header
from werkzeug.wrappers import Request, Response

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.core.observed import Incoming, observed
from slipway_sandbox.core.world import DEFAULT_ACCOUNT, World
from slipway_sandbox.ecr.errors import tag_is_immutable
from slipway_sandbox.ecr.image_room import media_type_of
from slipway_sandbox.ecr.service import EcrRoom
from slipway_sandbox.ecr.store import DIGEST, Image, Repository, StoredManifest, digest_of
from slipway_sandbox.ecr.tokens import ExpiredTokenError, Registry
from slipway_sandbox.ecr.uploads import PIECE, Upload

SERVICE = "registry"
"""What the call log and the faults name this API."""
MANIFEST_LIMIT = 4 * 1024 * 1024
"""Bytes of the largest manifest (distribution-spec: at least 4 MiB)."""
INDEX = "application/vnd.oci.image.index.v1+json"
NAME = r"(?P<name>[a-z0-9]+(?:(?:\.|_|__|-+|/)[a-z0-9]+)*)"
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,299}")
CHUNK_RANGE = re.compile(r"(?P<first>\d+)-(?P<last>\d+)")

ROUTES = [
    (re.compile(r"/v2/"), {"GET": "CheckVersion", "HEAD": "CheckVersion"}),
    (re.compile(rf"/v2/{NAME}/tags/list"), {"GET": "ListTags"}),
    (
        re.compile(rf"/v2/{NAME}/manifests/(?P<reference>[^/]+)"),
        {"GET": "GetManifest", "HEAD": "HeadManifest", "PUT": "PutManifest", "DELETE": "DeleteManifest"},
    ),
    (re.compile(rf"/v2/{NAME}/referrers/(?P<reference>[^/]+)"), {"GET": "ListReferrers"}),
    (re.compile(rf"/v2/{NAME}/blobs/uploads/?"), {"POST": "StartUpload"}),
    (
        re.compile(rf"/v2/{NAME}/blobs/uploads/(?P<reference>[^/]+)"),
        {"GET": "DescribeUpload", "PATCH": "UploadChunk", "PUT": "FinishUpload", "DELETE": "CancelUpload"},
    ),
    (re.compile(rf"/v2/{NAME}/blobs/(?P<reference>[^/]+)"), {"GET": "GetBlob", "HEAD": "HeadBlob", "DELETE": "DeleteBlob"}),
]
ERRORS = {
    "RepositoryNotFoundException": ("NAME_UNKNOWN", HTTPStatus.NOT_FOUND),
    "ImageTagAlreadyExistsException": ("TAG_INVALID", HTTPStatus.BAD_REQUEST),
    "LayersNotFoundException": ("MANIFEST_BLOB_UNKNOWN", HTTPStatus.NOT_FOUND),
    "ReferencedImagesNotFoundException": ("MANIFEST_BLOB_UNKNOWN", HTTPStatus.NOT_FOUND),
    "InvalidParameterException": ("MANIFEST_INVALID", HTTPStatus.BAD_REQUEST),
    "ImageReferencedByManifestList": ("DENIED", HTTPStatus.FORBIDDEN),
    "ThrottlingException": ("TOOMANYREQUESTS", HTTPStatus.TOO_MANY_REQUESTS),
}
"""ECR's errors as its registry says them."""


@dataclass
class Ask:
    """A request to one registry."""

    http: Request
    registry: Registry
    name: str
    reference: str


def error(code: str, message: str, status: int) -> AwsError:
    """An error of the distribution API."""
    return AwsError(code, message, status)


def refusal(problem: AwsError) -> Response:
    """An error answer of the distribution API."""
    code, status = ERRORS.get(problem.code, (problem.code, problem.status))
    body = {"errors": [{"code": code, "message": problem.message}]}
    return Response(json.dumps(body), status, content_type="application/json")


class RegistryApp:
    """The WSGI application for `/v2/`."""

    def __init__(self, world: World, ecr: EcrRoom) -> None:
        self._world = world
        self._ecr = ecr
        self._store = ecr.store
        self._uploads = ecr.uploads
        self._actions: dict[str, Callable[[Ask], Response]] = {
            "CheckVersion": self._check_version,
            "ListTags": self._list_tags,
            "GetManifest": self._get_manifest,
            "HeadManifest": self._get_manifest,
            "PutManifest": self._put_manifest,
            "DeleteManifest": self._delete_manifest,
            "ListReferrers": self._list_referrers,
            "GetBlob": self._get_blob,
            "HeadBlob": self._get_blob,
            "DeleteBlob": self._delete_blob,
            "StartUpload": self._start_upload,
            "DescribeUpload": self._describe_upload,
            "UploadChunk": self._upload_chunk,
            "FinishUpload": self._finish_upload,
            "CancelUpload": self._cancel_upload,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        registry = self._registry_of(request)
        operation, found = route(request.method, request.path)
        caller = (
            Caller(registry.account, registry.region, registry.holder)
            if isinstance(registry, Registry)
            else Caller(DEFAULT_ACCOUNT, "us-east-1", "")
        )
        call = Incoming(environ, caller, SERVICE, operation, {name: value for name, value in found.items() if value})

        def act() -> Response:
            if isinstance(registry, AwsError):
                raise registry
            action = self._actions.get(operation)
            if action is None:
                raise error("UNSUPPORTED", f"The registry has no {request.method} {request.path}", HTTPStatus.NOT_FOUND)
            return action(Ask(request, registry, found.get("name", ""), found.get("reference", "")))

        response = observed(self._world, call, act, refusal)
        response.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = f'Basic realm="{self._world.endpoint}/",service="ecr.amazonaws.com"'
        return response(environ, start_response)

    def _registry_of(self, request: Request) -> Registry | AwsError:
        """The registry that the request's password is for, or why there is none."""
        password = password_of(request)
        if password is None:
            return unauthorized()
        try:
            return self._ecr.tokens.read(password)
        except ExpiredTokenError:
            text = "Your authorization token has expired. Reauthenticate and try again."
            return error("DENIED", text, HTTPStatus.FORBIDDEN)
        except ValueError:
            return error("BAD_REQUEST", "Bad Request", HTTPStatus.BAD_REQUEST)

    def _repository(self, ask: Ask) -> Repository:
        return self._store.get(ask.registry.account, ask.registry.region, ask.name)

    def _check_version(self, _ask: Ask) -> Response:
        return Response("{}", content_type="application/json")

    def _list_tags(self, ask: Ask) -> Response:
        with self._ecr.lock:
            tags = sorted(self._repository(ask).tags)
        last = ask.http.args.get("last", "")
        rest = [tag for tag in tags if tag > last]
        size = ask.http.args.get("n", default=len(rest), type=int)
        shown = rest[: max(size, 0)]
        response = Response(json.dumps({"name": ask.name, "tags": shown}), content_type="application/json")
        if shown and len(shown) < len(rest):
            response.headers["Link"] = f'</v2/{ask.name}/tags/list?n={size}&last={shown[-1]}>; rel="next"'
        return response

    def _image(self, ask: Ask) -> Image:
        image = self._repository(ask).find(ask.reference)
        if image is None:
            raise error("MANIFEST_UNKNOWN", "Requested image not found", HTTPStatus.NOT_FOUND)
        return image

    def _get_manifest(self, ask: Ask) -> Response:
        with self._ecr.lock:
            image = self._image(ask)
            if ask.http.method == "GET":
                image.pulled_at = self._world.clock.now()
        response = Response(image.manifest.body, content_type=image.manifest.media_type)
        response.headers["Docker-Content-Digest"] = image.manifest.digest
        return response

    def _put_manifest(self, ask: Ask) -> Response:
        body = cast(BinaryIO, ask.http.environ["wsgi.input"]).read(MANIFEST_LIMIT + 1)
        if len(body) > MANIFEST_LIMIT:
            raise error("SIZE_INVALID", "The manifest is larger than 4 MiB", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        tag = None if ":" in ask.reference else ask.reference
        if tag and not TAG.fullmatch(tag):
            raise error("TAG_INVALID", f"'{tag}' is no tag", HTTPStatus.BAD_REQUEST)
        manifest = StoredManifest(digest_of(body), media_type_of(body, ask.http.mimetype or None), body)
        if tag is None and ask.reference != manifest.digest:
            raise error("DIGEST_INVALID", f"The manifest's digest is {manifest.digest}", HTTPStatus.BAD_REQUEST)
        with self._ecr.lock:
            repository = self._repository(ask)
            if not self._store.put(repository, manifest, tag) and tag and repository.freezes(tag):
                raise tag_is_immutable(tag, repository.name)
            content = repository.images[manifest.digest].content
        response = created(f"/v2/{ask.name}/manifests/{manifest.digest}", manifest.digest)
        if content.subject:
            response.headers["OCI-Subject"] = content.subject.digest
        return response

    def _list_referrers(self, ask: Ask) -> Response:
        if not DIGEST.fullmatch(ask.reference):
            raise error("DIGEST_INVALID", f"'{ask.reference}' is no sha256 digest", HTTPStatus.BAD_REQUEST)
        with self._ecr.lock:
            entries = [referrer_of(image) for image in self._repository(ask).referrers_of(ask.reference)]
        wanted = ask.http.args.getlist("artifactType")
        if wanted:
            entries = [entry for entry in entries if entry.get("artifactType") in wanted]
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
        response = Response(json.dumps(index), content_type=INDEX)
        if wanted:
            response.headers["OCI-Filters-Applied"] = "artifactType"
        return response

    def _delete_manifest(self, ask: Ask) -> Response:
        with self._ecr.lock:
            repository, image = self._repository(ask), self._image(ask)
            if ":" in ask.reference:
                self._store.delete_image(repository, image.manifest.digest)
            else:
                self._store.remove_tag(repository, ask.reference)
        return Response(status=HTTPStatus.ACCEPTED)

    def _blob(self, ask: Ask) -> Path:
        with self._ecr.lock:
            if ask.reference not in self._repository(ask).blobs:
                raise error("BLOB_UNKNOWN", "The layer does not exist in the repository", HTTPStatus.NOT_FOUND)
        return self._store.blob_path(ask.reference)

    def _get_blob(self, ask: Ask) -> Response:
        path = self._blob(ask)
        size = path.stat().st_size
        first, end = 0, size
        wanted = parse_range_header(ask.http.headers.get("Range"))
        if wanted:
            bounds = wanted.range_for_length(size)
            if bounds is None:
                return Response(status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers={"Content-Range": f"bytes */{size}"})
            first, end = bounds
        headers = {"Docker-Content-Digest": ask.reference, "Content-Length": str(end - first), "Accept-Ranges": "bytes"}
        if wanted:
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
        status = HTTPStatus.PARTIAL_CONTENT if wanted else HTTPStatus.OK
        body = () if ask.http.method == "HEAD" else pieces(path, first, end)
        return Response(body, status, headers=headers, content_type="application/octet-stream")

    def _delete_blob(self, ask: Ask) -> Response:
        self._blob(ask)
        with self._ecr.lock:
            self._repository(ask).blobs.discard(ask.reference)
        return Response(status=HTTPStatus.ACCEPTED)

    def _start_upload(self, ask: Ask) -> Response:
        query = ask.http.args
        with self._ecr.lock:
            repository = self._repository(ask)
            mount = query.get("mount")
            if mount and self._mount(ask, repository, mount, query.get("from")):
                return created(f"/v2/{ask.name}/blobs/{mount}", mount)
            upload = self._uploads.start(repository)
        if "digest" in query:
            return self._finish(ask, upload)
        return accepted(ask, upload)

    def _mount(self, ask: Ask, repository: Repository, digest: str, source: str | None) -> bool:
        if not source or not self._ecr.mounts_blobs(ask.registry):
            return False
        try:
            origin = self._store.get(ask.registry.account, ask.registry.region, source)
        except AwsError:
            return False
        referenced = any(blob.digest == digest for image in origin.images.values() for blob in image.content.blobs)
        if not referenced or digest not in origin.blobs:
            return False
        repository.blobs.add(digest)
        return True

    def _upload(self, ask: Ask) -> Upload:
        with self._ecr.lock:
            upload = self._uploads.find(self._repository(ask), ask.reference)
        if upload is None:
            raise error("BLOB_UPLOAD_UNKNOWN", "The upload does not exist, or is finished", HTTPStatus.NOT_FOUND)
        return upload

    def _describe_upload(self, ask: Ask) -> Response:
        return accepted(ask, self._upload(ask), HTTPStatus.NO_CONTENT)

    def _upload_chunk(self, ask: Ask) -> Response:
        upload = self._upload(ask)
        with upload.lock:
            refuse_gap(ask, upload)
            upload.receive(ask.http.environ["wsgi.input"])
        return accepted(ask, upload)

    def _finish_upload(self, ask: Ask) -> Response:
        return self._finish(ask, self._upload(ask))

    def _finish(self, ask: Ask, upload: Upload) -> Response:
        digest = ask.http.args.get("digest", "")
        if not DIGEST.fullmatch(digest):
            raise error("DIGEST_INVALID", f"'{digest}' is no sha256 digest", HTTPStatus.BAD_REQUEST)
        with upload.lock:
            refuse_gap(ask, upload)
            upload.receive(ask.http.environ["wsgi.input"])
            with self._ecr.lock:
                if upload.digest != digest:
                    self._uploads.drop(upload)
                    raise error("DIGEST_INVALID", f"The uploaded layer's digest is {upload.digest}", HTTPStatus.BAD_REQUEST)
                self._uploads.keep(upload)
        return created(f"/v2/{ask.name}/blobs/{digest}", digest)

    def _cancel_upload(self, ask: Ask) -> Response:
        upload = self._upload(ask)
        with self._ecr.lock:
            self._uploads.drop(upload)
        return Response(status=HTTPStatus.NO_CONTENT)


def route(method: str, path: str) -> tuple[str, dict[str, str]]:
    """The operation a request stands for, and what its path names."""
    for pattern, operations in ROUTES:
        found = pattern.fullmatch(path)
        if found and method in operations:
            return operations[method], found.groupdict()
    return f"{method} {path}", {}


def password_of(request: Request) -> str | None:
    """The password in a request's header; None for one without, or of another user than `AWS`."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        user, _, password = base64.b64decode(encoded).decode().partition(":")
    except ValueError:
        return None
    return password if scheme.lower() == "basic" and user == "AWS" else None


def unauthorized() -> AwsError:
    """The refusal of a request without a password."""
    return error("UNAUTHORIZED", "Not Authorized", HTTPStatus.UNAUTHORIZED)


def refuse_gap(ask: Ask, upload: Upload) -> None:
    """Chunks come in order.

    Raises:
        AwsError: This one does not begin where the last one ended.
    """
    given = ask.http.headers.get("Content-Range")
    if given is None:
        return
    found = CHUNK_RANGE.fullmatch(given)
    if not found or int(found["first"]) != upload.size or int(found["last"]) < int(found["first"]):
        raise error(
            "BLOB_UPLOAD_INVALID",
            f"The chunk says {given}; the upload has {upload.size} bytes so far",
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        )


def referrer_of(image: Image) -> dict[str, Any]:
    """How a list of referrers shows an image."""
    manifest, content = image.manifest, image.content
    entry: dict[str, Any] = {"mediaType": manifest.media_type, "digest": manifest.digest, "size": len(manifest.body)}
    kind = content.artifact_type or (content.config.media_type if content.config else None)
    if kind:
        entry["artifactType"] = kind
    if content.annotations:
        entry["annotations"] = content.annotations
    return entry


def created(location: str, digest: str) -> Response:
    """The answer to something stored."""
    return Response(status=HTTPStatus.CREATED, headers={"Location": location, "Docker-Content-Digest": digest})


def accepted(ask: Ask, upload: Upload, status: HTTPStatus = HTTPStatus.ACCEPTED) -> Response:
    """Where an upload goes on, and what has come."""
    return Response(
        status=status,
        headers={
            "Location": f"/v2/{ask.name}/blobs/uploads/{upload.id}",
            "Range": f"0-{max(upload.size - 1, 0)}",
            "Docker-Upload-UUID": upload.id,
        },
    )


def pieces(path: Path, first: int, end: int) -> Iterator[bytes]:
    """A file's bytes from `first` up to `end`."""
    with path.open("rb") as file:
        file.seek(first)
        left = end - first
        while left > 0 and (piece := file.read(min(PIECE, left))):
            left -= len(piece)
            yield piece

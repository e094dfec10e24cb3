from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from slipway.errors import NeedsPersonError, RefusedError, TransientError
from slipway.oci.auth import TokenAuth
from slipway.oci.client import RegistryClient, Upload, content_digest
from slipway.oci.copy import CopyCounts, copy_image
from slipway.oci.manifests import ImageRepository, read_tree

OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
Spoil = Callable[[httpx.Request], httpx.Response | None]


def streamed(content: bytes, head: httpx.Response | None = None) -> httpx.Response:
    async def chunks() -> AsyncIterator[bytes]:
        yield content

    return httpx.Response(head.status_code if head else 200, headers=head.headers if head else None, content=chunks())


class Registry:
    """A registry in memory, with one way to go wrong at a time."""

    def __init__(self, host: str = "registry.test") -> None:
        self.url = f"http://{host}"
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.requests: list[httpx.Request] = []
        self.mounting = False
        self.lists_referrers = True
        self.names_digests = True
        self.token = "good"
        self.turns_down_with = 401
        self.spoil: Spoil = lambda _: None

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = await self._answer(request)
        return streamed(answer.content, answer) if answer.is_stream_consumed else answer

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        self.requests.append(request)
        spoiled = self.spoil(request)
        if spoiled is not None:
            return spoiled
        if request.headers.get("Authorization") != f"Basic {self.token}":
            return httpx.Response(self.turns_down_with, json={"errors": [{"code": "DENIED", "message": "token has expired"}]})
        _, _, repository, kind, *rest = request.url.path.split("/")
        match request.method, kind, rest:
            case "POST", "blobs", _:
                return self._begin(request, repository)
            case "PUT", "blobs", _:
                return self._put_blob(request, repository, body)
            case _, "blobs", [digest]:
                found = self.blobs.get((repository, digest))
                return httpx.Response(404) if found is None else streamed(found)
            case _, "referrers", [digest]:
                return self._referrers(repository, digest)
            case "PUT", _, [reference]:
                return self._put_manifest(repository, reference, request.headers["Content-Type"], body)
            case _, _, [reference]:
                return self._manifest(repository, reference)
            case _:
                return httpx.Response(405)

    def _begin(self, request: httpx.Request, repository: str) -> httpx.Response:
        mount, origin = request.url.params.get("mount"), request.url.params.get("from")
        if self.mounting and mount and origin and (origin, mount) in self.blobs:
            self.blobs[repository, mount] = self.blobs[origin, mount]
            return httpx.Response(201)
        return httpx.Response(202, headers={"Location": f"/v2/{repository}/blobs/uploads/1?state=x"})

    def _put_blob(self, request: httpx.Request, repository: str, body: bytes) -> httpx.Response:
        assert request.url.params["state"] == "x"
        if content_digest(body) != request.url.params["digest"] or len(body) != int(request.headers["Content-Length"]):
            return httpx.Response(400, json={"errors": [{"code": "DIGEST_INVALID", "message": "no"}]})
        self.blobs[repository, content_digest(body)] = body
        return httpx.Response(201)

    def _put_manifest(self, repository: str, reference: str, media_type: str, body: bytes) -> httpx.Response:
        for entry in json.loads(body).get("manifests", []):
            if (repository, entry["digest"]) not in self.manifests:
                return httpx.Response(404, json={"errors": [{"code": "MANIFEST_BLOB_UNKNOWN"}]})
        self.manifests[repository, content_digest(body)] = self.manifests[repository, reference] = (media_type, body)
        return httpx.Response(201, headers={"Docker-Content-Digest": content_digest(body)})

    def _manifest(self, repository: str, reference: str) -> httpx.Response:
        if (repository, reference) not in self.manifests:
            return httpx.Response(404, json={"errors": [{"code": "MANIFEST_UNKNOWN", "message": "not there"}]})
        media_type, body = self.manifests[repository, reference]
        named = {"Docker-Content-Digest": content_digest(body)} if self.names_digests else {}
        return httpx.Response(200, content=body, headers={"Content-Type": media_type, **named})

    def _referrers(self, repository: str, digest: str) -> httpx.Response:
        if not self.lists_referrers:
            return httpx.Response(404)
        found = {
            own: {"mediaType": media_type, "digest": own, "size": len(body)}
            for (place, own), (media_type, body) in self.manifests.items()
            if place == repository and own.startswith("sha256:") and json.loads(body).get("subject", {}).get("digest") == digest
        }
        return httpx.Response(200, json={"manifests": list(found.values())}, headers={"Content-Type": INDEX})

    def add_referrer(self, repository: str, subject: str, content: bytes) -> str:
        """What names a manifest as its subject, and is listed."""
        self.blobs[repository, content_digest(content)] = content
        blob = {"digest": content_digest(content), "size": len(content), "mediaType": "x"}
        described = {"digest": subject, "size": 1, "mediaType": OCI}
        document = {"schemaVersion": 2, "config": blob, "layers": [blob], "subject": described}
        return self.add_manifest(repository, OCI, json.dumps(document).encode())

    def add_image(self, repository: str, *layers: bytes) -> str:
        def entry(content: bytes) -> dict[str, Any]:
            self.blobs[repository, content_digest(content)] = content
            return {"digest": content_digest(content), "size": len(content), "mediaType": "x"}

        # The spaces are on purpose: a manifest's bytes are not what a JSON writer would make of it.
        config = {**entry(b"{}"), "mediaType": "application/vnd.oci.image.config.v1+json"}
        document = {"schemaVersion": 2, "config": config, "layers": [entry(layer) for layer in layers]}
        return self.add_manifest(repository, OCI, json.dumps(document, indent=3).encode() + b"\n ")

    def add_manifest(self, repository: str, media_type: str, body: bytes) -> str:
        self.manifests[repository, content_digest(body)] = (media_type, body)
        return content_digest(body)

    def add_index(self, repository: str, *children: str) -> str:
        entries = [{"digest": child, "size": 1, "mediaType": OCI} for child in children]
        return self.add_manifest(repository, INDEX, json.dumps({"manifests": entries}).encode())

    def add_list(self, repository: str, subject: str, *referrers: str) -> None:
        """What refers to a manifest, under the tag that the specification has where registries list nothing."""
        self.manifests[repository, tag_of(subject)] = self.manifests[repository, self.add_index(repository, *referrers)]

    def client(self) -> RegistryClient:
        async def token(fresh: bool) -> str:
            return "good" if fresh or self.token == "good" else "stale"

        http = httpx.AsyncClient(transport=httpx.MockTransport(self), follow_redirects=True)
        return RegistryClient(self.url, TokenAuth(token), http)

    def place(self, repository: str) -> ImageRepository:
        return ImageRepository(self.client(), repository)

    def counts(self) -> Counter[str]:
        return Counter(f"{request.method} {request.url.path.split('/')[3]}" for request in self.requests)


@pytest.fixture
def source() -> Registry:
    return Registry("source.test")


@pytest.fixture
def target() -> Registry:
    return Registry("target.test")


async def test_given_an_image_when_it_is_copied_then_the_target_has_its_exact_bytes_under_the_tag(
    source: Registry, target: Registry
) -> None:
    digest = source.add_image("ci", b"one", b"two" * 300_000)
    counts = await copy_image(source.place("ci"), target.place("prod"), digest, "v1")
    assert target.manifests["prod", "v1"] == source.manifests["ci", digest]
    assert counts == CopyCounts(copied_blobs=3, copied_bytes=2 + 3 + 900_000)


async def test_given_a_copied_image_when_it_is_copied_again_then_no_blob_is_looked_at(source: Registry, target: Registry) -> None:
    digest = source.add_image("ci", b"one")
    await copy_image(source.place("ci"), target.place("prod"), digest, "v1")
    target.requests.clear()
    assert await copy_image(source.place("ci"), target.place("prod"), digest, "v1") == CopyCounts()
    assert target.counts()["HEAD blobs"] == 0


async def test_given_blobs_that_are_there_when_an_image_is_copied_then_they_are_not_sent(
    source: Registry, target: Registry
) -> None:
    target.blobs["prod", content_digest(b"one")] = b"one"
    counts = await copy_image(source.place("ci"), target.place("prod"), source.add_image("ci", b"one", b"two"), "v1")
    assert (counts.copied_blobs, counts.skipped_blobs) == (2, 1)


async def test_given_an_index_when_it_is_copied_then_its_images_come_first(source: Registry, target: Registry) -> None:
    children = [source.add_image("ci", b"base", b"amd64"), source.add_image("ci", b"base", b"arm64")]
    counts = await copy_image(source.place("ci"), target.place("prod"), source.add_index("ci", *children), "v1")
    assert all(("prod", child) in target.manifests for child in children)
    assert counts.copied_blobs == 4  # the config and the base layer are shared


@pytest.mark.parametrize(("mounting", "mounted", "copied"), [(True, 2, 0), (False, 0, 2)])
async def test_given_one_registry_when_an_image_is_copied_then_blobs_are_mounted_or_else_uploaded(
    source: Registry, mounting: bool, mounted: int, copied: int
) -> None:
    source.mounting = mounting
    counts = await copy_image(source.place("ci"), source.place("prod"), source.add_image("ci", b"one"), "v1")
    assert (counts.mounted_blobs, counts.copied_blobs) == (mounted, copied)


async def test_given_the_tag_on_another_image_when_an_image_is_copied_then_it_is_refused_before_anything(
    source: Registry, target: Registry
) -> None:
    await copy_image(source.place("ci"), target.place("prod"), source.add_image("ci", b"one"), "v1")
    target.requests.clear()
    with pytest.raises(RefusedError, match="the tag already names"):
        await copy_image(source.place("ci"), target.place("prod"), source.add_image("ci", b"two"), "v1")
    assert {request.method for request in target.requests} == {"HEAD"}


async def test_given_a_corrupt_blob_when_an_image_is_copied_then_no_manifest_is_written(
    source: Registry, target: Registry
) -> None:
    digest = source.add_image("ci", b"one")
    source.blobs["ci", content_digest(b"one")] = b"eno"
    with pytest.raises(RefusedError, match="the source is corrupt"):
        await copy_image(source.place("ci"), target.place("prod"), digest, "v1")
    assert not target.manifests
    assert ("prod", content_digest(b"eno")) not in target.blobs


async def test_given_a_corrupt_manifest_when_it_is_read_then_it_is_refused(source: Registry) -> None:
    digest = source.add_image("ci", b"one")
    source.manifests["ci", digest] = (OCI, b"{}")
    with pytest.raises(RefusedError, match="not sha256"):
        await source.client().get_manifest("ci", digest)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, TransientError), (503, TransientError), (403, NeedsPersonError), (404, NeedsPersonError), (400, RefusedError)],
)
async def test_given_an_answer_when_a_manifest_is_read_then_its_status_says_what_to_do(
    source: Registry, status: int, kind: type[Exception]
) -> None:
    source.spoil = lambda _: httpx.Response(status, json={"errors": [{"code": "WHY", "message": "so"}]})
    with pytest.raises(kind, match=f"HTTP {status} WHY: so"):
        await source.client().get_manifest("ci", "v1")


async def test_given_an_error_that_is_nested_too_deeply_when_it_is_told_then_its_status_says_what_to_do(source: Registry) -> None:
    source.spoil = lambda _: httpx.Response(503, content=b"[" * 100_000)
    with pytest.raises(TransientError, match="HTTP 503 Service Unavailable"):
        await source.client().get_manifest("ci", "v1")


@pytest.mark.parametrize(("asked", "kept"), [("7", 7), ("601", 600), ("9" * 5_000, 600)])
async def test_given_a_throttle_with_a_time_when_it_is_raised_then_the_time_is_kept(
    source: Registry, asked: str, kept: int
) -> None:
    source.spoil = lambda _: httpx.Response(429, headers={"Retry-After": asked})
    with pytest.raises(TransientError) as throttled:
        await source.client().has_blob("ci", content_digest(b""))
    assert throttled.value.retry_after is not None
    assert throttled.value.retry_after.total_seconds() == kept


@pytest.mark.parametrize("named", ["../../other/manifests/v1", "sha512:" + "0" * 128, f'"{content_digest(b"")}"', ""])
async def test_given_an_answer_that_names_what_is_no_digest_when_an_image_is_looked_for_then_its_bytes_count(
    source: Registry, named: str
) -> None:
    image = source.add_image("ci", b"one")
    body = source.manifests["ci", image][1]
    source.spoil = lambda _: httpx.Response(200, content=body, headers={"Content-Type": OCI, "Docker-Content-Digest": named})
    assert await source.client().manifest_digest("ci", "v1") == image
    assert (await source.client().get_manifest("ci", "v1")).digest == image


async def test_given_a_list_that_goes_on_at_what_is_no_url_when_referrers_are_listed_then_a_person_is_asked(
    source: Registry,
) -> None:
    source.spoil = lambda _: httpx.Response(200, json={"manifests": []}, headers={"Link": "<http://[::1>; rel=next"})
    with pytest.raises(NeedsPersonError, match="the registry's answer leads to"):
        await source.client().list_referrers("ci", content_digest(b""))


async def test_given_a_connection_that_breaks_when_a_blob_is_read_then_it_is_transient(source: Registry) -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("reset", request=request)

    source.spoil = broken
    with pytest.raises(TransientError, match="ReadError: reset"):
        _ = [chunk async for chunk in source.client().read_blob("ci", content_digest(b"one"))]


@pytest.mark.parametrize("status", [401, 403])
async def test_given_a_stale_token_when_an_image_is_copied_then_a_fresh_one_is_asked_for(
    source: Registry, target: Registry, status: int
) -> None:
    digest = source.add_image("ci", b"one")
    source.token = target.token = "rotated"
    source.turns_down_with = target.turns_down_with = status

    def client(registry: Registry) -> ImageRepository:
        async def token(fresh: bool) -> str:
            return "rotated" if fresh else "good"

        return ImageRepository(
            RegistryClient(registry.url, TokenAuth(token), httpx.AsyncClient(transport=httpx.MockTransport(registry))), "ci"
        )

    counts = await copy_image(client(source), client(target), digest, "v1")
    assert counts.copied_blobs == 2


async def test_given_a_permission_that_is_missing_when_a_fresh_token_is_denied_too_then_a_person_is_asked(
    source: Registry,
) -> None:
    digest = source.add_image("ci", b"one")
    source.token, source.turns_down_with = "of somebody else", 403
    with pytest.raises(NeedsPersonError, match="HTTP 403 DENIED"):
        await source.client().get_manifest("ci", digest)
    assert len(source.requests) == 2


@pytest.mark.parametrize("status", [401, 403])
async def test_given_a_token_that_expires_before_the_blob_itself_when_it_is_uploaded_then_the_upload_begins_again(
    target: Registry, status: int
) -> None:
    refusals = [httpx.Response(status)]
    target.spoil = lambda request: refusals.pop() if request.method == "PUT" and refusals else None
    reads: list[int] = []

    async def chunks() -> AsyncIterator[bytes]:
        reads.append(1)
        yield b"one"

    assert await target.client().upload_blob("prod", content_digest(b"one"), 3, chunks) is Upload.uploaded
    assert (len(reads), target.blobs["prod", content_digest(b"one")]) == (2, b"one")


async def test_given_a_blob_on_another_host_when_it_is_read_then_that_host_is_not_told_the_token(source: Registry) -> None:
    told: list[str | None] = []

    def storage(request: httpx.Request) -> httpx.Response | None:
        if request.url.host == "storage.test":
            told.append(request.headers.get("Authorization"))
            return streamed(b"one")
        return httpx.Response(307, headers={"Location": "http://storage.test/one?signed"})

    source.spoil = storage
    assert [chunk async for chunk in source.client().read_blob("ci", content_digest(b"one"))] == [b"one"]
    assert told == [None]


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b"no json",
        b'{"config": {}}',
        b'{"manifests": [{"digest": "x"}]}',
        b'{"manifests": [{"digest": "../../other/manifests/v1", "size": 1}]}',
        b'{"config": {"digest": "sha512:00", "size": 1}, "layers": []}',
    ],
)
async def test_given_a_manifest_that_is_none_when_it_is_copied_then_it_is_refused(
    source: Registry, target: Registry, body: bytes
) -> None:
    with pytest.raises(RefusedError):
        await copy_image(source.place("ci"), target.place("prod"), source.add_manifest("ci", OCI, body))


@pytest.mark.parametrize("repository", ["../x", "A", "x?y", "", "x/"])
async def test_given_a_text_that_is_no_repository_when_it_is_used_then_it_is_refused(source: Registry, repository: str) -> None:
    with pytest.raises(RefusedError, match="not a repository name"):
        await source.client().has_blob(repository, content_digest(b""))


async def test_given_the_sandbox_when_an_image_is_copied_between_regions_then_ecr_shows_it_at_the_target() -> None:
    from slipway_sandbox.testing import SandboxProcess, fresh_account  # noqa: PLC0415 -- a process, for this test alone

    with SandboxProcess() as sandbox:
        account = fresh_account()

        def place(region: str, repository: str) -> ImageRepository:
            ecr = sandbox.client("ecr", account, region)
            ecr.create_repository(repositoryName=repository)

            async def token(fresh: bool) -> str:
                return ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]

            proxy = ecr.get_authorization_token()["authorizationData"][0]["proxyEndpoint"]
            return ImageRepository(RegistryClient(proxy, TokenAuth(token)), repository)

        source, target = place("us-east-1", "ci"), place("eu-west-1", "prod")
        layer, config = b"layer" * 200_000, b"{}"
        entries = [
            {"digest": content_digest(blob), "size": len(blob), "mediaType": f"application/vnd.oci.image.{kind}"}
            for blob, kind in ((config, "config.v1+json"), (layer, "layer.v1.tar"))
        ]
        body = json.dumps({"schemaVersion": 2, "mediaType": OCI, "config": entries[0], "layers": entries[1:]}, indent=1).encode()
        for blob in (config, layer):

            async def chunks(blob: bytes = blob) -> AsyncIterator[bytes]:
                yield blob

            await source.registry.upload_blob("ci", content_digest(blob), len(blob), chunks)
        digest = await source.registry.put_manifest("ci", "v1", body, OCI)
        counts = await copy_image(source, target, digest, "v1")
        images = sandbox.client("ecr", account, "eu-west-1").describe_images(repositoryName="prod")["imageDetails"]
    assert counts.copied_blobs == 2
    assert [(image["imageDigest"], image["imageTags"]) for image in images] == [(digest, ["v1"])]


@pytest.mark.parametrize("size", [1, 100])
async def test_given_a_size_that_is_not_the_blobs_when_an_image_is_copied_then_both_are_told(
    source: Registry, target: Registry, size: int
) -> None:
    layer = content_digest(b"layer")
    source.blobs["ci", layer] = b"layer"
    source.blobs["ci", content_digest(b"{}")] = b"{}"
    config = {"digest": content_digest(b"{}"), "size": 2}
    document = {"config": config, "layers": [{"digest": layer, "size": size}]}
    digest = source.add_manifest("ci", OCI, json.dumps(document).encode())
    with pytest.raises(RefusedError, match=f"its manifest says {size} bytes, and it has"):
        await copy_image(source.place("ci"), target.place("prod"), digest)
    assert target.manifests == {}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"config": {"digest": "sha256:0", "size": 1e999}, "layers": []}', "its size is inf"),
        (b'{"config": {"digest": "sha256:0", "size": -1}, "layers": []}', "its size is -1"),
        (b'{"config": {"digest": "sha256:0", "size": true}, "layers": []}', "its size is True"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"manifests": [], "layers": []}', "both images and layers"),
        (b'{"manifests": [], "config": {"digest": "sha256:%064d", "size": 1}, "layers": []}' % 0, "both images and layers"),
    ],
)
async def test_given_a_manifest_that_does_harm_when_it_is_copied_then_it_is_refused(
    source: Registry, target: Registry, body: bytes, said: str
) -> None:
    digest = source.add_manifest("ci", OCI, body)
    with pytest.raises(RefusedError, match=said):
        await copy_image(source.place("ci"), target.place("prod"), digest)
    assert target.manifests == {}


NOWHERE = ["file:///etc/passwd", "ftp://target.test/x", "http://x:port/", "//[::1"]


@pytest.mark.parametrize("location", NOWHERE)
async def test_given_an_upload_to_what_cannot_be_asked_when_a_blob_is_uploaded_then_a_person_is_asked(
    target: Registry, location: str
) -> None:
    target.spoil = lambda request: httpx.Response(202, headers={"Location": location}) if request.method == "POST" else None
    with pytest.raises(NeedsPersonError, match="the registry's answer leads to"):
        await target.client().upload_blob("prod", content_digest(b"x"), 1, lambda: sent(b"x"))


@pytest.mark.parametrize("address", NOWHERE)
async def test_given_a_next_page_that_cannot_be_asked_when_referrers_are_listed_then_a_person_is_asked(
    source: Registry, address: str
) -> None:
    source.spoil = lambda _: httpx.Response(200, headers={"Link": f'<{address}>; rel="next"'}, json={"manifests": []})
    with pytest.raises(NeedsPersonError, match="the registry's answer leads to"):
        await source.client().list_referrers("ci", content_digest(b"x"))


async def sent(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_given_a_compressed_manifest_when_it_is_read_then_it_is_refused_and_never_unpacked(source: Registry) -> None:
    bomb = gzip.compress(b" " * 50_000_000)

    async def chunks() -> AsyncIterator[bytes]:
        yield bomb

    source.spoil = lambda _: httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=chunks())
    with pytest.raises(RefusedError, match="comes as 'gzip', which was not asked for"):
        await source.client().get_manifest("ci", "v1")
    assert source.requests[0].headers["Accept-Encoding"] == "identity"


async def test_given_an_answer_without_an_end_when_a_manifest_is_read_then_reading_stops(source: Registry) -> None:
    sent_bytes = Counter[str]()

    async def chunks() -> AsyncIterator[bytes]:
        while True:
            sent_bytes["all"] += 100_000
            yield b" " * 100_000

    source.spoil = lambda _: httpx.Response(200, content=chunks())
    with pytest.raises(RefusedError, match="more than 4,194,304 bytes"):
        await source.client().get_manifest("ci", "v1")
    assert sent_bytes["all"] < 5_000_000


def tag_of(digest: str, suffix: str = "") -> str:
    return digest.replace(":", "-") + suffix


async def test_given_cosigns_tags_and_referrers_when_an_image_is_copied_then_they_come_along_and_are_counted(
    source: Registry, target: Registry
) -> None:
    image = source.add_image("ci", b"one")
    signature = source.add_image("ci", b"a signature")
    source.manifests["ci", tag_of(image, ".sig")] = source.manifests["ci", signature]
    sbom = source.add_referrer("ci", image, b"an SBOM")
    of_sbom = source.add_referrer("ci", sbom, b"a signature of the SBOM")
    counts = await copy_image(source.place("ci"), target.place("prod"), image, "v1")
    assert counts.referrers == 3
    assert target.manifests["prod", tag_of(image, ".sig")] == source.manifests["ci", signature]
    assert target.manifests["prod", sbom] == source.manifests["ci", sbom]
    assert target.manifests["prod", of_sbom] == source.manifests["ci", of_sbom]
    assert target.requests[-1].url.path.endswith("/manifests/v1"), "the tag is not the last"


async def test_given_a_signature_of_one_platform_when_the_index_is_copied_then_it_comes_along(
    source: Registry, target: Registry
) -> None:
    image = source.add_image("ci", b"one")
    signature = source.add_referrer("ci", image, b"a signature")
    await copy_image(source.place("ci"), target.place("prod"), source.add_index("ci", image), "v1")
    assert ("prod", signature) in target.manifests


async def test_given_registries_without_lists_when_an_image_is_copied_then_the_list_is_kept_under_its_tag(
    source: Registry, target: Registry
) -> None:
    source.lists_referrers = target.lists_referrers = False
    image = source.add_image("ci", b"one")
    new = source.add_referrer("ci", image, b"an SBOM")
    old = target.add_referrer("prod", image, b"a signature of the target's own")

    source.add_list("ci", image, new)
    target.add_list("prod", image, old)
    await copy_image(source.place("ci"), target.place("prod"), image, "v1")
    listed = json.loads(target.manifests["prod", tag_of(image)][1])["manifests"]
    assert [entry["digest"] for entry in listed] == [old, new]


async def test_given_signatures_that_came_later_when_a_copied_image_is_copied_again_then_only_they_are_sent(
    source: Registry, target: Registry
) -> None:
    image = source.add_image("ci", b"one")
    await copy_image(source.place("ci"), target.place("prod"), image, "v1")
    signature = source.add_referrer("ci", image, b"a signature")
    target.requests.clear()
    counts = await copy_image(source.place("ci"), target.place("prod"), image, "v1")
    assert (counts.referrers, counts.copied_blobs) == (1, 1)
    puts = [request.url.path for request in target.requests if request.method == "PUT" and "/manifests/" in request.url.path]
    assert puts == [f"/v2/prod/manifests/{signature}"]


async def test_given_other_signatures_under_the_tag_at_the_target_when_an_image_is_copied_then_they_stay_and_it_is_said(
    source: Registry, target: Registry
) -> None:
    image = source.add_image("ci", b"one")
    source.manifests["ci", tag_of(image, ".sig")] = source.manifests["ci", source.add_image("ci", b"CI's")]
    own = target.manifests["prod", target.add_image("prod", b"the target's own")]
    target.manifests["prod", tag_of(image, ".sig")] = own
    counts = await copy_image(source.place("ci"), target.place("prod"), image, "v1")
    assert (counts.referrers, counts.other_referrers) == (0, 1)
    assert target.manifests["prod", tag_of(image, ".sig")] == own


async def test_given_referrers_to_ignore_when_an_image_is_copied_then_they_stay_behind(
    source: Registry, target: Registry
) -> None:
    image = source.add_image("ci", b"one")
    signature = source.add_referrer("ci", image, b"a signature")
    counts = await copy_image(source.place("ci"), target.place("prod"), image, "v1", referrers=False)
    assert counts.referrers == 0
    assert ("prod", signature) not in target.manifests


async def test_given_a_list_that_names_what_was_removed_when_an_image_is_copied_then_the_rest_comes_along(
    source: Registry, target: Registry
) -> None:
    image = source.add_image("ci", b"one")
    gone, kept = source.add_referrer("ci", image, b"an old signature"), source.add_referrer("ci", image, b"a signature")
    source.lists_referrers = False
    source.add_list("ci", image, gone, kept)
    del source.manifests["ci", gone]
    assert (await copy_image(source.place("ci"), target.place("prod"), image, "v1")).referrers == 1
    assert ("prod", kept) in target.manifests


async def test_given_layers_that_are_null_when_an_image_is_read_then_it_has_none(source: Registry) -> None:
    config = {"digest": content_digest(b"{}"), "size": 2, "mediaType": "application/vnd.oci.image.config.v1+json"}
    digest = source.add_manifest("ci", OCI, json.dumps({"config": config, "layers": None}).encode())
    assert (await read_tree(source.place("ci"), digest)).images == (digest,)


async def test_given_a_list_that_names_what_is_about_another_image_when_it_is_copied_then_that_stays_behind(
    source: Registry, target: Registry
) -> None:
    image, other = source.add_image("ci", b"one"), source.add_image("ci", b"two")
    foreign = source.add_referrer("ci", other, b"a signature of another")
    source.lists_referrers = False
    source.add_list("ci", image, foreign, other)
    counts = await copy_image(source.place("ci"), target.place("prod"), image, "v1")
    assert counts.referrers == 0
    assert ("prod", foreign) not in target.manifests


async def test_given_a_registry_that_lists_the_same_for_everything_when_an_image_is_copied_then_it_comes_to_an_end(
    source: Registry, target: Registry
) -> None:
    image = source.add_image("ci", b"one")
    signature = source.add_referrer("ci", image, b"a signature")
    entry = {"digest": signature, "size": 1, "mediaType": OCI}

    def same(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(200, json={"manifests": [entry]}) if "/referrers/" in request.url.path else None

    source.spoil = same
    assert (await copy_image(source.place("ci"), target.place("prod"), image, "v1")).referrers == 1


async def test_given_more_referrers_than_the_limit_when_an_image_is_copied_then_it_is_refused_with_the_way_out(
    source: Registry, target: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway.oci.copy.REFERRERS_LIMIT", 2)
    image = source.add_image("ci", b"one")
    for number in range(3):
        source.add_referrer("ci", image, f"signature {number}".encode())
    with pytest.raises(RefusedError, match="referrers: ignore"):
        await copy_image(source.place("ci"), target.place("prod"), image, "v1")
    assert ("prod", "v1") not in target.manifests


async def test_given_a_tag_that_another_attempt_puts_meanwhile_when_it_is_refused_then_the_copy_is_done(
    source: Registry, target: Registry
) -> None:
    image = source.add_image("ci", b"one")

    def refuse(request: httpx.Request) -> httpx.Response | None:
        if request.method != "PUT" or not request.url.path.endswith("/manifests/v1"):
            return None
        target.manifests["prod", "v1"] = source.manifests["ci", image]
        return httpx.Response(400, json={"errors": [{"code": "TAG_INVALID", "message": "the repository is immutable"}]})

    target.spoil = refuse
    assert (await copy_image(source.place("ci"), target.place("prod"), image, "v1")).copied_blobs == 2


@pytest.mark.parametrize("platform", [{"architecture": "unknown", "os": "unknown"}, None])
async def test_given_an_index_without_an_image_when_it_is_copied_then_it_is_refused(
    source: Registry, target: Registry, platform: dict[str, str] | None
) -> None:
    attestation = source.add_image("ci", b"provenance")
    entries = [{"digest": attestation, "size": 1, "mediaType": OCI, "platform": platform}] if platform else []
    index = source.add_manifest("ci", INDEX, json.dumps({"manifests": entries}).encode())
    with pytest.raises(RefusedError, match="without an image"):
        await copy_image(source.place("ci"), target.place("prod"), index, "v1")
    assert target.manifests == {}


@pytest.mark.parametrize("media_type", [None, "application/json", INDEX])
async def test_given_an_entry_of_another_or_no_type_when_an_image_is_read_then_what_it_says_itself_counts(
    source: Registry, media_type: str | None
) -> None:
    image = source.add_image("ci", b"layer")
    inner = source.add_index("ci", image)
    entries = [{"digest": inner, "size": 1, "mediaType": media_type}]
    index = source.add_manifest("ci", INDEX, json.dumps({"manifests": entries}).encode())
    assert (await read_tree(source.place("ci"), index)).images == (image,)


@pytest.mark.parametrize(
    ("manifest", "kind"),
    [
        ({"config": {"mediaType": "application/vnd.cncf.helm.config.v1+json"}}, "vnd.cncf.helm"),
        ({"artifactType": "application/spdx+json", "config": {"mediaType": "application/vnd.oci.empty.v1+json"}}, "spdx"),
    ],
)
async def test_given_a_chart_or_an_sbom_when_it_is_promoted_then_it_is_refused_as_no_image(
    source: Registry, manifest: dict[str, Any], kind: str
) -> None:
    config = {"digest": content_digest(b"{}"), "size": 2, **manifest["config"]}
    digest = source.add_manifest("ci", OCI, json.dumps({**manifest, "config": config, "layers": []}).encode())
    with pytest.raises(RefusedError, match=f"no image that runs: its type is .*{kind}"):
        await read_tree(source.place("ci"), digest)
    index = source.add_index("ci", source.add_image("ci", b"layer"), digest)
    assert (await read_tree(source.place("ci"), index)).images


async def test_given_a_registry_whose_answers_name_no_digest_when_an_image_is_copied_twice_then_its_tag_is_put_once(
    source: Registry, target: Registry
) -> None:
    image = source.add_image("ci", b"layer")

    target.names_digests = False
    for _ in range(2):
        await copy_image(source.place("ci"), target.place("prod"), image, "v1")
    puts = [request for request in target.requests if request.method == "PUT" and request.url.path.endswith("/manifests/v1")]
    assert len(puts) == 1


async def test_given_a_layer_with_addresses_elsewhere_when_an_image_is_copied_then_it_is_left_there(
    source: Registry, target: Registry
) -> None:
    image = source.add_image("ci", b"layer")
    document = json.loads(source.manifests["ci", image][1])
    kind = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    foreign = {"digest": content_digest(b"windows"), "size": 7, "mediaType": kind, "urls": ["https://mcr.test/layer"]}
    document["layers"].append(foreign)
    digest = source.add_manifest("ci", OCI, json.dumps(document).encode())
    assert (await copy_image(source.place("ci"), target.place("prod"), digest, "v1")).copied_blobs == 2
    assert target.manifests["prod", "v1"] == source.manifests["ci", digest]


async def test_given_a_platform_that_has_expired_when_an_index_is_copied_then_it_is_to_be_pushed_again(
    source: Registry, target: Registry
) -> None:
    kept, expired = source.add_image("ci", b"amd64"), source.add_image("ci", b"arm64")
    index = source.add_index("ci", kept, expired)
    del source.manifests["ci", expired]
    with pytest.raises(NeedsPersonError, match="MANIFEST_UNKNOWN") as refused:
        await copy_image(source.place("ci"), target.place("prod"), index, "v1")
    assert "push the image again" in refused.value.report.remedy
    assert ("prod", "v1") not in target.manifests

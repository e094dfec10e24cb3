import base64
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from slipway_sandbox.testing import SandboxProcess, wait_until

from sandbox.testkit.contract import behaviour

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
POLICY = '{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}}'


class Registry:
    """One account's registry, over plain HTTP and over boto3."""

    def __init__(self, sandbox: SandboxProcess, account: str) -> None:
        self.sandbox = sandbox
        self.ecr = sandbox.client("ecr", account)
        self.account = account
        data = self.ecr.get_authorization_token()["authorizationData"][0]
        self.expires_at: datetime = data["expiresAt"]
        user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
        self.http = httpx.Client(base_url=f"{data['proxyEndpoint']}/v2/", auth=(user, password), trust_env=False)

    def push_blob(self, repository: str, content: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        pushed = self.http.post(f"{repository}/blobs/uploads/", params={"digest": digest}, content=content)
        assert pushed.status_code == 201, pushed.text
        return {"mediaType": "application/octet-stream", "digest": digest, "size": len(content)}

    def manifest(self, repository: str, content: bytes) -> bytes:
        """An image's manifest whose blobs are pushed."""
        config = self.push_blob(repository, b"{}")
        layer = self.push_blob(repository, content)
        return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}, indent=1).encode()

    def push(self, repository: str, content: bytes, tag: str) -> str:
        """Push an image; returns its digest."""
        body = self.manifest(repository, content)
        pushed = self.http.put(f"{repository}/manifests/{tag}", content=body, headers={"Content-Type": MANIFEST})
        assert pushed.status_code == 201, pushed.text
        return pushed.headers["Docker-Content-Digest"]


@pytest.fixture
def registry(sandbox: SandboxProcess, account: str) -> Registry:
    registry = Registry(sandbox, account)
    registry.ecr.create_repository(repositoryName="app")
    return registry


def refusal(act: Callable[[], Any]) -> tuple[str, str]:
    """Code and message of the error that a call ends with."""
    with pytest.raises(ClientError) as caught:
        act()
    error = caught.value.response["Error"]  # pyright: ignore[reportTypedDictNotRequiredAccess]
    return error["Code"], error["Message"]  # pyright: ignore[reportTypedDictNotRequiredAccess]


def test_given_a_pushed_image_when_it_is_described_then_time_size_and_tags_are_its_own(registry: Registry) -> None:
    digest = registry.push("app", b"layer", "v1")

    image = registry.ecr.describe_images(repositoryName="app")["imageDetails"][0]

    assert (image["imageDigest"], image["imageTags"]) == (digest, ["v1"])
    assert image["imageSizeInBytes"] == len(b"{}") + len(b"layer")
    assert abs(datetime.now(UTC) - image["imagePushedAt"]) < timedelta(minutes=1)
    assert image["imageManifestMediaType"] == MANIFEST


def test_given_an_image_when_it_is_retagged_by_its_exact_bytes_then_both_tags_name_one_digest(registry: Registry) -> None:
    digest = registry.push("app", b"layer", "v1")
    image = registry.ecr.batch_get_image(repositoryName="app", imageIds=[{"imageDigest": digest}])["images"][0]

    registry.ecr.put_image(repositoryName="app", imageManifest=image["imageManifest"], imageTag="v2", imageDigest=digest)

    ids = registry.ecr.list_images(repositoryName="app")["imageIds"]
    assert ids == [{"imageDigest": digest, "imageTag": "v1"}, {"imageDigest": digest, "imageTag": "v2"}]


def test_given_a_tag_when_its_own_image_is_put_again_then_it_exists_already(registry: Registry) -> None:
    digest = registry.push("app", b"layer", "v1")
    body = registry.http.get("app/manifests/v1").text

    code, message = refusal(lambda: registry.ecr.put_image(repositoryName="app", imageManifest=body, imageTag="v1"))

    assert code == "ImageAlreadyExistsException"
    assert message == (
        f"Image with digest '{digest}' and tag 'v1' already exists in the repository with name 'app' "
        f"in registry with id '{registry.account}'"
    )


@behaviour(
    "The registry, `/v2/`",
    "manifests",
    like="an immutable tag put again is 400 `TAG_INVALID`, a missing layer or child 404 `MANIFEST_BLOB_UNKNOWN`",
    differs="no catalog, which ECR has none of either",
)
def test_given_an_immutable_tag_when_another_image_takes_it_then_both_faces_refuse(registry: Registry) -> None:
    registry.ecr.put_image_tag_mutability(repositoryName="app", imageTagMutability="IMMUTABLE")
    registry.push("app", b"one", "v1")
    body = registry.manifest("app", b"two")

    code, _ = refusal(lambda: registry.ecr.put_image(repositoryName="app", imageManifest=body.decode(), imageTag="v1"))
    pushed = registry.http.put("app/manifests/v1", content=body, headers={"Content-Type": MANIFEST})

    assert code == "ImageTagAlreadyExistsException"
    assert pushed.status_code == 400
    assert pushed.json()["errors"][0]["code"] == "TAG_INVALID"


@pytest.mark.parametrize(
    ("mutability", "tag", "status"),
    [
        ("MUTABLE", "v1", 201),
        ("IMMUTABLE", "v1", 400),
        ("IMMUTABLE_WITH_EXCLUSION", "v1", 400),
        ("IMMUTABLE_WITH_EXCLUSION", "dev-1", 201),
        ("MUTABLE_WITH_EXCLUSION", "v1", 201),
        ("MUTABLE_WITH_EXCLUSION", "dev-1", 400),
    ],
)
def test_given_a_tag_that_is_there_when_the_same_image_is_put_again_then_only_a_frozen_one_is_refused(
    registry: Registry, mutability: str, tag: str, status: int
) -> None:
    filters = [{"filterType": "WILDCARD", "filter": "dev-*"}] if mutability.endswith("EXCLUSION") else []
    more: dict[str, Any] = {"imageTagMutabilityExclusionFilters": filters} if filters else {}
    registry.ecr.put_image_tag_mutability(repositoryName="app", imageTagMutability=mutability, **more)
    body = registry.manifest("app", b"one")

    answers = [registry.http.put(f"app/manifests/{tag}", content=body, headers={"Content-Type": MANIFEST}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, status]


def test_given_a_digest_that_is_not_the_manifests_when_it_is_put_then_it_does_not_match(registry: Registry) -> None:
    body = registry.manifest("app", b"layer").decode()

    code, _ = refusal(
        lambda: registry.ecr.put_image(repositoryName="app", imageManifest=body, imageTag="v1", imageDigest=f"sha256:{'0' * 64}")
    )

    assert code == "ImageDigestDoesNotMatchException"


def test_given_layers_in_another_repository_when_the_manifest_is_put_then_they_are_missing(registry: Registry) -> None:
    registry.ecr.create_repository(repositoryName="other")
    body = registry.manifest("app", b"layer").decode()

    code, message = refusal(lambda: registry.ecr.put_image(repositoryName="other", imageManifest=body, imageTag="v1"))

    assert code == "LayersNotFoundException"
    assert "sha256:" in message


def test_given_an_index_when_its_child_is_missing_then_it_is_refused(registry: Registry) -> None:
    child = {"mediaType": MANIFEST, "digest": f"sha256:{'1' * 64}", "size": 7}
    body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]})

    code, _ = refusal(lambda: registry.ecr.put_image(repositoryName="app", imageManifest=body, imageTag="v1"))

    assert code == "ReferencedImagesNotFoundException"


def test_given_an_index_when_its_child_is_deleted_then_the_index_keeps_it(registry: Registry) -> None:
    digest = registry.push("app", b"layer", "child")
    child = {"mediaType": MANIFEST, "digest": digest, "size": 7}
    body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]})
    registry.ecr.put_image(repositoryName="app", imageManifest=body, imageTag="all")

    answer = registry.ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": digest}])

    assert answer["failures"][0]["failureCode"] == "ImageReferencedByManifestList"


def test_given_unknown_images_when_they_are_asked_for_then_each_failure_has_its_code(registry: Registry) -> None:
    registry.push("app", b"layer", "v1")
    wrong = f"sha256:{'2' * 64}"

    failures = registry.ecr.batch_get_image(
        repositoryName="app", imageIds=[{"imageTag": "v2"}, {}, {"imageTag": "v1", "imageDigest": wrong}]
    )["failures"]

    assert [failure["failureCode"] for failure in failures] == ["ImageNotFound", "MissingDigestAndTag", "ImageNotFound"]


def test_given_an_image_of_one_type_when_only_others_are_accepted_then_it_is_not_found(registry: Registry) -> None:
    registry.push("app", b"layer", "v1")

    answer = registry.ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}], acceptedMediaTypes=[INDEX])

    assert answer["failures"][0]["failureCode"] == "ImageNotFound"


def test_given_two_tags_when_one_is_deleted_then_the_image_stays_until_the_last(registry: Registry) -> None:
    digest = registry.push("app", b"layer", "v1")
    registry.push("app", b"layer", "v2")

    registry.ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])
    left = registry.ecr.list_images(repositoryName="app")["imageIds"]
    registry.ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "v2"}])

    assert left == [{"imageDigest": digest, "imageTag": "v2"}]
    assert registry.ecr.list_images(repositoryName="app")["imageIds"] == []


def test_given_many_tags_when_they_are_listed_in_pages_then_all_come_once(registry: Registry) -> None:
    tags = {f"v{number}" for number in range(5)}
    for tag in tags:
        registry.push("app", b"layer", tag)

    pages = registry.ecr.get_paginator("list_images").paginate(repositoryName="app", PaginationConfig={"PageSize": 2})

    assert sorted(image["imageTag"] for page in pages for image in page["imageIds"]) == sorted(tags)


def test_given_a_repository_with_images_when_it_is_deleted_then_only_force_does_it(registry: Registry) -> None:
    registry.push("app", b"layer", "v1")

    code, _ = refusal(lambda: registry.ecr.delete_repository(repositoryName="app"))
    registry.ecr.delete_repository(repositoryName="app", force=True)

    assert code == "RepositoryNotEmptyException"
    assert refusal(lambda: registry.ecr.describe_images(repositoryName="app"))[0] == "RepositoryNotFoundException"


def test_given_a_repository_when_it_is_created_again_then_it_exists_already(registry: Registry) -> None:
    code, message = refusal(lambda: registry.ecr.create_repository(repositoryName="app"))

    assert code == "RepositoryAlreadyExistsException"
    assert message == f"The repository with name 'app' already exists in the registry with id '{registry.account}'"


def test_given_a_token_when_it_is_issued_then_it_lasts_twelve_hours(registry: Registry) -> None:
    assert timedelta(hours=11, minutes=59) < registry.expires_at - datetime.now(UTC) <= timedelta(hours=12)


def test_given_no_policy_when_it_is_asked_for_then_ecr_says_so(registry: Registry) -> None:
    assert refusal(lambda: registry.ecr.get_repository_policy(repositoryName="app"))[0] == "RepositoryPolicyNotFoundException"

    registry.ecr.set_repository_policy(repositoryName="app", policyText=POLICY)

    assert registry.ecr.get_repository_policy(repositoryName="app")["policyText"] == POLICY


def test_given_seeded_findings_when_a_push_is_scanned_then_it_takes_a_while_and_finds_them(registry: Registry) -> None:
    registry.ecr.put_image_scanning_configuration(repositoryName="app", imageScanningConfiguration={"scanOnPush": True})
    findings = [{"name": "CVE-2026-1", "severity": "CRITICAL"}, {"name": "CVE-2026-2", "severity": "LOW"}]
    seed = {"account": registry.account, "repository": "app", "findings": findings}
    registry.sandbox.control("POST", "ecr/scan-findings", seed)
    digest = registry.push("app", b"layer", "v1")

    def describe() -> dict[str, Any]:
        return registry.ecr.describe_image_scan_findings(repositoryName="app", imageId={"imageDigest": digest})

    assert describe()["imageScanStatus"]["status"] == "IN_PROGRESS"
    wait_until(lambda: describe()["imageScanStatus"]["status"] == "COMPLETE", "the scan")
    assert describe()["imageScanFindings"]["findingSeverityCounts"] == {"CRITICAL": 1, "LOW": 1}
    image = registry.ecr.describe_images(repositoryName="app")["imageDetails"][0]
    assert image["imageScanFindingsSummary"]["findingSeverityCounts"] == {"CRITICAL": 1, "LOW": 1}


def test_given_an_unscanned_image_when_it_is_scanned_twice_then_the_quota_refuses_the_second(registry: Registry) -> None:
    digest = registry.push("app", b"layer", "v1")
    image = {"imageDigest": digest}

    before, _ = refusal(lambda: registry.ecr.describe_image_scan_findings(repositoryName="app", imageId=image))
    started = registry.ecr.start_image_scan(repositoryName="app", imageId=image)
    again, _ = refusal(lambda: registry.ecr.start_image_scan(repositoryName="app", imageId=image))

    assert before == "ScanNotFoundException"
    assert started["imageScanStatus"]["status"] == "IN_PROGRESS"
    assert again == "LimitExceededException"


def test_given_a_name_that_ecr_forbids_when_it_is_created_then_the_error_is_in_ecrs_words(registry: Registry) -> None:
    code, message = refusal(lambda: registry.ecr.create_repository(repositoryName="Bad_Name"))

    assert code == "InvalidParameterException"
    assert message.startswith(
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression"
    )


def test_given_a_manifest_that_is_none_when_it_is_put_then_it_is_refused(registry: Registry) -> None:
    for body in ("no json", "[]", '{"schemaVersion": 2, "layers": [7]}'):
        code, _ = refusal(lambda body=body: registry.ecr.put_image(repositoryName="app", imageManifest=body, imageTag="v1"))
        assert code == "InvalidParameterException"


@behaviour(
    "The registry, `/v2/`",
    "uploads",
    like="in one request, in chunks, or streamed; 416 for a gap",
    differs="chunks of any size; ECR is reported to mishandle several PATCH requests",
)
def test_given_half_an_upload_when_the_next_chunk_leaves_a_gap_then_it_is_refused_and_goes_on_where_it_was(
    registry: Registry,
) -> None:
    content = b"0123456789"
    place = registry.sandbox.endpoint + registry.http.post("app/blobs/uploads/").headers["Location"]
    registry.http.patch(place, content=content[:4], headers={"Content-Range": "0-3"})

    gap = registry.http.patch(place, content=content[6:], headers={"Content-Range": "6-9"})
    shown = registry.http.get(place)
    registry.http.patch(place, content=iter([content[4:7], content[7:]]))
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    done = registry.http.put(place, params={"digest": digest})

    assert (gap.status_code, shown.headers["Range"], done.status_code) == (416, "0-3", 201)
    assert registry.http.get(f"app/blobs/{digest}").content == content


@behaviour(
    "The registry, `/v2/`",
    "blobs",
    like="HEAD, GET, ranges, DELETE; `BLOB_UNKNOWN` where the repository does not hold it",
    differs="answered directly, where ECR redirects to S3",
)
def test_given_a_blob_when_a_range_is_asked_for_then_just_that_comes(registry: Registry) -> None:
    digest = registry.push_blob("app", b"0123456789")["digest"]

    part = registry.http.get(f"app/blobs/{digest}", headers={"Range": "bytes=2-4"})
    beyond = registry.http.get(f"app/blobs/{digest}", headers={"Range": "bytes=20-"})

    assert (part.status_code, part.content, part.headers["Content-Range"]) == (206, b"234", "bytes 2-4/10")
    assert beyond.status_code == 416


@pytest.mark.parametrize(("setting", "status"), [("DISABLED", 202), ("ENABLED", 201)])
@behaviour(
    "The registry, `/v2/`",
    "mounts",
    like="from another repository of the account where `BLOB_MOUNTING` is `ENABLED`; else 202, and the layer is uploaded",
)
def test_given_a_blob_elsewhere_when_it_is_mounted_then_the_accounts_setting_decides(
    registry: Registry, setting: str, status: int
) -> None:
    registry.ecr.put_account_setting(name="BLOB_MOUNTING", value=setting)
    registry.ecr.create_repository(repositoryName="copy")
    registry.push("app", b"layer", "v1")
    digest = registry.http.get("app/manifests/v1").json()["layers"][0]["digest"]

    mounted = registry.http.post("copy/blobs/uploads/", params={"mount": digest, "from": "app"})

    assert mounted.status_code == status
    assert (registry.http.head(f"copy/blobs/{digest}").status_code == 200) is (setting == "ENABLED")


def test_given_a_corrupt_blob_when_its_digest_is_checked_then_nothing_is_stored(registry: Registry) -> None:
    digest = f"sha256:{hashlib.sha256(b'right').hexdigest()}"

    pushed = registry.http.post("app/blobs/uploads/", params={"digest": digest}, content=b"wrong")

    assert (pushed.status_code, pushed.json()["errors"][0]["code"]) == (400, "DIGEST_INVALID")
    assert registry.http.head(f"app/blobs/{digest}").status_code == 404


@behaviour(
    "The registry, `/v2/`",
    "throttling",
    like="429 `TOOMANYREQUESTS`",
    differs="only where a fault is planted",
)
def test_given_a_throttled_registry_when_it_is_asked_then_it_answers_429_and_the_log_knows(registry: Registry) -> None:
    registry.sandbox.plant_fault("registry", "HeadBlob", "throttle", account=registry.account)

    answer = registry.http.head(f"app/blobs/sha256:{'3' * 64}")

    assert answer.status_code == 429
    call = registry.sandbox.calls("registry", "HeadBlob", registry.account)[0]
    assert call["request"] == {"name": "app", "reference": f"sha256:{'3' * 64}"}


def test_given_a_repository_that_is_not_there_when_it_is_pushed_to_then_the_name_is_unknown(registry: Registry) -> None:
    answer = registry.http.post("nowhere/blobs/uploads/")

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "NAME_UNKNOWN")

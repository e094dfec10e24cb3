"""Images on a registry that is not ECR, behind a token server."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess, TestImage, build_image, fresh_account, layer_of, member, push_image

from activities.images.activities import ImageActivities
from activities.images.messages import CopyImage, ResolveImage
from slipway.aws.clients import Aws
from slipway.aws.polling import Polling
from slipway.errors import NeedsPersonError, RefusedError
from tests.support.oci_registry import OtherRegistry, run_registry
from tests.support.signed_images import origins_of

pytestmark = pytest.mark.timeout(540)
"""The registry's program is built first on a machine that has none."""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Generator[OtherRegistry]:
    with run_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def images(aws: Aws) -> ImageActivities:
    return ImageActivities(aws, origins_of(aws), Polling(0.05))


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the worker's Docker config, which names nobody yet."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


@pytest.fixture
def login(docker: Path, registry: OtherRegistry) -> None:
    """The worker's login."""
    (docker / "config.json").write_text(json.dumps(registry.login()))


@pytest.fixture
def image() -> TestImage:
    return build_image([layer_of(member("app", fresh_account().encode()))], command=["app"])


@pytest.mark.usefixtures("login")
async def test_given_a_source_that_is_not_ecr_when_an_image_is_copied_to_ecr_then_it_and_its_signature_are_there(
    images: ImageActivities, run: Any, registry: OtherRegistry, sandbox: SandboxProcess, account: str, image: TestImage
) -> None:
    source = await registry.push(f"team-{account}/app", "v1", image)
    signature = build_image([layer_of(member("signature", account.encode()))])
    await registry.push(f"team-{account}/app", f"{image.digest.replace(':', '-')}.sig", signature)
    sandbox.client("ecr", account).create_repository(repositoryName="run", imageTagMutability="IMMUTABLE")
    request = CopyImage(source=source, target_repository=f"{account}.dkr.ecr.us-east-1.amazonaws.com/run", tag="p-1")
    found = await run(images.resolve_image, ResolveImage(image=source))
    copied = await run(images.copy_image, request)
    assert (found.image, copied.copied_blobs, copied.referrers) == (source, 4, 1)
    details = sandbox.client("ecr", account).describe_images(repositoryName="run")["imageDetails"]
    assert {detail["imageDigest"] for detail in details} == {image.digest, signature.digest}


@pytest.mark.usefixtures("login")
async def test_given_a_target_that_is_not_ecr_when_a_signed_image_is_copied_twice_then_it_is_there_with_its_list(
    images: ImageActivities, run: Any, registry: OtherRegistry, sandbox: SandboxProcess, account: str, image: TestImage
) -> None:
    source = push_image(sandbox, account, "ci", "v1", image).rpartition(":")[0] + f"@{image.digest}"
    subject = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": image.digest, "size": len(image.manifest)}
    manifest = json.dumps({**json.loads(image.manifest), "subject": subject}).encode()
    push_image(sandbox, account, "ci", "sbom", TestImage(manifest, image.blobs))
    request = CopyImage(source=source, target_repository=f"{registry.host}/team-{account}/run", tag="p-1")
    copied = await run(images.copy_image, request)
    again = await run.again(images.copy_image, request)
    assert (copied.copied_blobs, copied.referrers, again.copied_blobs, again.referrers) == (2, 1, 0, 1)
    async with registry.open() as client:
        assert await client.manifest_digest(f"team-{account}/run", "p-1") == image.digest
        listed = await client.get_manifest(f"team-{account}/run", image.digest.replace(":", "-"))
    assert len(listed.document["manifests"]) == 1


@pytest.mark.usefixtures("login")
async def test_given_two_repositories_of_a_registry_when_an_image_is_copied_then_its_blobs_are_mounted(
    images: ImageActivities, run: Any, registry: OtherRegistry, account: str, image: TestImage
) -> None:
    source = await registry.push(f"team-{account}/app", "v1", image)
    request = CopyImage(source=source, target_repository=f"{registry.host}/team-{account}/run", tag="p-1")
    copied = await run(images.copy_image, request)
    assert (copied.copied_blobs, copied.skipped_blobs, copied.copied_bytes) == (0, 2, 0)


@pytest.mark.usefixtures("docker")
async def test_given_no_login_when_an_image_is_looked_for_then_a_person_is_told_to_log_in(
    images: ImageActivities, run: Any, registry: OtherRegistry, image: TestImage
) -> None:
    with pytest.raises(NeedsPersonError, match=rf"HTTP 401 .*docker login {registry.host}"):
        await run(images.resolve_image, ResolveImage(image=f"{registry.host}/team/app@{image.digest}"))


@pytest.mark.usefixtures("login")
async def test_given_no_such_image_when_it_is_looked_for_then_it_is_refused(
    images: ImageActivities, run: Any, registry: OtherRegistry, image: TestImage
) -> None:
    with pytest.raises(RefusedError, match="has none"):
        await run(images.resolve_image, ResolveImage(image=f"{registry.host}/team/none@{image.digest}"))

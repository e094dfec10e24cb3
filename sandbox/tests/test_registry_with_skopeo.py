import base64
import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess

from sandbox.testkit.contract import behaviour

pytestmark = pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed (Debian: apt-get install skopeo)")


def skopeo(*arguments: str) -> str:
    done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def put_blob(folder: Path, content: bytes, media_type: str) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    (folder / digest).write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """An OCI image layout with one image of one layer."""
    folder = tmp_path / "layout"
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("hello.txt")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"hello"))
    layer = put_blob(blobs, gzip.compress(packed.getvalue(), mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip")
    configuration = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["true"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(packed.getvalue()).hexdigest()}"]},
    }
    config = put_blob(blobs, json.dumps(configuration).encode(), "application/vnd.oci.image.config.v1+json")
    media_type = "application/vnd.oci.image.manifest.v1+json"
    body = {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [layer]}
    manifest = put_blob(blobs, json.dumps(body, indent=3).encode(), media_type)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    return folder


def credentials(sandbox: SandboxProcess, account: str) -> str:
    data = sandbox.client("ecr", account).get_authorization_token()["authorizationData"][0]
    return base64.b64decode(data["authorizationToken"]).decode()


@behaviour(
    "The registry, `/v2/`",
    "pushes and pulls",
    like="exact bytes: the digest that the client computed is the one that ECR shows",
    differs="one address for all accounts: the password, not the host, says which registry is meant; manifests are returned "
    "as stored, whatever `Accept` says",
)
def test_given_an_image_when_skopeo_pushes_it_then_ecr_shows_it_by_the_same_digest(
    sandbox: SandboxProcess, account: str, layout: Path
) -> None:
    ecr = sandbox.client("ecr", account)
    ecr.create_repository(repositoryName="team/app")
    address = sandbox.endpoint.removeprefix("http://")

    skopeo(
        "copy", "--dest-tls-verify=false", "--dest-creds", credentials(sandbox, account), f"oci:{layout}",
        f"docker://{address}/team/app:v1",
    )  # fmt: skip

    pushed = json.loads((layout / "index.json").read_text())["manifests"][0]
    shown = ecr.describe_images(repositoryName="team/app")["imageDetails"][0]
    body = ecr.batch_get_image(repositoryName="team/app", imageIds=[{"imageTag": "v1"}])["images"][0]["imageManifest"]
    assert shown["imageTags"] == ["v1"]
    assert shown["imageDigest"] == pushed["digest"] == f"sha256:{hashlib.sha256(body.encode()).hexdigest()}"


def test_given_an_image_in_one_account_when_skopeo_copies_it_to_another_then_the_bytes_are_the_same(
    sandbox: SandboxProcess, account: str, layout: Path, tmp_path: Path
) -> None:
    other = account[::-1] if account[::-1] != account else "100000000000"
    for owner in (account, other):
        sandbox.client("ecr", owner).create_repository(repositoryName="app")
    image = f"docker://{sandbox.endpoint.removeprefix('http://')}/app:v1"
    skopeo(
        "copy",
        "--preserve-digests",
        "--dest-tls-verify=false",
        "--dest-creds",
        credentials(sandbox, account),
        f"oci:{layout}",
        image,
    )

    skopeo(
        "copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--src-creds", credentials(sandbox, account),
        "--dest-creds", credentials(sandbox, other), image, image,
    )  # fmt: skip
    skopeo(
        "copy",
        "--preserve-digests",
        "--src-tls-verify=false",
        "--src-creds",
        credentials(sandbox, other),
        image,
        f"dir:{tmp_path}/pulled",
    )

    pushed = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"].removeprefix("sha256:")
    assert hashlib.sha256((tmp_path / "pulled" / "manifest.json").read_bytes()).hexdigest() == pushed


@behaviour(
    "The registry, `/v2/`",
    "login",
    like="basic auth with the password of GetAuthorizationToken; 401 without, 400 for one that is garbled",
    differs="403 `DENIED` for one that has expired, whose status is not verified on AWS, as the body of the 400 is not",
)
def test_given_a_pushed_image_when_skopeo_asks_without_a_password_then_it_is_refused(
    sandbox: SandboxProcess, account: str
) -> None:
    image = f"docker://{sandbox.endpoint.removeprefix('http://')}/app:v1"

    done = subprocess.run(
        ["skopeo", "inspect", "--no-creds", "--tls-verify=false", image], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode != 0
    assert "unauthorized" in done.stderr.lower()

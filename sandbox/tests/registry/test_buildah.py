"""buildah as a client of the registry: another one than skopeo, and one that keeps what it pulls."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from slipway_sandbox.testing import SandboxProcess

from sandbox.testkit.contract import behaviour

pytestmark = pytest.mark.skipif(
    shutil.which("buildah") is None, reason="buildah is not installed (Debian: apt-get install buildah)"
)
Buildah = Callable[..., str]


@pytest.fixture
def buildah(tmp_path: Path) -> Buildah:
    """Runs buildah on a store of its own; answers what it says."""
    store = ["--storage-driver", "vfs", "--root", str(tmp_path / "store"), "--runroot", str(tmp_path / "run")]

    def run(*arguments: str) -> str:
        done = subprocess.run(["buildah", *store, *arguments], capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    try:
        run("images")
    except AssertionError as error:
        pytest.skip(f"buildah has no store here: {str(error)[-200:]}")
    return run


@pytest.mark.timeout(180)
@behaviour("The registry, `/v2/`", "buildah", like="pushes and pulls, with the password that GetAuthorizationToken gives")
def test_given_an_image_when_buildah_pushes_it_then_ecr_has_it_and_buildah_pulls_the_same(
    sandbox: SandboxProcess, account: str, buildah: Buildah, tmp_path: Path
) -> None:
    ecr = sandbox.client("ecr", account)
    ecr.create_repository(repositoryName="built")
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    access = ["--tls-verify=false", "--creds", base64.b64decode(token).decode()]
    image = f"{sandbox.endpoint.removeprefix('http://')}/built:v1"
    (tmp_path / "hello.txt").write_text("hello")

    container = buildah("from", "scratch")
    buildah("copy", container, str(tmp_path / "hello.txt"), "/hello.txt")
    buildah("commit", "--format", "oci", container, "built")
    buildah("push", *access, "--digestfile", str(tmp_path / "digest"), "built", f"docker://{image}")
    buildah("rm", "--all")
    buildah("rmi", "--all", "--force")
    buildah("pull", *access, f"docker://{image}")

    pushed = (tmp_path / "digest").read_text()
    shown = ecr.describe_images(repositoryName="built")["imageDetails"][0]
    assert (shown["imageDigest"], shown["imageTags"]) == (pushed, ["v1"])
    assert json.loads(buildah("inspect", "--type", "image", image))["FromImageDigest"] == pushed

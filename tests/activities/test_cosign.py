"""Signatures and attestations that cosign itself makes, verified by the worker."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess, TestImage, build_image, fresh_account, layer_of, member

from activities.images.origins import ImageOrigins
from activities.origin import Origin
from activities.repositories import Repositories
from sandbox.testkit.go_programs import go_program
from slipway.api import PromotionRequest
from slipway.app.spec import Image
from slipway.aws.clients import Aws
from slipway.errors import RefusedError
from slipway.policy.model import policy_of_branches
from slipway.policy.source import fixed
from tests.support.own_sigstore import OwnSigstore
from tests.support.signed_images import BUNDLE, Layer, Shelf, origins_of, statement_of

pytestmark = pytest.mark.timeout(540)
"""The program is built first on a machine that has none."""
PACKAGE = "github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3"
COMMIT = "c" * 40
OLDER, NEWER = "--new-bundle-format=false", "--new-bundle-format=true"


class Cosign:
    """cosign, with a key and a login of its own.

    Args:
        folder: For these.
        sandbox: The local AWS.
        account: Whose registry it is.
    """

    def __init__(self, folder: Path, sandbox: SandboxProcess, account: str) -> None:
        self._program = go_program("cosign", PACKAGE, "cosign", "SLIPWAY_BUILD_COSIGN")
        self._folder = folder
        self.host = sandbox.endpoint.partition("//")[2]
        token = sandbox.client("ecr", account).get_authorization_token()["authorizationData"][0]["authorizationToken"]
        (folder / "config.json").write_text(json.dumps({"auths": {self.host: {"auth": token}}}))
        self.run("generate-key-pair")
        self.key = (folder / "cosign.pub").read_text()

    def run(self, *arguments: str) -> None:
        """Runs a command of cosign in the folder, which must succeed."""
        assert self.says(*arguments) == ""

    def says(self, *arguments: str) -> str:
        """Why a command of cosign failed; nothing where it did not."""
        environment = {**os.environ, "HOME": str(self._folder), "DOCKER_CONFIG": str(self._folder), "COSIGN_PASSWORD": ""}
        done = subprocess.run(
            [self._program, *arguments], cwd=self._folder, env=environment, capture_output=True, text=True, check=False
        )
        return done.stderr if done.returncode else ""

    def sign(self, image: TestImage, form: str) -> None:
        """Signs an image."""
        self._with_key("sign", image, form)

    def attest(self, image: TestImage, predicate: dict[str, Any], form: str) -> None:
        """Attests how an image was built."""
        file = self._folder / "predicate.json"
        file.write_text(json.dumps(predicate))
        self._with_key("attest", image, form, "--type", "slsaprovenance1", "--predicate", str(file))

    def _with_key(self, verb: str, image: TestImage, form: str, *more: str) -> None:
        alone = ("--key", "cosign.key", "--yes", "--tlog-upload=false", "--use-signing-config=false")
        self.run(verb, *alone, form, *more, f"{self.host}/screening-ci@{image.digest}")


@pytest.fixture
def cosign(tmp_path: Path, sandbox: SandboxProcess, account: str) -> Cosign:
    return Cosign(tmp_path, sandbox, account)


@pytest.fixture
def image(sandbox: SandboxProcess, account: str) -> TestImage:
    image = build_image([layer_of(member("app", fresh_account().encode()))], command=["app"])
    Shelf(sandbox, account, "screening-ci").push(image)
    return image


@pytest.fixture
def asked(account: str, image: TestImage) -> Origin:
    repository = f"{account}.dkr.ecr.us-east-1.amazonaws.com/screening-ci"
    app = {"repository": "https://git.example.com/acme/apps.git", "folder": "screening"}
    request = PromotionRequest.model_validate({"app": app, "image": f"{repository}@{image.digest}", "commit": COMMIT})
    return Origin(request=request, commit="1" * 40)


@pytest.fixture
def origins(aws: Aws, asked: Origin) -> ImageOrigins:
    return origins_of(aws, Repositories(fixed(policy_of_branches([asked.app.repository])), Path("unused")))


def spec_of(asked: Origin, key: str) -> Image:
    repository = asked.request.image.partition("@")[0]
    return Image.model_validate({"source": repository, "target": repository, "signedBy": [{"key": key}]})


@pytest.mark.parametrize("form", [OLDER, NEWER])
async def test_given_cosigns_signature_and_attestation_when_the_image_is_looked_at_then_both_are_known(
    cosign: Cosign, origins: ImageOrigins, asked: Origin, image: TestImage, form: str
) -> None:
    source = {"uri": "git+https://github.com/acme/pipeline", "digest": {"gitCommit": COMMIT}}
    cosign.sign(image, form)
    cosign.attest(image, {"buildDefinition": {"resolvedDependencies": [source]}, "runDetails": {"builder": {"id": "ci"}}}, form)
    found = (await origins.find(asked, spec_of(asked, cosign.key))).origin
    assert len(found.signers) == 1
    [provenance] = found.provenance
    assert (provenance.signer, provenance.commit) == (found.signers[0], COMMIT)


@pytest.mark.parametrize("form", [OLDER, NEWER])
async def test_given_cosigns_attestation_alone_when_the_image_is_looked_at_then_it_is_no_signature(
    cosign: Cosign, origins: ImageOrigins, asked: Origin, image: TestImage, form: str
) -> None:
    cosign.attest(image, {"buildDefinition": {}}, form)
    with pytest.raises(RefusedError, match="no signature"):
        await origins.find(asked, spec_of(asked, cosign.key))


def test_given_the_tests_own_sigstore_when_cosign_verifies_its_signature_then_it_says_the_same_as_the_worker(
    cosign: Cosign, sandbox: SandboxProcess, account: str, image: TestImage, tmp_path: Path
) -> None:
    own, subject = OwnSigstore(tmp_path), "https://github.com/acme/pipeline/.github/workflows/build.yml@refs/heads/main"
    signature = Layer(own.bundle(statement_of(image.digest), subject), BUNDLE)
    Shelf(sandbox, account, "screening-ci").refer(image, signature)
    name = f"{cosign.host}/screening-ci@{image.digest}"
    asked = ("verify", "--trusted-root", str(own.file), "--certificate-oidc-issuer", "https://issuer.test")
    assert cosign.says(*asked, "--certificate-identity", subject, name) == ""
    assert "no matching CertificateIdentity" in cosign.says(*asked, "--certificate-identity", f"{subject}2", name)

"""Who has signed an image, as the worker finds it in a real registry, and what follows where nobody has who must have."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess, TestImage, build_image, build_index, fresh_account, layer_of, member
from temporalio.testing import ActivityEnvironment

from activities.approvals import Approvals
from activities.approvers import Approvers
from activities.checks import Checks
from activities.evidence import EvidenceActivities
from activities.guard import Guard
from activities.images.activities import ImageActivities
from activities.images.messages import CopyImage, ResolvedImage, ResolveImage
from activities.origin import Origin
from activities.repositories import Repositories
from slipway.api import BuildProvenance, ImageOrigin, ImageSigner, PromotionRequest
from slipway.app.spec import Image
from slipway.aws.clients import Aws
from slipway.aws.polling import Polling
from slipway.cosign.keys import load_key
from slipway.errors import NeedsPersonError, RefusedError
from slipway.policy.model import AppEntry, WorkerPolicy, policy_of_branches
from slipway.policy.source import Signers
from tests.support.effects import register_task_definition, write_image
from tests.support.own_sigstore import OwnSigstore
from tests.support.signed_images import (
    BUNDLE,
    IN_TOTO,
    SLSA_0_2,
    SLSA_1,
    Key,
    Layer,
    Shelf,
    artifact,
    bundle_of,
    envelope_layer,
    origins_of,
    payload_of,
    signature_layer,
    statement_of,
)

COMMIT, OTHER_COMMIT = "c" * 40, "d" * 40
WORKFLOW = "https://github.com/acme/pipeline/.github/workflows/build.yml@refs/heads/main"
SOURCE = "https://github.com/acme/pipeline"


class Release:
    """An app whose spec may ask for signatures, an image that CI has pushed, and the worker that is to promote it."""

    def __init__(self, sandbox: SandboxProcess, account: str, deployment: Any, aws: Aws, folder: Any) -> None:
        self.sandbox, self.account, self.deployment = sandbox, account, deployment
        self.key = Key()
        [anything] = policy_of_branches([deployment.app.repository]).apps
        self.policy = WorkerPolicy(api_version="slipway.dev/v1", kind="WorkerPolicy", apps=(anything,))
        self.shelf = Shelf(sandbox, account, "screening-ci")
        self.image = build_image([layer_of(member("app", fresh_account().encode()))], command=["app"])
        self.commit = COMMIT
        self.repositories = repositories = Repositories(self._policies, folder / "cache")
        self.origins = origins = origins_of(aws, repositories)
        evidence = EvidenceActivities(aws, repositories, origins)
        approvals = Approvals(Approvers(repositories, Signers(folder / "cache")), evidence.gather_evidence)
        self.guard = Guard(repositories)
        self.checks = Checks(self.guard, approvals, origins, aws)
        self.images = ImageActivities(aws, origins, Polling(0.05))

    async def _policies(self) -> WorkerPolicy:
        return self.policy

    def given_signers(self, *keys: Key) -> None:
        """The spec asks for one of these."""
        signers = json.dumps([{"key": key.pem} for key in keys])
        text = self.deployment.file("promotion.yaml")
        self.deployment.push({"promotion.yaml": text.replace("  git:", f"    signedBy: {signers}\n  git:") + "\n"})

    def given_policy(self, key: Key) -> None:
        """The worker's owner asks for this one."""
        [entry] = self.policy.apps
        entry = AppEntry.model_validate({**dict(entry), "signed_by": ({"key": key.pem},)})
        self.policy = self.policy.model_copy(update={"apps": (entry,)})

    def given_image(self, image: TestImage | None = None) -> None:
        """CI has pushed an image."""
        self.image = image or self.image
        self.shelf.push(self.image)

    def given_signature(self, key: Key | None = None) -> None:
        """CI has signed it."""
        self.shelf.tag(self.image.digest, "sig", signature_layer(key or self.key, payload_of(self.image.digest)))

    @property
    def origin(self) -> Origin:
        """The promotion."""
        head = self.deployment.push({"note.txt": fresh_account()})
        image = f"{self.shelf.name}@{self.image.digest}"
        return Origin(request=PromotionRequest(app=self.deployment.app, image=image, commit=self.commit), commit=head)

    async def spec(self, origin: Origin) -> Image:
        return (await self.guard.permit(origin)).spec.spec.image

    async def resolve(self) -> ResolvedImage:
        """The promotion's first look at the image."""
        origin = self.origin
        request = ResolveImage(image=origin.request.image, origin=origin)
        return await ActivityEnvironment().run(self.images.resolve_image, request)

    async def check_copy(self) -> None:
        """What the worker makes sure of before it copies."""
        origin = self.origin
        target = (await self.spec(origin)).target
        await self.check("copy_image", CopyImage(source=origin.request.image, target_repository=target, tag="p", origin=origin))

    async def check(self, name: str, request: Any) -> None:
        """What the worker makes sure of before an activity."""
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(environment.info, activity_type=name)
        await environment.run(self.checks.check, name, request)


@pytest.fixture
def release(sandbox: SandboxProcess, account: str, deployment: Any, aws: Aws, tmp_path: Any) -> Release:
    return Release(sandbox, account, deployment, aws, tmp_path)


async def test_given_a_signature_by_tag_when_the_image_is_resolved_then_its_signer_is_told(release: Release) -> None:
    release.given_signers(Key(), release.key)
    release.given_image()
    release.given_signature()
    found = (await release.resolve()).found
    assert found
    assert [signer.key for signer in found.signers] == [load_key(release.key.pem).fingerprint]


async def test_given_a_signature_as_referrer_when_the_image_is_resolved_then_its_signer_is_told(release: Release) -> None:
    release.given_signers(release.key)
    release.given_image()
    release.shelf.refer(release.image, Layer(bundle_of(release.key, statement_of(release.image.digest)), BUNDLE))
    found = (await release.resolve()).found
    assert found
    assert found.lines == (f"signed by key {load_key(release.key.pem).fingerprint}",)


async def test_given_no_signature_when_the_image_is_resolved_then_it_is_refused_with_what_to_do(release: Release) -> None:
    release.given_signers(release.key)
    release.given_image()
    with pytest.raises(RefusedError, match=r"it has no signature.*signedBy asks for one by key SHA256:.*cosign sign"):
        await release.resolve()


async def test_given_a_signature_by_a_stranger_when_the_image_is_resolved_then_it_is_refused_with_the_reason(
    release: Release,
) -> None:
    release.given_signers(release.key)
    release.given_image()
    release.given_signature(Key())
    with pytest.raises(RefusedError, match="by none of the keys and identities"):
        await release.resolve()


async def test_given_another_images_signature_when_it_is_attached_then_the_image_is_refused(release: Release) -> None:
    release.given_signers(release.key)
    release.given_image()
    release.shelf.tag(release.image.digest, "sig", signature_layer(release.key, payload_of(f"sha256:{'0' * 64}")))
    with pytest.raises(RefusedError, match="about another image"):
        await release.resolve()


async def test_given_a_signature_of_one_platform_when_the_index_is_promoted_then_it_is_refused(release: Release) -> None:
    release.given_signers(release.key)
    child = release.image
    release.given_image()
    release.given_signature()
    release.given_image(build_index({"amd64": child}))
    with pytest.raises(RefusedError, match="no signature"):
        await release.resolve()


async def test_given_a_policy_that_asks_for_a_signature_when_the_spec_does_not_then_the_image_is_refused(
    release: Release,
) -> None:
    release.given_policy(Key())
    release.given_image()
    release.given_signature()
    with pytest.raises(RefusedError, match="the worker's policy: signedBy"):
        await release.resolve()


async def test_given_a_spec_and_a_policy_when_only_the_specs_signer_has_signed_then_the_image_is_refused(
    release: Release,
) -> None:
    release.given_signers(release.key)
    release.given_policy(Key())
    release.given_image()
    release.given_signature()
    with pytest.raises(RefusedError, match="is none of these"):
        await release.resolve()


async def test_given_no_signature_when_somebody_schedules_the_copy_by_hand_then_it_does_not_run(release: Release) -> None:
    release.given_signers(release.key)
    release.given_image()
    with pytest.raises(NeedsPersonError, match="no signature"):
        await release.check_copy()


async def test_given_a_signature_when_the_copy_is_checked_then_it_may_run(release: Release) -> None:
    release.given_signers(release.key)
    release.given_image()
    release.given_signature()
    await release.check_copy()


async def test_given_a_signature_that_only_the_target_still_has_when_the_copy_is_checked_then_it_may_run(
    release: Release,
) -> None:
    release.given_signers(release.key)
    release.given_image()
    target = Shelf(release.sandbox, release.account, "screening")
    target.tag(release.image.digest, "sig", signature_layer(release.key, payload_of(release.image.digest)))
    await release.check_copy()


@pytest.mark.parametrize("name", ["write_image", "register_task_definition"])
async def test_given_no_signature_when_somebody_schedules_what_comes_after_the_copy_then_it_does_not_run(
    release: Release, name: str
) -> None:
    release.given_signers(release.key)
    release.given_image()
    origin = release.origin
    app = await release.guard.permit(origin)
    image = f"{app.spec.spec.image.target}@{release.image.digest}"
    requests = {
        "write_image": write_image(origin, app, image),
        "register_task_definition": register_task_definition(origin, origin.commit, image),
    }
    with pytest.raises(NeedsPersonError, match="no signature"):
        await release.check(name, requests[name])
    release.given_signature()
    await release.check(name, requests[name])


async def test_given_a_keyless_signature_when_the_image_is_resolved_then_its_identity_is_told(
    release: Release, aws: Aws, tmp_path: Any
) -> None:
    sigstore = OwnSigstore(tmp_path)
    signers = json.dumps([{"issuer": "https://issuer.test", "subject": WORKFLOW}])
    text = release.deployment.file("promotion.yaml")
    release.deployment.push({"promotion.yaml": text.replace("  git:", f"    signedBy: {signers}\n  git:") + "\n"})
    release.given_image()
    release.shelf.refer(release.image, Layer(sigstore.bundle(statement_of(release.image.digest), WORKFLOW), BUNDLE))
    release.images = ImageActivities(aws, origins_of(aws, release.repositories, sigstore.file), Polling(0.05))
    found = (await release.resolve()).found
    assert found
    assert found.lines == (f"signed by {WORKFLOW} (by https://issuer.test)",)


async def test_given_a_signer_when_the_evidence_is_gathered_then_the_signature_is_looked_up_anew(release: Release) -> None:
    release.given_signers(release.key)
    release.given_image()
    release.given_signature()
    lie = ImageOrigin(signers=(ImageSigner(key="SHA256:somebody else"),))
    found = await release.origins.find_again(release.origin, lie)
    assert found
    assert [signer.key for signer in found.signers] == [load_key(release.key.pem).fingerprint]


async def test_given_no_signature_any_more_when_the_evidence_is_gathered_then_the_promotion_parks(release: Release) -> None:
    release.given_signers(release.key)
    release.given_image()
    with pytest.raises(NeedsPersonError, match=r"no signature.*then retry, or abort"):
        await release.origins.find_again(release.origin, ImageOrigin())


async def test_given_nobody_who_must_have_signed_when_the_evidence_is_gathered_then_no_signer_is_believed(
    release: Release,
) -> None:
    signer = ImageSigner(key="SHA256:claimed")
    said = BuildProvenance(repository=SOURCE, commit=COMMIT)
    claimed = said.model_copy(update={"signer": signer})
    found = await release.origins.find_again(release.origin, ImageOrigin(signers=(signer,), provenance=(claimed, said)))
    assert found
    assert found.lines == (f"built from {SOURCE} at {COMMIT[:12]} (unsigned)",)


async def test_given_more_signatures_than_are_read_when_the_image_is_resolved_then_it_is_refused(release: Release) -> None:
    release.given_signers(release.key)
    release.given_image()
    layer = signature_layer(release.key, payload_of(release.image.digest))
    release.shelf.tag(release.image.digest, "sig", *[layer] * 101)
    with pytest.raises(RefusedError, match="more than 100 signatures"):
        await release.resolve()


def provenance_1(commit: str) -> dict[str, Any]:
    dependency = {"uri": f"git+{SOURCE}@refs/heads/main", "digest": {"gitCommit": commit}}
    return {
        "buildDefinition": {"resolvedDependencies": [dependency]},
        "runDetails": {"builder": {"id": "https://github.com/actions/runner"}},
    }


async def test_given_signed_provenance_of_the_same_commit_when_the_image_is_resolved_then_it_is_evidence(
    release: Release,
) -> None:
    release.given_signers(release.key)
    release.given_image()
    release.given_signature()
    release.shelf.tag(
        release.image.digest, "att", envelope_layer(release.key, statement_of(release.image.digest, SLSA_1, provenance_1(COMMIT)))
    )
    found = (await release.resolve()).found
    assert found
    [provenance] = found.provenance
    assert (provenance.repository, provenance.commit, provenance.contradiction) == (SOURCE, COMMIT, "")
    assert provenance.signer == found.signers[0]


async def test_given_signed_provenance_of_another_commit_when_the_image_is_resolved_then_it_is_refused(
    release: Release,
) -> None:
    release.given_signers(release.key)
    release.given_image()
    release.given_signature()
    statement = statement_of(release.image.digest, SLSA_1, provenance_1(OTHER_COMMIT))
    release.shelf.refer(release.image, Layer(bundle_of(release.key, statement), BUNDLE))
    with pytest.raises(RefusedError, match=f"built from {SOURCE} at {OTHER_COMMIT[:12]}"):
        await release.resolve()


async def test_given_strangers_provenance_of_another_commit_when_the_image_is_resolved_then_it_is_a_warning(
    release: Release,
) -> None:
    release.given_image()
    statement = statement_of(release.image.digest, SLSA_1, provenance_1(OTHER_COMMIT))
    release.shelf.refer(release.image, Layer(bundle_of(Key(), statement), BUNDLE))
    resolved = await release.resolve()
    assert resolved.found
    [provenance] = resolved.found.provenance
    assert provenance.signer is None
    assert provenance.contradiction == f"the promotion was started for the source commit {COMMIT[:12]}"
    assert len(resolved.warnings) == 1


async def test_given_buildkits_provenance_in_the_index_when_the_image_is_resolved_then_it_is_unsigned_evidence(
    release: Release,
) -> None:
    child = release.image
    vcs = {"source": f"{SOURCE}.git", "revision": COMMIT}
    predicate = {"builder": {"id": ""}, "metadata": {"https://mobyproject.org/buildkit@v1#metadata": {"vcs": vcs}}}
    attestation = artifact([Layer(statement_of(child.digest, SLSA_0_2, predicate), IN_TOTO)])
    release.shelf.push(child)
    release.shelf.push(attestation, attestation.digest)
    release.given_image(with_attestation(build_index({"amd64": child}), child, attestation))
    resolved = await release.resolve()
    assert resolved.found
    assert resolved.found.lines == (f"built from {SOURCE}.git at {COMMIT[:12]} (unsigned)",)
    assert resolved.warnings == ()


def with_attestation(index: TestImage, child: TestImage, attestation: TestImage) -> TestImage:
    """An index with an attestation as BuildKit adds it."""
    document = json.loads(index.manifest)
    document["manifests"].append(
        {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": attestation.digest,
            "size": len(attestation.manifest),
            "annotations": {
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": child.digest,
            },
            "platform": {"architecture": "unknown", "os": "unknown"},
        }
    )
    return dataclasses.replace(index, manifest=json.dumps(document).encode())


async def test_given_referrers_that_cannot_be_read_when_nobody_must_have_signed_then_the_image_is_resolved_with_a_warning(
    release: Release,
) -> None:
    release.given_image()
    release.shelf.tag(release.image.digest, "sig", *[signature_layer(Key(), payload_of(release.image.digest))] * 101)
    resolved = await release.resolve()
    assert resolved.found
    assert resolved.found.lines == ()
    assert "more than 100" in resolved.warnings[0]

"""An app whose images have to be signed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.oci_layout import BuiltImage
from demo.stack import Stack
from slipway.api import Evidence, Outcome, StageName
from slipway.cosign.keys import load_key
from slipway.oci.reference import ImageReference
from tests.support.owned import OwnedScenario
from tests.support.scenario import effects
from tests.support.signed_images import Key, Shelf, payload_of, signature_layer
from tests.support.waiting import summary_of

pytestmark = pytest.mark.timeout(240)


class SignedImages(OwnedScenario):
    """A team whose spec asks for CI's signature, and a worker whose owner does so, too."""

    def __init__(self, stack: Stack, model_image: BuiltImage) -> None:
        self.key = Key()
        super().__init__(stack, model_image)
        self.given_the_policy(signedBy=[{"key": self.key.pem}])
        signers = self.key.pem.strip().replace("\n", "\n          ")
        self.given_its_file("promotion.yaml", "  git:", f"    signedBy:\n      - key: |\n          {signers}\n  git:")

    def given_a_signature(self, image: str) -> None:
        """CI signs it behind the push."""
        found = ImageReference.parse(image)
        shelf = Shelf(self.stack.sandbox, self.team.ci_account, found.repository)
        shelf.tag(found.digest or "", "sig", signature_layer(self.key, payload_of(found.digest or "")))


@pytest.fixture
def scenario(stack: Stack, model_image: BuiltImage) -> Iterator[SignedImages]:
    scenario = SignedImages(stack, model_image)
    with scenario:
        yield scenario


async def test_given_an_image_that_ci_signed_when_it_is_promoted_then_line_and_evidence_say_by_whom(
    scenario: SignedImages, good_image: str
) -> None:
    scenario.given_a_signature(good_image)
    await scenario.when_ci_starts(good_image)
    await scenario.when_ana_approves()
    status = await scenario.then_it_ends(Outcome.promoted)
    signer = f"signed by key {load_key(scenario.key.pem).fingerprint}"
    assert summary_of(status, StageName.image).endswith(f", with 1 referrer, {signer}")
    assert status.evidence_summary
    assert status.evidence_summary.image_origin == (signer,)
    evidence = await scenario.handle.query("evidence", result_type=Evidence)
    assert evidence.image_origin
    assert evidence.image_origin.lines == (signer,)


async def test_given_an_image_that_nobody_signed_when_it_is_promoted_then_it_is_refused_before_any_effect(
    scenario: SignedImages, good_image: str
) -> None:
    before = effects(scenario)
    await scenario.when_ci_starts(good_image)
    status = await scenario.then_it_ends(Outcome.refused)
    assert "it has no signature" in status.reason
    assert "the worker's policy: signedBy asks for one by key" in status.reason
    assert effects(scenario) == before

"""What a promotion says of who signed its image, and hands on of that."""

from __future__ import annotations

from temporalio.client import Client

from slipway.api import BuildProvenance, Decision, ImageOrigin, ImageSigner, Outcome, StageName
from slipway.temporal.start import send_update, start_promotion
from tests.support.waiting import summary_of, until_asked
from tests.support.world import EVIDENCE, World, refused, request

SIGNED = ImageOrigin(
    signers=(ImageSigner(key="SHA256:abc"), ImageSigner(key="SHA256:def")),
    provenance=(BuildProvenance(repository="https://github.com/acme/x", commit="d" * 40),),
)


async def test_given_a_signed_image_when_it_is_promoted_then_the_line_names_the_signer_and_the_evidence_gets_what_was_found(
    client: Client, world: World
) -> None:
    world.image_origin, world.image_warnings = SIGNED, ("its unsigned provenance contradicts the promotion",)
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
    status = await handle.result()
    assert status.outcome is Outcome.promoted
    assert summary_of(status, StageName.image).endswith(", signed by key SHA256:abc and 1 more")
    [notice] = status.notices
    assert notice.endswith("Z its unsigned provenance contradicts the promotion")
    assert [asked.image_origin for asked in world.asked("gather_evidence")] == [SIGNED]


async def test_given_an_image_that_nobody_signed_when_it_is_promoted_then_nothing_is_copied(client: Client, world: World) -> None:
    world.fail("resolve_image", refused("it has no signature"))
    handle, _ = await start_promotion(client, request(), world.task_queue)
    status = await handle.result()
    assert status.outcome is Outcome.refused
    assert sorted(world.names) == ["check_ahead", "read_app", "resolve_image"]

"""Who signed a pipeline image, and what it was built from, as the worker itself finds in the registry.

The spec and the policy each say who must have signed it, and both hold: one is the app's word, the other the worker's owner's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from activities.guard import Guard
from activities.images.registries import open_registry
from activities.origin import Origin
from slipway.api import BuildProvenance, ImageOrigin, ImageSigner
from slipway.app.signers import SIGNERS_LIMIT, RequiredSigner
from slipway.app.spec import SPEC_FILE, Image
from slipway.aws.clients import Aws
from slipway.cosign.attached import read_attached, read_build_attestations
from slipway.cosign.keyless import SigstoreRoot
from slipway.cosign.keys import load_key
from slipway.cosign.provenance import contradiction, is_provenance, read_provenance
from slipway.cosign.statements import FormatError, Statement, read_statement
from slipway.cosign.verify import Verification, verify_attached
from slipway.errors import NeedsPersonError, RefusedError
from slipway.oci.manifests import ImageRepository
from slipway.oci.reference import ImageReference
from slipway.text import one_line

PROVENANCE_LIMIT = 5
"""Provenances that are kept of one image, the signed ones first."""
OBJECTIONS_LIMIT = 4
OBJECTION_LIMIT = 160
"""Characters of one reason why a signature does not count."""
_DEMAND_OF_SPEC = f"{SPEC_FILE}: spec.image.signedBy"
_DEMAND_OF_POLICY = "the worker's policy: signedBy"


@dataclass(frozen=True)
class FoundOrigin:
    """What was found of an image's origin."""

    origin: ImageOrigin
    warnings: tuple[str, ...]
    """What people should know beside it."""


@dataclass(frozen=True)
class Demand:
    """Who must have signed an image: one of these."""

    where: str
    signers: tuple[RequiredSigner, ...]


@dataclass(frozen=True)
class _Signed:
    """An image whose signatures meet every demand."""

    origin: ImageOrigin
    place: ImageReference
    """Where the signatures are."""
    others: list[Statement]
    """What nobody who is asked for has signed."""


class ImageOrigins:
    """Looks into registries for who signed an image.

    Args:
        aws: Where to find AWS.
        guard: What applications may do, and what their specs say.
        root: Whom the worker believes about keyless identities.
    """

    def __init__(self, aws: Aws, guard: Guard, root: SigstoreRoot) -> None:
        self._aws = aws
        self._guard = guard
        self._root = root

    async def spec(self, origin: Origin) -> Image:
        """What the promotion's spec says of images. It says which registries are asked, so no activity's input is believed.

        Raises:
            RefusedError: The policy does not allow what the application's files name.
        """
        return (await self._guard.permit(origin)).spec.spec.image

    async def demands(self, origin: Origin, image: Image) -> tuple[Demand, ...]:
        """Who must have signed the promotion's image. Each demand is met by one of its signers.

        Args:
            origin: The promotion.
            image: What its spec says of images.
        """
        entry = await self._guard.entry(origin)
        demands = (Demand(_DEMAND_OF_SPEC, image.signed_by), Demand(_DEMAND_OF_POLICY, entry.signed_by))
        return tuple(demand for demand in demands if demand.signers)

    async def require(self, origin: Origin, image: Image) -> None:
        """Checks that the promotion's image is signed by those who are asked for. Nothing is read where nobody is.

        Args:
            origin: The promotion.
            image: What its spec says of images.

        Raises:
            RefusedError: A demand is not met, or what signers say contradicts what the promotion was started for.
        """
        if demands := await self.demands(origin, image):
            await self._signed(origin, image, demands)

    async def find(self, origin: Origin, image: Image) -> FoundOrigin:
        """Who signed the promotion's image, and what they or anybody say that it was built from.

        Where nobody is asked for, what cannot be read is only a warning, and referrers that the spec ignores are not looked at.

        Args:
            origin: The promotion.
            image: What its spec says of images.

        Raises:
            RefusedError: A demand is not met, or what signers say contradicts what the promotion was started for.
        """
        demands = await self.demands(origin, image)
        signed = _Signed(ImageOrigin(), ImageReference.parse(image.source).at(origin.request.digest), [])
        if demands:
            signed = await self._signed(origin, image, demands)
        others, warnings = list(signed.others), list[str]()
        try:
            if not demands and image.referrers != "ignore":
                others += (await self._verdict(signed.place, ())).others
            others += await self._built(signed.place)
        except (NeedsPersonError, RefusedError) as error:
            warnings.append(f"the image's provenance cannot be read: {error.report.tried}: {error.report.answered}")
        commit = origin.request.commit
        said = [_provenance(each, commit) for each in others if is_provenance(each)]
        warnings += [
            f"the image's unsigned provenance contradicts the promotion: {each.line}" for each in said if each.contradiction
        ]
        return FoundOrigin(_together(signed.origin, said), tuple(warnings[:PROVENANCE_LIMIT]))

    async def find_again(self, origin: Origin, before: ImageOrigin) -> ImageOrigin:
        """The same for the evidence: what is signed is looked up anew, and what is not is as the first stage found it.

        So whoever may attach something to the image cannot change the evidence under those who approve it.

        Args:
            origin: The promotion.
            before: What the first stage found. No signer in it is believed.

        Raises:
            NeedsPersonError: What the first stage has made sure of does not hold any more.
        """
        signed = ImageOrigin()
        try:
            image = await self.spec(origin)
            if demands := await self.demands(origin, image):
                signed = (await self._signed(origin, image, demands)).origin
        except RefusedError as error:
            report = error.report
            raise NeedsPersonError(report.tried, report.answered, f"{report.remedy}; then retry, or abort") from error
        said = [each for each in before.provenance if each.signer is None]
        return _together(signed, said)

    async def _signed(self, origin: Origin, image: Image, demands: Sequence[Demand]) -> _Signed:
        """Who signed an image that somebody must have signed, and where their signatures are.

        Signatures are looked for where the image comes from, and where it goes to: a copy keeps them after the source has
        forgotten them. They are over its digest, which is the same in both.
        """
        digest = origin.request.digest
        signers = tuple(dict.fromkeys(signer for demand in demands for signer in demand.signers))
        source, target = (ImageReference.parse(name).at(digest) for name in (image.source, image.target))
        place, verdict = source, await self._verdict(source, signers)
        if _unmet(demands, verdict) and target != source:
            place, verdict = target, verdict.together(await self._verdict(target, signers))
        if unmet := _unmet(demands, verdict):
            raise _not_signed(str(source), unmet, verdict)
        provenance = [
            _provenance(each.statement, origin.request.commit).model_copy(update={"signer": each.who})
            for each in verdict.attestations
            if is_provenance(each.statement)
        ]
        _require_agreement(str(source), provenance)
        who = tuple(dict.fromkeys(signed.who for signed in verdict.signatures))
        return _Signed(ImageOrigin(signers=who, provenance=tuple(provenance)), place, verdict.others)

    async def _verdict(self, image: ImageReference, signers: Sequence[RequiredSigner]) -> Verification:
        async with await open_registry(self._aws, image) as registry:
            attached = await read_attached(ImageRepository(registry, image.repository), image.reference)
        # In a thread: other promotions go on meanwhile.
        return await asyncio.to_thread(verify_attached, attached, image.reference, signers, self._root)

    async def _built(self, image: ImageReference) -> list[Statement]:
        """What BuildKit has put into the image itself. What cannot be read there says no less than nothing."""
        async with await open_registry(self._aws, image) as registry:
            attached = await read_build_attestations(ImageRepository(registry, image.repository), image.reference)
        found: list[Statement] = []
        for item in attached:
            with contextlib.suppress(FormatError):
                found.append(read_statement(item.content))
        return found


def _unmet(demands: Iterable[Demand], verdict: Verification) -> list[Demand]:
    return [demand for demand in demands if not any(signed.signer in demand.signers for signed in verdict.signatures)]


def _together(signed: ImageOrigin, said: Iterable[BuildProvenance]) -> ImageOrigin:
    """What is signed and what is not, in an order that does not depend on the registry's."""
    signers = sorted(signed.signers, key=lambda signer: signer.line)
    provenance = sorted(dict.fromkeys((*signed.provenance, *said)), key=lambda each: (each.signer is None, each.line))
    return ImageOrigin(signers=tuple(signers[:SIGNERS_LIMIT]), provenance=tuple(provenance[:PROVENANCE_LIMIT]))


def _provenance(statement: Statement, commit: str) -> BuildProvenance:
    read = read_provenance(statement)
    return read.model_copy(update={"contradiction": contradiction(read, commit)})


def _require_agreement(image: str, provenance: Sequence[BuildProvenance]) -> None:
    """One that agrees suffices: the same digest may have been built twice."""
    said = [each for each in provenance if each.commit]
    if not said or any(not each.contradiction for each in said):
        return
    raise RefusedError(
        f"comparing the signed provenance of {image} with the promotion",
        f"it was built from {said[0].line}",
        "start the promotion with the commit that the image was built from (`--commit`), or promote the image of that commit",
    )


def _not_signed(image: str, unmet: Sequence[Demand], verdict: Verification) -> RefusedError:
    asked = "; ".join(f"{demand.where} asks for one by {_named(demand.signers)}" for demand in unmet)
    counted = [f"one by {who.line} is none of these" for who in dict.fromkeys(signed.who for signed in verdict.signatures)]
    reasons = list(dict.fromkeys([*counted, *(one_line(each)[:OBJECTION_LIMIT] for each in verdict.objections)]))
    more = f"; and {len(reasons) - OBJECTIONS_LIMIT} more reasons" if len(reasons) > OBJECTIONS_LIMIT else ""
    found = f"no signature of it counts: {'; '.join(reasons[:OBJECTIONS_LIMIT])}{more}" if reasons else "it has no signature"
    return RefusedError(
        f"verifying the signature of {image}",
        f"{found}. {asked}",
        f"sign it in CI behind the push (`cosign sign {image}`) and start again (`slipway start --again`), or correct signedBy",
    )


def _named(signers: Sequence[RequiredSigner]) -> str:
    names = [ImageSigner(key=load_key(signer.key).fingerprint).line if signer.key else _identity(signer) for signer in signers]
    more = f", or {len(names) - OBJECTIONS_LIMIT} others" if len(names) > OBJECTIONS_LIMIT else ""
    return " or ".join(names[:OBJECTIONS_LIMIT]) + more


def _identity(signer: RequiredSigner) -> str:
    subject = signer.subject or f"whom {signer.subject_pattern} matches"
    return ImageSigner(subject=subject, issuer=signer.issuer or "").line

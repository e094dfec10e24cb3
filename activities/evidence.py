"""What an approver looks at: the challenger, the champions, and how the gates compare them."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from temporalio import activity

from activities.endpoints.served import SageMakerAccount
from activities.images.registries import describe_image
from activities.origin import Origin
from activities.registry import describe_package
from slipway.api import AppRef, Champion, Evidence, Message, ModelPackage, StepReport, TaskdefCommit
from slipway.app.gates import GateResult, evaluate_gates, flatten_metrics
from slipway.app.spec import Gate, Target
from slipway.aws.clients import Aws, region_of
from slipway.aws.errors import answer_of
from slipway.errors import NeedsPersonError, SlipwayError
from slipway.oci.reference import ImageReference

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import DescribeModelPackageOutputTypeDef

REPORT_LIMIT = 4 * 1_024 * 1_024
"""The most bytes of one metrics report that are read."""
HASH_DIGITS = 16
METRICS_LIMIT = 500
"""Numbers that are kept: a report may hold whole curves, which are too large for a workflow's history."""
_REPORTS = (
    ("ModelQuality", "Statistics"),
    ("ModelDataQuality", "Statistics"),
    ("Bias", "Report"),
    ("Explainability", "Report"),
)


class GatherEvidence(Message):
    """Input of `gather_evidence`."""

    promotion_id: str
    app: AppRef
    package: ModelPackage
    gates: tuple[Gate, ...]
    targets: tuple[Target, ...]
    image: str
    taskdef: TaskdefCommit
    steps: tuple[StepReport, ...]
    origin: Origin | None = None
    """Absent where an older release recorded the input."""


class EvidenceActivities:
    """The beginning of stage 5.

    Args:
        aws: Where to find AWS.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    @activity.defn
    async def gather_evidence(self, request: GatherEvidence) -> Evidence:
        """Gathers the evidence. Reads only; a gate that is not met is part of the evidence, not an error.

        The hash is over everything else in it: the same findings have the same hash.
        """
        package = await describe_package(self._aws, request.package.arn)
        metrics = await self._metrics(package)
        champions = await asyncio.gather(*(self._champion(target, request.package.region) for target in request.targets))
        evidence = Evidence(
            hash="",
            package=request.package,
            model_image=await self._model_image(package),
            metrics=metrics,
            champions=tuple(champions),
            gates=judge_gates(request.gates, metrics, champions, request.package.arn),
            image=request.image,
            taskdef=request.taskdef,
            steps=request.steps,
            rollback_plan="\n".join(rollback_of(champion) for champion in champions),
        )
        return evidence.model_copy(update={"hash": hash_of(evidence)})

    async def _champion(self, target: Target, region: str) -> Champion:
        account = SageMakerAccount(self._aws, target.region or region, target.role_arn)
        endpoint = await account.endpoint(target.endpoint)
        config = endpoint.get("EndpointConfigName") if endpoint else None
        arn = await account.package_of(config) if config else None
        metrics = await self._metrics(await describe_package(self._aws, arn)) if arn else {}
        return Champion(target=target, package=arn, metrics=metrics)

    async def _metrics(self, package: DescribeModelPackageOutputTypeDef) -> dict[str, float]:
        """The package's numbers: those of its reports in S3, and those that were registered with it as metadata."""
        metrics = flatten_metrics(package.get("CustomerMetadataProperties", {}))
        for uri in report_uris(package.get("ModelMetrics", {})):
            metrics |= flatten_metrics(await self._report(uri, region_of(package["ModelPackageArn"])))
        return dict(sorted(metrics.items())[:METRICS_LIMIT])

    async def _report(self, uri: str, region: str) -> Mapping[str, Any]:
        tried = f"reading the metrics {uri}"
        bucket, key = urlsplit(uri).netloc, urlsplit(uri).path.lstrip("/")
        s3 = self._aws.s3(region)

        def read() -> bytes:
            return s3.get_object(Bucket=bucket, Key=key)["Body"].read(REPORT_LIMIT + 1)

        body = await self._aws.call(tried, read)
        remedy = "see what the pipeline's evaluation writes; then retry, or abort"
        if len(body) > REPORT_LIMIT:
            raise NeedsPersonError(tried, f"it has more than {REPORT_LIMIT:,} bytes", remedy)
        try:
            report = json.loads(body)
        except ValueError as error:
            raise NeedsPersonError(tried, f"it is not JSON: {error}", remedy) from error
        if not isinstance(report, dict):
            raise NeedsPersonError(tried, "it is not a JSON object", remedy)
        return report  # pyright: ignore[reportUnknownVariableType]

    async def _model_image(self, package: DescribeModelPackageOutputTypeDef) -> str:
        """The container that would serve, by digest where the digest can be found."""
        containers = package.get("InferenceSpecification", {}).get("Containers", [])
        image = containers[0].get("Image", "") if containers else ""
        digest = containers[0].get("ImageDigest") if containers else None
        if not image or "@" in image:
            return image
        digest = digest or await self._digest_of(image)
        return f"{image.rpartition(':')[0] if ':' in image.rpartition('/')[2] else image}@{digest}" if digest else image

    async def _digest_of(self, image: str) -> str | None:
        try:
            reference = ImageReference.parse(image)
        except ValueError:
            return None  # not in ECR: AWS's own deep-learning images, or a marketplace's
        try:
            detail = await describe_image(self._aws, reference, f"resolving the model's image {image}")
        except SlipwayError as error:
            # Another account's repository may allow SageMaker to pull and not allow us to look; then the tag is shown.
            if answer_of(error)[0]:
                return None
            raise
        return detail.get("imageDigest")


def report_uris(reports: Mapping[str, Any]) -> list[str]:
    """Where the package's reports are."""
    found = [reports.get(kind, {}).get(part, {}).get("S3Uri") for kind, part in _REPORTS]
    return [uri for uri in found if uri]


def judge_gates(
    gates: Sequence[Gate], metrics: Mapping[str, float], champions: Sequence[Champion], challenger: str
) -> tuple[GateResult, ...]:
    """The gates' results. Where targets have different champions, the challenger is compared with each.

    A target that already serves the challenger is left out.
    """
    rivals = {champion.package: champion.metrics for champion in champions if champion.package not in {None, challenger}}
    results = [result for rival in rivals.values() or [None] for result in evaluate_gates(gates, metrics, rival)]
    return tuple(dict.fromkeys(results))


def rollback_of(champion: Champion) -> str:
    """What undoing the rollout would restore at a target."""
    name = champion.target.endpoint
    return (
        f"{name}: back to {champion.package}"
        if champion.package
        else f"{name}: back to its former config, or deleted if it is new"
    )


def hash_of(evidence: Evidence) -> str:
    """The hash that a decision names."""
    content = evidence.model_dump(mode="json", exclude={"hash"})
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:HASH_DIGITS]

"""What an endpoint has beside its model and its instances, as `promotion.yaml` says it."""

from __future__ import annotations

from typing import Annotated

from slipway.app.durations import Duration, between
from slipway.app.rules import Bounds, rule
from slipway.app.spec_model import SpecModel

S3Uri = Annotated[str, Bounds(pattern=r"^s3://[a-z0-9.-]{3,63}(/.*)?$", max_length=512)]
KmsKey = Annotated[str, Bounds(pattern=r"^[a-zA-Z0-9:/_-]+$", max_length=2_048)]
TopicArn = Annotated[str, Bounds(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]+$")]
VariableName = Annotated[str, Bounds(max_length=1_024, pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
Environment = Annotated[dict[VariableName, Annotated[str, Bounds(max_length=1_024)]], Bounds(max_length=100)]
"""The bounds are those of SageMaker's `EnvironmentMap`."""
MEMORY_STEP = 1_024


class Vpc(SpecModel):
    """The network that the containers are in."""

    subnets: Annotated[tuple[Annotated[str, Bounds(pattern=r"^subnet-[0-9a-z]+$")], ...], Bounds(min_length=1, max_length=16)]
    """The subnets' ids."""
    security_groups: Annotated[tuple[Annotated[str, Bounds(pattern=r"^sg-[0-9a-z]+$")], ...], Bounds(min_length=1, max_length=5)]
    """The security groups' ids."""


class Serverless(SpecModel):
    """A variant without instances of its own."""

    memory: Annotated[int, Bounds(ge=1_024, le=6_144)]
    """Megabytes: 1024, 2048, 3072, 4096, 5120 or 6144."""
    max_concurrency: Annotated[int, Bounds(ge=1, le=200)]
    """Requests that it answers at a time."""
    provisioned_concurrency: Annotated[int, Bounds(ge=1, le=200)] | None = None
    """Requests that it is always ready for. Absent: none."""

    @rule
    def _fits_sagemaker(self) -> None:
        """`memory` is a multiple of 1024, and `provisionedConcurrency` at most `maxConcurrency`."""
        if self.memory % MEMORY_STEP:
            raise ValueError(f"has a memory of {self.memory}, which is none of 1024, 2048, 3072, 4096, 5120 and 6144")
        if (self.provisioned_concurrency or 0) > self.max_concurrency:
            raise ValueError("has a provisionedConcurrency above its maxConcurrency")


class AsyncInference(SpecModel):
    """Requests that are answered by objects in S3."""

    output: S3Uri
    """Where answers are written."""
    failures: S3Uri | None = None
    """Where failures are written."""
    kms_key: KmsKey | None = None
    """The key that encrypts the answers."""
    max_concurrency: Annotated[int, Bounds(ge=1, le=1_000)] | None = None
    """Requests that an instance answers at a time. Absent: SageMaker chooses."""
    success_topic: TopicArn | None = None
    """The SNS topic for answers."""
    error_topic: TopicArn | None = None
    """The SNS topic for failures."""


class DataCapture(SpecModel):
    """Requests and answers that are kept in S3."""

    destination: S3Uri
    """Where they are written."""
    percent: Annotated[int, Bounds(ge=0, le=100)] = 100
    """How many of the requests."""
    kms_key: KmsKey | None = None
    """The key that encrypts them."""


class EndpointSettings(SpecModel):
    """What endpoints have beside model and instances. A live endpoint keeps what is not written here."""

    environment: Environment | None = None
    """Variables of the model's container, over those of the package. No secrets: whoever reads the repository sees them."""
    vpc: Vpc | None = None
    """The network of the containers."""
    network_isolation: bool | None = None
    """Whether the containers may make no calls."""
    kms_key: KmsKey | None = None
    """The key that encrypts the instances' volumes."""
    volume_size: Annotated[int, Bounds(ge=1, le=512)] | None = None
    """Gigabytes of an instance's volume."""
    download_timeout: Annotated[Duration, between("1m", "1h")] | None = None
    """How long an instance may take to load the model from S3."""
    startup_timeout: Annotated[Duration, between("1m", "1h")] | None = None
    """How long a container may take until it answers the health check."""
    serverless: Serverless | None = None
    """Makes a new endpoint serverless. A live one has to be so already."""
    async_inference: AsyncInference | None = None
    """Makes a new endpoint asynchronous. A live one has to be so already."""
    data_capture: DataCapture | None = None
    """Absent: as a live endpoint has it."""

    @rule
    def _has_one_kind(self) -> None:
        """Serverless endpoints have none of the other settings but `environment`."""
        if self.serverless and self != EndpointSettings(environment=self.environment, serverless=self.serverless):
            raise ValueError("has serverless, beside which only environment can be set")

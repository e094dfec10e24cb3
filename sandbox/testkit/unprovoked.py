"""Documented errors that no contract test brings about, and why: COVERAGE.md shows them, and a test holds the list complete."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.testkit.contract import Contract

FEDERATED = ("GetFederationToken", "AssumeRoleWithWebIdentity")
EVERYWHERE = {"ecs": ("AccessDeniedException",)}
"""Errors by service that one test brings about for each of its operations."""


@dataclass(frozen=True)
class Unprovoked:
    """One error.

    Attributes:
        service: Whose it is, as boto3 names it.
        code: What it is called.
        why: Why no test has it.
        operations: Those that it is about; all that document it, where none is named.
    """

    service: str
    code: str
    why: str
    operations: tuple[str, ...] = ()

    def covers(self, service: str, operation: str, code: str) -> bool:
        """Whether this is about an operation's error."""
        return (self.service, self.code) == (service, code) and (not self.operations or operation in self.operations)


UNPROVOKED = (
    Unprovoked("ecr", "ServerException", "a failure of ECR itself"),
    Unprovoked("ecr", "KmsException", "nothing is encrypted, so no key can fail"),
    Unprovoked(
        "ecr",
        "ValidationException",
        "AWS does not document when: a wrong parameter is an InvalidParameterException; StartImageScan's is that of a registry "
        "with enhanced scanning",
    ),
    Unprovoked(
        "ecr",
        "LimitExceededException",
        "AWS documents no quota that these could exceed",
        ("BatchGetImage", "PutAccountSetting"),
    ),
    Unprovoked("ecr", "TooManyTagsException", "taking tags off leaves none too many", ("UntagResource",)),
    Unprovoked("ecr", "UnableToGetUpstreamImageException", "there are no pull-through caches"),
    Unprovoked("ecr", "UnableToGetUpstreamLayerException", "there are no pull-through caches"),
    Unprovoked("ecr", "ImageArchivedException", "no image can be archived"),
    Unprovoked("ecr", "BlockedByOrganizationPolicyException", "there are no organizations"),
    Unprovoked(
        "ecr", "RepositoryNotFoundException", "is one of the answer's failures", ("BatchGetRepositoryScanningConfiguration",)
    ),
    Unprovoked("ecr", "InvalidParameterException", "it has no parameters", ("GetRegistryScanningConfiguration",)),
    Unprovoked("ecs", "ServerException", "a failure of ECS itself"),
    Unprovoked("ecs", "ClientException", "documented for every operation, and known of task definitions and RunTask alone"),
    Unprovoked("ecs", "ClusterContainsContainerInstancesException", "there are no container instances"),
    Unprovoked("ecs", "ClusterContainsServicesException", "there are no services"),
    Unprovoked("ecs", "ClusterContainsCapacityProviderException", "there are no capacity providers of one's own"),
    Unprovoked("ecs", "UpdateInProgressException", "a cluster's update is immediate"),
    Unprovoked("ecs", "UnsupportedFeatureException", "every region has what is there at all"),
    Unprovoked(
        "ecs",
        "ResourceNotFoundException",
        "a task that is not there is one of the answer's failures",
        ("GetTaskProtection", "UpdateTaskProtection"),
    ),
    Unprovoked("ecs", "LimitExceededException", "a million revisions of a family", ("RegisterTaskDefinition",)),
    Unprovoked("ecs", "BlockedException", "no account is blocked"),
    Unprovoked("events", "InternalException", "a failure of EventBridge itself"),
    Unprovoked(
        "sagemaker",
        "ResourceNotFound",
        "AWS answers a ValidationException for a job that is not there, as public reports have it",
        (
            "DescribeProcessingJob",
            "DescribeTrainingJob",
            "DescribeTransformJob",
            "StopProcessingJob",
            "StopTrainingJob",
            "StopTransformJob",
        ),
    ),
    Unprovoked("sagemaker", "ResourceNotFound", "AWS does not document what is looked for", ("CreatePipeline",)),
    Unprovoked(
        "sagemaker",
        "ResourceLimitExceeded",
        "AWS documents no quota that a callback's answer could exceed",
        ("SendPipelineExecutionStepFailure", "SendPipelineExecutionStepSuccess"),
    ),
    Unprovoked(
        "sagemaker",
        "ConflictException",
        "for two writers at once; writers come one after the other here",
        ("PutModelPackageGroupPolicy", "StopPipelineExecution", "UpdatePipelineExecution"),
    ),
    Unprovoked("sagemaker-runtime", "InternalFailure", "a failure of SageMaker itself"),
    Unprovoked("sagemaker-runtime", "InternalDependencyException", "a failure of SageMaker itself"),
    Unprovoked("sagemaker-runtime", "InternalStreamFailure", "a failure of SageMaker itself"),
    Unprovoked(
        "sagemaker-runtime", "ServiceUnavailable", "an endpoint in service has an instance that answers, or fails by ModelError"
    ),
    Unprovoked(
        "sagemaker-runtime",
        "ModelNotReadyException",
        "serverless variants are always provisioned, and there are no multi-model ones",
    ),
    Unprovoked("application-autoscaling", "InternalServiceException", "a failure of Application Auto Scaling itself"),
    Unprovoked("application-autoscaling", "ConcurrentUpdateException", "an update takes no time, so none is pending"),
    Unprovoked(
        "application-autoscaling",
        "FailedResourceAccessException",
        "alarms are made and read by the service itself, whatever the role",
    ),
    Unprovoked("sts", "PackedPolicyTooLarge", "a policy is refused by its length before it is packed", FEDERATED),
    Unprovoked("sts", "RegionDisabledException", "every region is enabled"),
    Unprovoked("sts", "ExpiredTokenException", "documented for contexts, of which there are none", ("AssumeRole",)),
    Unprovoked("sts", "IDPRejectedClaim", "no provider is asked about a token"),
    Unprovoked("sts", "IDPCommunicationError", "no provider is asked about a token"),
)


def unprovoked(service: str, operation: str, code: str) -> Unprovoked | None:
    """Why no test has an operation's error; None where one should."""
    return next((each for each in UNPROVOKED if each.covers(service, operation, code)), None)


def provoked(contracts: list[Contract], service: str, operation: str) -> set[str]:
    """The codes that tests bring about."""
    own = {code for each in contracts if (each.service, each.operation) == (service, operation) for code in each.errors}
    return own | set(EVERYWHERE.get(service, ()))


def of_service(service: str) -> Iterator[Unprovoked]:
    """A service's list."""
    return (each for each in UNPROVOKED if each.service == service)

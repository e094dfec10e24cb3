"""ECS's errors, in its words."""

from __future__ import annotations

from collections.abc import Sequence

from slipway_sandbox.core.errors import AwsError

RESOURCE_NOT_FOUND = "The specified resource was not found. Specify a valid ARN and try again."


def client_error(message: str) -> AwsError:
    """`ClientException`."""
    return AwsError("ClientException", message)


def invalid_parameter(message: str) -> AwsError:
    """`InvalidParameterException`."""
    return AwsError("InvalidParameterException", message)


def cluster_not_found() -> AwsError:
    """`ClusterNotFoundException`."""
    return AwsError("ClusterNotFoundException", "Cluster not found.")


def cluster_inactive() -> AwsError:
    """`ClusterNotFoundException` for a cluster that was deleted, and is still shown."""
    return AwsError("ClusterNotFoundException", "The referenced cluster was inactive.")


def service_not_found() -> AwsError:
    """`ServiceNotFoundException`."""
    return AwsError("ServiceNotFoundException", "Service not found.")


def namespace_not_found() -> AwsError:
    """`NamespaceNotFoundException`."""
    return AwsError("NamespaceNotFoundException", "The specified namespace was not found.")


def provider_in_use() -> AwsError:
    """`ResourceInUseException` for a capacity provider that tasks run on."""
    return AwsError("ResourceInUseException", "The specified capacity provider is in use and cannot be removed.")


def platform_unknown() -> AwsError:
    """`PlatformUnknownException`."""
    return AwsError("PlatformUnknownException", "The specified platform does not exist.")


def platform_incompatible() -> AwsError:
    """`PlatformTaskDefinitionIncompatibilityException`."""
    return AwsError(
        "PlatformTaskDefinitionIncompatibilityException", "One or more of the requested capabilities are not supported."
    )


def too_many_tags(most: int) -> AwsError:
    """`LimitExceededException` for the tags of one resource."""
    return AwsError("LimitExceededException", f"The number of tags on a resource cannot exceed {most}.")


def cluster_has_tasks() -> AwsError:
    """`ClusterContainsTasksException`."""
    return AwsError("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")


def task_definition_not_found() -> AwsError:
    """What RunTask says of a task definition that was never registered."""
    return client_error("TaskDefinition not found.")


def task_definition_not_described() -> AwsError:
    """What DescribeTaskDefinition and DeregisterTaskDefinition say of the same."""
    return client_error("Unable to describe task definition.")


def task_definition_inactive() -> AwsError:
    """`ClientException` for running a task definition that was deregistered."""
    return client_error("TaskDefinition is inactive")


def role_not_assumed(arn: str) -> AwsError:
    """`ClientException` for a role that does not trust ECS's tasks."""
    return client_error(
        f"ECS was unable to assume the role '{arn}' that was provided for this task. Please verify that the role being passed "
        "has the proper trust relationship and permissions and that your IAM user has permissions to pass this role."
    )


def task_not_found() -> AwsError:
    """What StopTask says of a task that is not there (any more)."""
    return invalid_parameter("The referenced task was not found.")


def token_in_use(task_arns: Sequence[str]) -> AwsError:
    """`ConflictException`: the client token stands for another request."""
    return AwsError(
        "ConflictException",
        "The RunTask request could not be processed due to conflicts. The provided clientToken is already in use with a "
        "different RunTask request. The resourceIds are the existing task ARNs which are already associated with the "
        "clientToken.",
        resourceIds=list(task_arns),
    )


def resource_not_found() -> AwsError:
    """`ResourceNotFoundException` for what is to have tags."""
    return AwsError("ResourceNotFoundException", RESOURCE_NOT_FOUND)


def tags_not_listed() -> AwsError:
    """What ListTagsForResource says of the same, as it has no `ResourceNotFoundException`."""
    return invalid_parameter(RESOURCE_NOT_FOUND)

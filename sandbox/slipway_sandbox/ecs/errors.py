"""ECS's errors, in its words."""

from __future__ import annotations

from collections.abc import Sequence

from slipway_sandbox.errors import AwsError


def client_error(message: str) -> AwsError:
    """`ClientException`."""
    return AwsError("ClientException", message)


def invalid_parameter(message: str) -> AwsError:
    """`InvalidParameterException`."""
    return AwsError("InvalidParameterException", message)


def cluster_not_found() -> AwsError:
    """`ClusterNotFoundException`."""
    return AwsError("ClusterNotFoundException", "Cluster not found.")


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


def resource_not_found(arn: str) -> AwsError:
    """`ResourceNotFoundException`."""
    return AwsError("ResourceNotFoundException", f"The specified resource was not found: {arn}")

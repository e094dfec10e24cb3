"""One module for each outside system; each public method of an activity class is one activity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from activities.endpoints.activities import EndpointActivities
from activities.evidence import EvidenceActivities
from activities.images.activities import ImageActivities
from activities.pipelines.activities import PipelineActivities
from activities.registry import RegistryActivities
from activities.repositories import Repositories
from activities.taskdefs import TaskdefActivities
from activities.tasks.activities import TaskActivities
from slipway.aws.clients import Aws

POLL_EVERY = 5.0
"""Seconds between two looks at what is followed, unless the worker is told otherwise."""


def all_activities(aws: Aws, repositories: Repositories, poll_every: float = POLL_EVERY) -> list[Callable[..., Any]]:
    """Every activity, for the worker to register.

    Args:
        aws: Where to find AWS.
        repositories: The deployment repositories that this worker may use.
        poll_every: Seconds between two looks at what is followed.
    """
    images = ImageActivities(aws, poll_every)
    taskdefs = TaskdefActivities(repositories)
    tasks = TaskActivities(aws, repositories, poll_every)
    pipelines = PipelineActivities(aws, poll_every)
    registry = RegistryActivities(aws)
    endpoints = EndpointActivities(aws, repositories, poll_every)
    return [
        images.resolve_image,
        images.check_scan,
        images.copy_image,
        taskdefs.read_app,
        taskdefs.write_image,
        taskdefs.revert_image,
        tasks.register_task_definition,
        tasks.run_task,
        tasks.follow_task,
        tasks.stop_task,
        pipelines.find_execution,
        pipelines.follow_execution,
        pipelines.retry_execution,
        pipelines.stop_execution,
        registry.find_model_package,
        registry.set_approval,
        registry.withdraw_approval,
        EvidenceActivities(aws).gather_evidence,
        endpoints.preflight,
        endpoints.prepare_endpoint,
        endpoints.update_endpoint,
        endpoints.follow_endpoint,
        endpoints.smoke_endpoint,
        endpoints.restore_endpoint,
    ]

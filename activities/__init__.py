"""One module or package for each outside system; each public method of an activity class is one activity."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from activities.access.activities import AccessActivities
from activities.approvers import Approvers
from activities.branches import BranchActivities
from activities.decisions import DecisionActivities
from activities.endpoints.activities import EndpointActivities
from activities.endpoints.cleaning import CleanUpActivities
from activities.endpoints.scaling_activities import ScalingActivities
from activities.endpoints.soaking import SoakActivities
from activities.event_commits import EventCommitActivities
from activities.evidence import EvidenceActivities
from activities.images.activities import ImageActivities
from activities.images.origins import ImageOrigins
from activities.pipelines.activities import PipelineActivities
from activities.plans.activities import PlanActivities
from activities.records import RecordActivities
from activities.registry import RegistryActivities
from activities.repositories import Repositories
from activities.taskdefs import TaskdefActivities
from activities.tasks.activities import TaskActivities
from activities.waiting import is_follower
from slipway.aws.clients import Aws
from slipway.aws.polling import Polling
from slipway.pipecd.client import PipecdApi

Activity = Callable[..., Any]


def all_activities(
    aws: Aws,
    repositories: Repositories,
    approvers: Approvers,
    origins: ImageOrigins,
    polling: Polling,
    watch_every: float,
    pipecd: PipecdApi | None = None,
) -> list[Activity]:
    """Every activity, for the worker to register.

    Args:
        aws: Where to find AWS.
        repositories: The deployment repositories that this worker may use.
        approvers: Who may decide, and by which keys.
        origins: Looks who signed an image.
        polling: How what is followed is looked at.
        watch_every: Seconds between two looks at deployment branches.
        pipecd: PipeCD's API; none where the worker may not ask it.
    """
    return [
        found
        for instance in (
            ImageActivities(aws, origins, polling),
            TaskdefActivities(repositories),
            EventCommitActivities(aws, repositories),
            AccessActivities(aws, repositories),
            TaskActivities(aws, repositories, polling, pipecd),
            PipelineActivities(aws, polling),
            RegistryActivities(aws),
            RecordActivities(aws, repositories),
            EvidenceActivities(aws, repositories, origins),
            PlanActivities(aws, repositories, origins),
            DecisionActivities(approvers),
            EndpointActivities(aws, repositories, polling),
            ScalingActivities(aws),
            SoakActivities(aws, polling),
            CleanUpActivities(aws),
            BranchActivities(aws, repositories, watch_every),
        )
        for found in activities_of(instance)
    ]


def activities_of(instance: object) -> list[Activity]:
    """The methods of an object that are activities: those that carry the SDK's definition."""
    kind = type(instance)
    names = (name for name in dir(kind) if hasattr(getattr(kind, name), "__temporal_activity_definition"))
    return [getattr(instance, name) for name in names]


def following_activities(activities: Iterable[Activity]) -> list[Activity]:
    """Those that only wait, for hours or days, until something outside has ended."""
    return [found for found in activities if is_follower(found)]


def short_activities(activities: Iterable[Activity]) -> list[Activity]:
    """Those that end within seconds or minutes: everything that does not only wait."""
    return [found for found in activities if not is_follower(found)]

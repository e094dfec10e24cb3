from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections import Counter
from pathlib import Path
from typing import Any

import activities
from activities import all_activities, following_activities, short_activities
from activities.approvers import Approvers
from activities.repositories import Repositories
from slipway.aws.clients import Aws
from slipway.policy.model import policy_of_branches
from slipway.policy.source import Signers, fixed
from tests.support.signed_images import origins_of


def registered() -> list[Any]:
    aws = Aws()
    aws.close()
    repositories = Repositories(fixed(policy_of_branches([])), Path("unused"))
    return all_activities(aws, repositories, Approvers(repositories, Signers(Path("unused"))), origins_of(aws), 1.0, 1.0)


def names_of(found: list[Any]) -> Counter[str]:
    return Counter(each.__temporal_activity_definition.name for each in found)


def defined() -> Counter[str]:
    """The name of every activity that a class in the package `activities` defines."""
    modules = [importlib.import_module(found.name) for found in pkgutil.walk_packages(activities.__path__, "activities.")]
    classes = {kind for module in modules for _, kind in inspect.getmembers(module, inspect.isclass)}
    ours = [kind for kind in classes if kind.__module__.startswith("activities.")]
    methods = (method for kind in ours for method in list(vars(kind).values()))
    return names_of([method for method in methods if hasattr(method, "__temporal_activity_definition")])


def test_given_the_activity_classes_when_a_worker_registers_them_then_each_activity_is_there_once() -> None:
    assert names_of(registered()) == defined()
    assert set(defined().values()) == {1}


def test_given_all_activities_when_they_are_parted_then_only_those_that_wait_for_long_are_followers() -> None:
    every = registered()

    assert set(names_of(following_activities(every))) == {
        "check_scan",
        "find_task",
        "follow_task",
        "follow_execution",
        "follow_endpoint",
        "follow_branch",
    }
    assert names_of(short_activities(every)) + names_of(following_activities(every)) == names_of(every)

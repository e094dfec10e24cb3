"""The call log at `/_sandbox/calls`."""

from __future__ import annotations

import httpx
import pytest
from slipway_sandbox.testing import SandboxProcess


def operations_of(sandbox: SandboxProcess, account: str, **query: str) -> list[str]:
    answer = sandbox.control("GET", "calls", query={"account": account, **query})
    return [call["operation"] for call in answer["calls"]]


def test_given_calls_of_two_services_when_one_is_asked_for_then_only_its_calls_are_told(
    sandbox: SandboxProcess, account: str
) -> None:
    sandbox.client("ecr", account).describe_repositories()
    sandbox.client("ecs", account).list_clusters()
    sandbox.client("ecs", account).list_task_definitions()

    assert operations_of(sandbox, account) == ["DescribeRepositories", "ListClusters", "ListTaskDefinitions"]
    assert operations_of(sandbox, account, service="ecs") == ["ListClusters", "ListTaskDefinitions"]
    assert operations_of(sandbox, account, service="ecs", operation="ListClusters") == ["ListClusters"]


def test_given_an_earlier_answer_when_the_next_is_asked_for_since_it_then_only_new_calls_are_told(
    sandbox: SandboxProcess, account: str
) -> None:
    sandbox.client("ecr", account).describe_repositories()
    first = sandbox.control("GET", "calls", query={"account": account})
    sandbox.client("ecs", account).list_clusters()

    second = sandbox.control("GET", "calls", query={"account": account, "since": str(first["last"])})
    third = sandbox.control("GET", "calls", query={"account": account, "since": str(second["last"])})

    assert first["last"] == first["calls"][-1]["number"]
    assert [call["operation"] for call in second["calls"]] == ["ListClusters"]
    assert third == {"calls": [], "last": second["last"]}


def test_given_a_newer_call_of_another_account_when_one_polls_then_the_next_poll_begins_behind_it(
    sandbox: SandboxProcess, account: str
) -> None:
    sandbox.client("ecr", account).describe_repositories()
    (own,) = sandbox.calls(account=account)
    sandbox.client("ecr").describe_repositories()

    answer = sandbox.control("GET", "calls", query={"account": account, "since": str(own["number"])})

    assert answer["calls"] == []
    assert answer["last"] > own["number"]


@pytest.mark.parametrize("query", [{"since": "yesterday"}, {"operations": "PutImage"}])
def test_given_a_query_that_means_nothing_when_calls_are_asked_for_then_it_is_refused(
    sandbox: SandboxProcess, query: dict[str, str]
) -> None:
    with pytest.raises(httpx.HTTPStatusError, match=f"422 .*{next(iter(query))}"):
        sandbox.control("GET", "calls", query=query)

"""What an endpoint's execution role has to be allowed, and what becomes of the endpoint where it is not."""

from __future__ import annotations

import pytest
from slipway_sandbox.testing.iam import RoleMaker, Statement, allow, trusting

from sandbox.testkit.contract import behaviour
from sandbox.testkit.hosting import Hosted, push_server

TOKEN = allow("ecr:GetAuthorizationToken")
PULL = allow(["ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"])
READ = allow("s3:GetObject")
WRITE = allow(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"])


@behaviour(
    "In an endpoint's container",
    "artifact, image and log",
    like="fetched and written with the rights of the model's execution role; AWS's words where it may not fetch, and no log "
    "where it may not write",
    differs="a role that IAM does not know may do all; rights to layers are asked for by the image's configuration alone",
)
@pytest.mark.parametrize(
    ("rights", "reason"),
    [
        ([PULL, READ, WRITE], None),
        ([PULL, READ], None),
        ([PULL], "Failed to download model data for container"),
        ([READ], "The role '{role}' does not have GetAuthorizationToken permission for the image: '{image}'."),
        ([TOKEN, READ], "The role '{role}' does not have BatchGetImage permission for the image: '{image}'."),
    ],
    ids=["all", "no log", "no artifact", "no registry", "no image"],
)
def test_given_the_execution_roles_policy_when_an_endpoint_is_created_then_it_has_only_what_that_allows(
    hosted: Hosted, rights: list[Statement], reason: str | None
) -> None:
    hosted.role = RoleMaker(hosted.sandbox, hosted.account).create(rights, trusting(service="sagemaker.amazonaws.com"))
    hosted.image = push_server(hosted.sandbox, hosted.account)
    shown = hosted.serve("one")
    assert bool(hosted.log_streams()) is (WRITE in rights)
    expected = (reason or "").format(role=hosted.role, image=hosted.image)
    assert (shown["EndpointStatus"], shown.get("FailureReason", "")[: len(expected)]) == (
        "Failed" if reason else "InService",
        expected,
    )

"""Contract tests: one for each call, whose answers are held against botocore's own service model.

The tests say what they cover, and COVERAGE.md is made from that: `make coverage`. They run against the
sandbox, or, with `AWS_CONTRACT_REGION` set, against AWS itself with whatever credentials the environment has.

Example:
    @contract("ecr", "CreateRepository", errors=("RepositoryAlreadyExistsException",))
    def test_create_repository(aws: Aws) -> None:
        name = aws.name("repository")
        aws.client("ecr").create_repository(repositoryName=name)
        with aws.refused("RepositoryAlreadyExistsException", match="already exists"):
            aws.client("ecr").create_repository(repositoryName=name)
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar
from unittest import SkipTest

import boto3
from botocore.exceptions import ClientError
from botocore.model import OperationModel
from slipway_sandbox.protocol import aws_json
from slipway_sandbox.testing import SandboxProcess

REAL_AWS = "AWS_CONTRACT_REGION"
"""Names the region to run the contract tests in on AWS itself; unset, they run against a sandbox."""
OMITTED_BY_AWS = {
    ("sagemaker", "DescribeModelPackage"): frozenset({"modelPackageName"}),
    ("sagemaker", "DescribeTrainingJob"): frozenset({"modelArtifacts"}),
}
"""Members that AWS itself leaves out although its model requires them: a version in a group has no name, and a training job has
no artifacts before its end."""
Test = TypeVar("Test", bound=Callable[..., Any])


@dataclass(frozen=True)
class Contract:
    """What a test covers of an operation."""

    service: str
    operation: str
    errors: tuple[str, ...] = ()
    """Error codes that the test provokes as a client can, on AWS as here."""


@dataclass(frozen=True)
class Behaviour:
    """What a test shows that is no single operation: one row of COVERAGE.md."""

    section: str
    subject: str
    like: str = ""
    """What is like AWS."""
    differs: str = ""
    """What is not."""


def contract(service: str, operation: str, *, errors: tuple[str, ...] = ()) -> Callable[[Test], Test]:
    """Say that a test covers an operation; several may stand on one test. The test takes the fixture `aws`.

    Args:
        service: The service as boto3 names it.
        operation: The operation as botocore's model names it. The test has to call it with success at least once.
        errors: The error codes that the test provokes. Others can be planted; one test does that for all operations.
    """
    return _declare(Contract(service, operation, errors))


def behaviour(section: str, subject: str, *, like: str = "", differs: str = "") -> Callable[[Test], Test]:
    """Say what a test shows beside single operations, such as what a container sees: a row of that section of COVERAGE.md."""
    return _declare(Behaviour(section, subject, like, differs))


def _declare(declaration: Contract | Behaviour) -> Callable[[Test], Test]:
    def mark(test: Test) -> Test:
        test.__dict__.setdefault("declarations", []).append(declaration)
        return test

    return mark


def declarations_of(test: object) -> list[Contract | Behaviour]:
    """What a test was marked with."""
    return getattr(test, "declarations", [])


@dataclass
class Aws:
    """AWS as one test sees it: clients whose every answer is checked and noted, in an account of its own where it is the sandbox.

    Args:
        sandbox: The sandbox; None on AWS itself.
        account: The account; on AWS the one of the environment's credentials.
        region: The region.
    """

    sandbox: SandboxProcess | None
    account: str
    region: str = "us-east-1"
    seen: set[tuple[str, str, str]] = field(default_factory=set[tuple[str, str, str]])
    """Service, operation, and `ok` or an error code, of each call so far."""

    def client(self, service: str, region: str | None = None) -> Any:
        """A boto3 client that tries once. Its answers are held against the model's output shapes."""
        region = region or self.region
        made = (
            self.sandbox.new_client(service, self.account, region, attempts=1) if self.sandbox else real_client(service, region)
        )
        made.meta.events.register("after-call", self._note)
        return made

    def name(self, kind: str) -> str:
        """A name that no other test uses, fit for every service: lower case, hyphens, 63 characters at most."""
        return f"contract-{kind[:40]}-{secrets.token_hex(4)}"

    @contextlib.contextmanager
    def refused(self, code: str, match: str = "") -> Generator[None]:
        """Expect an error.

        Args:
            code: Its code.
            match: A pattern that its message has somewhere.

        Raises:
            AssertionError: It did not come, or not like that.
        """
        try:
            yield
        except ClientError as error:
            got = error.response.get("Error", {})
            said = got.get("Message", "")
            if got.get("Code") != code or not re.search(match, said):
                raise AssertionError(f"expected {code} with {match!r}, but it was {got.get('Code')}: {said}") from error
        else:
            raise AssertionError(f"expected {code}, but the call succeeded")

    @contextlib.contextmanager
    def quota(self, service: str, name: str, limit: int) -> Generator[None]:
        """Have a quota for a while. On AWS itself, where none can be used up in a test, the rest is skipped.

        Args:
            service: Whose it is.
            name: As Service Quotas has it.
            limit: How many there may be.

        Raises:
            SkipTest: This is AWS.
        """
        if self.sandbox is None:
            raise SkipTest(f"the quota {name} cannot be used up on AWS")
        quota = {"account": self.account, "name": name}
        self.sandbox.control("POST", f"{service}/quota", {**quota, "limit": limit})
        try:
            yield
        finally:
            self.sandbox.control("POST", f"{service}/quota", {**quota, "limit": None})

    def saw(self, service: str, operation: str, code: str) -> None:
        """Note an error that a client gets in the midst of an answer, as a stream's events are."""
        self.seen.add((service, operation, code))

    def check(self, contracts: list[Contract]) -> None:
        """Hold what was called against what the test says it covers.

        Raises:
            AssertionError: A declared call or error was not seen.
        """
        for covered in contracts:
            for outcome in ("ok", *covered.errors):
                if (covered.service, covered.operation, outcome) not in self.seen:
                    raise AssertionError(
                        f"the test is marked to cover {covered.service}.{covered.operation}: {outcome}, but that was not seen"
                    )

    def _note(self, parsed: dict[str, Any], model: OperationModel, **_: Any) -> None:
        service = model.service_model.service_name
        code = parsed.get("Error", {}).get("Code")
        self.seen.add((service, model.name, code or "ok"))
        if not code and model.output_shape:
            answered = {name: value for name, value in parsed.items() if name in model.output_shape.members}
            absent = OMITTED_BY_AWS.get((service, model.name), frozenset())
            problems = [
                str(problem)
                for problem in aws_json.problems_of(model.output_shape, answered, "")
                if not (problem.value == "null" and problem.path in absent)
            ]
            if problems:
                raise AssertionError(f"{service}.{model.name} answered {answered}, which breaks its own model: {problems}")


def region_on_aws() -> str | None:
    """The region to test AWS itself in; None for a sandbox."""
    return os.environ.get(REAL_AWS)


def real_client(service: str, region: str) -> Any:
    """A boto3 client of AWS itself."""
    return boto3.session.Session().client(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportCallIssue]
        service,  # pyright: ignore[reportArgumentType]
        region_name=region,
    )

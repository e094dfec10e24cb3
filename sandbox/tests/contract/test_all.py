"""What holds for every operation: it is covered, its documented errors can be planted, and what is not there says so."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape
from slipway_sandbox.protocol import aws_json
from slipway_sandbox.testing import SandboxProcess
from slipway_sandbox.testing.iam import RoleMaker, allow, refusal_of

from sandbox.testkit import coverage
from sandbox.testkit.contract import Contract

OWN = sorted({service for service, _ in coverage.answered()})
"""Services with operations of their own."""
WHOLE = [service for service in OWN if not coverage.over_moto(service)]
"""Those that moto has no part in."""
PATHS = {"EndpointName": "none", "InputLocation": "s3://none/none"}
"""What a request of the runtime needs to have a path and headers at all."""

# Hundreds of calls in a test, on machines that may be busy.
pytestmark = pytest.mark.timeout(300)


@functools.cache
def contracts() -> list[Contract]:
    """What the contract tests cover."""
    return [each for each in coverage.declarations() if isinstance(each, Contract)]


def loose_client(sandbox: SandboxProcess, service: str, account: str) -> Any:
    """A client that sends requests without looking at them."""
    return sandbox.new_client(service, account, "us-east-1", 1, Config(parameter_validation=False, inject_host_prefix=False))


def call(client: Any, operation: OperationModel) -> str:
    """Call an operation with as little in the request as can be; returns the code of its error."""
    members = operation.input_shape.members if operation.input_shape else {}
    try:
        client._make_api_call(operation.name, {name: value for name, value in PATHS.items() if name in members})
    except ClientError as error:
        return error.response.get("Error", {}).get("Code", "")
    return ""


def test_given_the_code_and_its_tests_when_the_page_is_made_then_it_is_the_one_that_is_kept() -> None:
    assert coverage.PAGE.read_text() == coverage.page(), "COVERAGE.md is out of date: make coverage"


@pytest.mark.parametrize("service", OWN)
def test_given_the_operations_of_a_service_when_contracts_are_counted_then_each_has_one(service: str) -> None:
    there = {name for of, name in coverage.answered() if of == service}
    covered = {each.operation for each in contracts() if each.service == service}
    assert there - covered == set(), "these have no contract test"
    assert service not in WHOLE or covered - there == set(), "these have a contract test and are not there"


@pytest.mark.parametrize("service", OWN)
def test_given_an_error_that_contracts_name_when_the_model_is_asked_then_it_knows_it_or_all_services_have_it(
    service: str,
) -> None:
    common = {"ValidationException", "ValidationError", "AccessDeniedException", "AccessDenied", "SerializationException"}
    unknown = [
        (each.operation, error)
        for each in contracts()
        if each.service == service
        for error in each.errors
        if error not in {code_of(shape) for shape in model_of(each).error_shapes} | common
    ]
    assert unknown == []


def minimal(shape: Shape | None) -> Any:
    """As little as a request's member can be."""
    match shape:
        case StructureShape():
            return {name: minimal(shape.members[name]) for name in shape.required_members}
        case ListShape():
            return []
        case MapShape():
            return {}
        case None:
            return {}
        case _:
            enum = shape.metadata.get("enum")
            return enum[0] if enum else {"string": "x", "boolean": False}.get(shape.type_name, 1)


def test_given_a_role_that_may_do_nothing_when_it_calls_an_operation_of_ecs_then_its_access_is_denied(
    sandbox: SandboxProcess, account: str
) -> None:
    client = RoleMaker(sandbox, account).make([allow("s3:ListAllMyBuckets")]).client("ecs")
    answers: dict[str, str] = {}
    for name in sorted(name for of, name in coverage.answered() if of == "ecs"):
        operation = aws_json.service_model("ecs").operation_model(name)
        answers[name], said = refusal_of(client._make_api_call, name, minimal(operation.input_shape))
        assert f"is not authorized to perform: ecs:{name}" in said
    assert set(answers.values()) == {"AccessDeniedException"}


def code_of(error: Shape) -> str:
    """An error's code on the wire, which is its shape's name unless the model says otherwise."""
    return error.metadata.get("error", {}).get("code", error.name)


def model_of(covered: Contract) -> OperationModel:
    """The model of a contract's operation."""
    return aws_json.service_model(covered.service).operation_model(covered.operation)


@pytest.mark.parametrize("service", OWN)
def test_given_a_documented_error_when_it_is_planted_then_a_client_gets_it(
    sandbox: SandboxProcess, account: str, service: str
) -> None:
    client = loose_client(sandbox, service, account)
    missed: list[tuple[str, str, str]] = []
    for _, name in sorted(each for each in coverage.answered() if each[0] == service):
        operation = aws_json.service_model(service).operation_model(name)
        # Whoever does not sign has no account.
        whose = None if operation.auth_type == "none" else account
        for shape in operation.error_shapes:
            code = code_of(shape)
            planted = sandbox.plant_fault(service, name, "error", code=code, message="planted", account=whose)
            got = call(client, operation)
            sandbox.remove_fault(planted)
            if got != code:
                missed.append((name, code, got))
    assert missed == []


@pytest.mark.parametrize("service", WHOLE)
def test_given_an_operation_that_is_not_there_when_it_is_called_then_it_says_so_in_awss_wire_format(
    sandbox: SandboxProcess, account: str, service: str
) -> None:
    client = loose_client(sandbox, service, account)
    model = aws_json.service_model(service)
    answers = {name: call(client, model.operation_model(name)) for name in coverage.missing(service)}
    assert {name: code for name, code in answers.items() if code != "NotImplemented"} == {}

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.gateway import operation_model
from slipway_sandbox.protocol import aws_json

from sandbox.testkit.contract import behaviour

NAMES = [
    "taskDefinition",
    "overrides",
    "containerOverrides",
    "EndpointConfigName",
    "ProductionVariants",
    "VariantName",
    "imageTag",
]
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=6,
)


def parse(service: str, operation: str, request: object) -> dict[str, Any]:
    return aws_json.parse_request(operation_model(service, operation), json.dumps(request).encode())


def test_given_a_missing_member_when_sagemaker_reads_it_then_the_error_is_in_awss_words() -> None:
    with pytest.raises(AwsError) as caught:
        parse("sagemaker", "DescribeEndpoint", {})

    assert caught.value.code == "ValidationException"
    assert caught.value.message == (
        "1 validation error detected: Value null at 'endpointName' failed to satisfy constraint: Member must not be null"
    )


@behaviour(
    "Around the services",
    "requests",
    like="parsed and checked by botocore's service model: required members, types, lengths, ranges, patterns, enums, in "
    "AWS's wording",
    differs="signatures and secrets are not checked; the few patterns that Python cannot read are not enforced",
)
def test_given_two_broken_constraints_when_they_are_read_then_both_are_named() -> None:
    with pytest.raises(AwsError) as caught:
        parse("sagemaker", "ListEndpoints", {"MaxResults": 0, "StatusEquals": "Sleeping"})

    assert caught.value.message.startswith("2 validation errors detected: Value '0' at 'maxResults'")
    assert (
        "Value 'Sleeping' at 'statusEquals' failed to satisfy constraint: Member must satisfy enum value set"
        in caught.value.message
    )


def test_given_a_pattern_when_a_value_breaks_it_then_the_pattern_is_shown() -> None:
    with pytest.raises(AwsError, match="Member must satisfy regular expression pattern"):
        parse("sagemaker", "DescribeEndpoint", {"EndpointName": "has.dots"})


def test_given_a_null_member_when_it_is_read_then_it_is_as_if_absent() -> None:
    assert parse("ecr", "DescribeRepositories", {"maxResults": None, "repositoryNames": [None, "app"]}) == {
        "repositoryNames": ["app"]
    }


def test_given_a_timestamp_when_it_is_read_then_it_is_in_utc() -> None:
    parsed = parse("sagemaker", "ListEndpoints", {"CreationTimeAfter": 0})

    assert parsed == {"CreationTimeAfter": datetime(1970, 1, 1, tzinfo=UTC)}


def test_given_a_member_that_the_answer_does_not_have_when_it_is_written_then_that_is_a_bug() -> None:
    with pytest.raises(KeyError):
        aws_json.response_body(operation_model("ecr", "DeleteRepository"), {"repositry": {}})


def test_given_bytes_that_are_no_json_when_they_are_read_then_it_is_a_serialization_error() -> None:
    with pytest.raises(AwsError, match="SerializationException"):
        aws_json.parse_request(operation_model("ecr", "DescribeRepositories"), b"\xff{")


def test_given_a_timestamp_without_a_zone_when_it_is_read_then_it_is_in_utc() -> None:
    parsed = parse("sagemaker", "ListEndpoints", {"CreationTimeAfter": "2026-01-01"})

    assert parsed == {"CreationTimeAfter": datetime(2026, 1, 1, tzinfo=UTC)}


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 1e300])
def test_given_a_number_beyond_its_type_when_it_is_read_then_it_is_a_serialization_error(number: float) -> None:
    with pytest.raises(AwsError, match="can not be converted to integer"):
        parse("sagemaker", "ListEndpoints", {"MaxResults": number})


@given(JSON)
def test_given_any_json_when_it_is_read_as_a_request_then_it_is_parsed_or_refused_kindly(value: object) -> None:
    for service, operation in (("ecs", "RunTask"), ("sagemaker", "CreateEndpointConfig"), ("ecr", "PutImage")):
        try:
            parse(service, operation, value)
        except AwsError as error:
            assert error.code in ("SerializationException", "ValidationException", "InvalidParameterException")  # noqa: PT017

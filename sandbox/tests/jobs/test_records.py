"""How batch transform cuts, filters and joins records, without a job."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.sagemaker.jobs.joins import Joiner
from slipway_sandbox.sagemaker.jobs.jsonpath import PathError, compiled
from slipway_sandbox.sagemaker.jobs.records import RecordError, assembled, batches_of, records_of

DATA = {"id": 1, "features": [1, 2, 3, 4], "a name": {"deep": True}}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", DATA),
        ("$.features", [1, 2, 3, 4]),
        ("$.features[0]", 1),
        ("$.features[-1]", 4),
        ("$.features[1:]", [2, 3, 4]),
        ("$.features[:2]", [1, 2]),
        ("$.features[0,2:]", [1, 3, 4]),
        ("$.features[0,-1]", [1, 4]),
        ("$['a name'].deep", True),
        ("$['id','features']", {"id": 1, "features": [1, 2, 3, 4]}),
        ("$.features[*]", [1, 2, 3, 4]),
        ("$['a name'].*", [True]),
    ],
)
def test_given_a_path_then_it_selects_what_aws_documents(path: str, value: Any) -> None:
    assert compiled(path)(DATA) == value


@pytest.mark.parametrize("path", ["features", "$features", "$.", "$[?(@.id)]", "$..id"])
def test_given_a_path_that_batch_transform_does_not_know_then_it_cannot_be_read(path: str) -> None:
    with pytest.raises(PathError):
        compiled(path)


@pytest.mark.parametrize("path", ["$.nothing", "$.id[0]", "$.features[9]", "$.features.id", "$.id.*"])
def test_given_a_path_that_leads_nowhere_then_it_says_so(path: str) -> None:
    with pytest.raises(PathError):
        compiled(path)(DATA)


def test_given_lines_then_batches_hold_as_many_as_fit() -> None:
    records = records_of(io.BytesIO(b"1,2\r\n\n3,4\n5,6"), "Line", 10)

    assert list(batches_of(records, "MultiRecord", 10)) == [[b"1,2", b"3,4"], [b"5,6"]]


def test_given_no_limit_then_all_lines_are_one_batch() -> None:
    records = records_of(io.BytesIO(b"1\n2\n3"), "Line", 0)

    assert list(batches_of(records, "MultiRecord", 0)) == [[b"1", b"2", b"3"]]


@pytest.mark.parametrize("split", ["Line", "None"])
def test_given_a_record_beyond_the_limit_then_it_is_refused(split: str) -> None:
    with pytest.raises(RecordError, match="Too much data for max payload size"):
        list(records_of(io.BytesIO(b"12345"), split, 4))


def test_given_answers_with_and_without_an_end_of_line_then_assembling_lines_gives_each_one() -> None:
    assert b"".join(assembled([b"1\n", b"2"], "Line")) == b"1\n2\n"
    assert b"".join(assembled([b"1\n", b"2"], "None")) == b"1\n2"


def joiner(content: str, **processing: str) -> Joiner:
    """A joiner of one kind of content."""
    return Joiner({"TransformInput": {"ContentType": content}, "TransformOutput": {}, "DataProcessing": processing})


def test_given_a_json_array_when_joined_then_input_and_output_are_members_of_a_new_object() -> None:
    joined = joiner("application/json", JoinSource="Input").from_model([b"[1, 2]"], b"3")

    assert json.loads(joined) == {"SageMakerInput": [1, 2], "SageMakerOutput": 3}


def test_given_fewer_answers_than_records_when_joined_then_it_is_refused() -> None:
    with pytest.raises(RecordError, match="2 records were sent, and 1 came back"):
        joiner("text/csv", JoinSource="Input").from_model([b"1", b"2"], b"3")


def test_given_quoted_columns_when_filtered_then_they_stay_quoted() -> None:
    assert joiner("text/csv", InputFilter="$[1:]").to_model([b'id,"a, b",c']) == b'"a, b",c'


def test_given_what_is_no_json_when_filtered_then_the_record_is_refused() -> None:
    with pytest.raises(RecordError, match="no JSON"):
        joiner("application/json", InputFilter="$.a").to_model([b"nothing"])


def test_given_content_that_cannot_be_filtered_then_the_request_is_refused() -> None:
    with pytest.raises(AwsError, match="DataProcessing works on"):
        joiner("image/png", OutputFilter="$.a")

"""How batch transform cuts an object into records, without a job."""

from __future__ import annotations

import io

import pytest
from slipway_sandbox.sagemaker.jobs.records import RecordError, assembled, batches_of, records_of


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

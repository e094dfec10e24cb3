"""DataProcessing: what of a record the model sees, and what is kept beside its answer."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any, cast

from slipway_sandbox.core.errors import validation_error
from slipway_sandbox.sagemaker.jobs.jsonpath import PathError, compiled
from slipway_sandbox.sagemaker.jobs.records import RecordError

DEFAULTS = {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}
FORMATS = {"text/csv": "csv", "application/json": "json", "application/jsonlines": "json", "application/x-jsonlines": "json"}


class Joiner:
    """Filters and joins the records of a transform job.

    Args:
        request: The CreateTransformJob request.

    Raises:
        AwsError: A filter cannot be read, or the data's format is none that can be filtered.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        asked = {**DEFAULTS, **request.get("DataProcessing", {})}
        self._joins = asked["JoinSource"] == "Input"
        self._filters_input = asked["InputFilter"] != "$"
        self._filters_output = asked["OutputFilter"] != "$"
        try:
            self._input = compiled(asked["InputFilter"])
            self._output = compiled(asked["OutputFilter"])
        except PathError as error:
            raise validation_error(f"Invalid DataProcessing: {error}.") from error
        content = request["TransformInput"].get("ContentType", "").partition(";")[0].strip().lower()
        accept = request["TransformOutput"].get("Accept", content).partition(";")[0].strip().lower()
        self._is_csv = FORMATS.get(content) == "csv"
        self._answers_csv = FORMATS.get(accept) == "csv"
        if (self._joins or self._filters_input or self._filters_output) and content not in FORMATS:
            raise validation_error(
                f"DataProcessing works on {', '.join(FORMATS)}; the ContentType of TransformInput is '{content}'."
            )

    def to_model(self, batch: list[bytes]) -> bytes:
        """The payload of a mini-batch.

        Raises:
            RecordError: A record is not of its format, or lacks what the filter names.
        """
        if self._filters_input:
            batch = [self._text(self._filtered(self._input, self._value(row))) for row in self._rows(batch)]
        return b"\n".join(batch)

    def from_model(self, batch: list[bytes], answer: bytes) -> bytes:
        """What is written for a mini-batch and the model's answer.

        Raises:
            RecordError: There are not as many answers as records, or one is not of its format.
        """
        if not (self._joins or self._filters_output):
            return answer
        rows = self._rows(batch)
        answers = [answer] if len(rows) == 1 and not self._answers_csv else self._lines(answer)
        if self._joins and len(rows) != len(answers):
            raise RecordError(f"{len(rows)} records were sent, and {len(answers)} came back: they cannot be joined")
        joined = [self._joined(row, each) for row, each in zip(rows, answers, strict=True)] if self._joins else answers
        values = joined if self._joins else [self._answer_value(each) for each in answers]
        return b"\n".join(self._text(self._filtered(self._output, value)) for value in values)

    def _rows(self, batch: list[bytes]) -> list[bytes]:
        """The single records; a whole CSV file that was not split has many."""
        return [line for part in batch for line in self._lines(part)] if self._is_csv else batch

    @staticmethod
    def _lines(text: bytes) -> list[bytes]:
        return [line for line in text.splitlines() if line.strip()]

    def _value(self, row: bytes) -> Any:
        return csv_row(row) if self._is_csv else json_value(row)

    def _answer_value(self, answer: bytes) -> Any:
        if self._answers_csv:
            return csv_row(answer)
        try:
            return json_value(answer)
        except RecordError:
            return answer.decode(errors="replace").strip()

    def _joined(self, row: bytes, answer: bytes) -> Any:
        value, output = self._value(row), self._answer_value(answer)
        if self._is_csv:
            return [*value, *(output if self._answers_csv else [answer.decode(errors="replace").strip()])]
        if isinstance(value, dict):
            return {**cast("dict[str, Any]", value), "SageMakerOutput": output}
        return {"SageMakerInput": value, "SageMakerOutput": output}

    @staticmethod
    def _filtered(select: Callable[[Any], Any], value: Any) -> Any:
        try:
            return select(value)
        except PathError as error:
            raise RecordError(f"the filter does not fit: {error}") from error

    def _text(self, value: Any) -> bytes:
        if not self._is_csv:
            return json.dumps(value).encode()
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(value if isinstance(value, list) else [value])  # pyright: ignore[reportUnknownArgumentType]
        return line.getvalue().encode()


def csv_row(row: bytes) -> list[str]:
    """The columns of a row."""
    rows = list(csv.reader([row.decode(errors="replace")]))
    return rows[0] if rows else []


def json_value(record: bytes) -> Any:
    """The value of a record.

    Raises:
        RecordError: It is no JSON.
    """
    try:
        return json.loads(record)
    except ValueError as error:
        raise RecordError(f"a record is no JSON: {error}") from error

"""The lines of JSON that data capture writes."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from slipway_sandbox.sagemaker.hosting.capture import Exchange, Payload, record

AT = datetime(2026, 2, 14, 17, 25, 6, tzinfo=UTC)
TYPES = {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]}


def line(asked: Payload, *modes: str, **more: Any) -> dict[str, Any]:
    """What is captured of a request that was answered by JSON."""
    config = {"CaptureOptions": [{"CaptureMode": mode} for mode in modes or ("Input", "Output")], **more}
    return record(config, Exchange(AT, asked, Payload("application/json; charset=utf-8", b"[1]"), "mine", "trace=7"))


def test_given_no_content_types_when_a_request_is_captured_then_both_sides_are_base64() -> None:
    captured = line(Payload("text/csv", b"1,2"))

    asked = {"observedContentType": "text/csv", "mode": "INPUT", "data": base64.b64encode(b"1,2").decode(), "encoding": "BASE64"}
    assert captured["captureData"]["endpointInput"] == asked
    assert captured["captureData"]["endpointOutput"]["encoding"] == "BASE64"


@pytest.mark.parametrize(
    ("payload", "encoding", "data"),
    [
        (Payload("text/csv", b"1,2"), "CSV", "1,2"),
        (Payload("TEXT/CSV; header=absent", b"1,2"), "CSV", "1,2"),
        (Payload("application/x-image", b"\x89PNG"), "BASE64", "iVBORw=="),
        (Payload("text/csv", b"\xff,2"), "BASE64", "/ywy"),
    ],
)
def test_given_content_types_when_a_request_is_captured_then_only_what_they_name_is_text(
    payload: Payload, encoding: str, data: str
) -> None:
    asked = line(payload, CaptureContentTypeHeader=TYPES)["captureData"]["endpointInput"]

    assert (asked["encoding"], asked["data"]) == (encoding, data)


def test_given_one_side_when_a_request_is_captured_then_the_other_is_not_there_and_the_request_is_known() -> None:
    captured = line(Payload("text/csv", b"1,2"), "Output", CaptureContentTypeHeader=TYPES)

    assert captured["captureData"] == {
        "endpointOutput": {
            "observedContentType": "application/json; charset=utf-8",
            "mode": "OUTPUT",
            "data": "[1]",
            "encoding": "JSON",
        }
    }
    identifier = captured["eventMetadata"].pop("eventId")
    assert len(identifier) == 36
    assert captured["eventMetadata"] == {
        "customAttributes": ["trace=7"],
        "inferenceId": "mine",
        "inferenceTime": "2026-02-14T17:25:06Z",
    }
    assert captured["eventVersion"] == "0"

"""Data capture: what went in and out of a model, as JSON lines in S3.

As "Capture data from real-time endpoint" in the developer guide has it. AWS uploads every few minutes; here it takes a second.
"""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.world import World
from slipway_sandbox.sagemaker.hosting.artifacts import split

log = logging.getLogger(__name__)

UPLOAD_EVERY = 1.0
"""Real seconds between two uploads."""
SIDES = {"Input": ("INPUT",), "Output": ("OUTPUT",), "InputAndOutput": ("INPUT", "OUTPUT")}
"""What each capture mode keeps."""


@dataclass(frozen=True)
class Payload:
    """One side of an invocation."""

    content_type: str
    data: bytes


@dataclass(frozen=True)
class Exchange:
    """An invocation, as it is kept."""

    at: datetime
    asked: Payload
    answered: Payload
    inference_id: str | None = None
    custom_attributes: str | None = None


@dataclass(frozen=True)
class Destination:
    """Where lines go: the account and region, the place in S3, and whose they are."""

    caller: Caller
    uri: str
    endpoint: str
    variant: str


class CaptureLog:
    """Collects lines, and uploads them from a thread of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lines: dict[Destination, list[str]] = defaultdict(list)
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, destination: Destination, config: dict[str, Any], exchange: Exchange) -> None:
        """Keep an exchange, as `DataCaptureConfig` says."""
        line = json.dumps(record(config, exchange))
        with self._changed:
            self._lines[destination].append(line)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="data-capture", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._lines))
            # Lines that come close together share an object, as on AWS.
            time.sleep(UPLOAD_EVERY)
            with self._changed:
                batch = dict(self._lines)
                self._lines.clear()
            for destination, lines in batch.items():
                try:
                    self._upload(destination, lines)
                except Exception:
                    # A bucket that is gone must not cost the other endpoints their lines.
                    log.exception("captured data of the endpoint %s could not be stored", destination.endpoint)

    def _upload(self, destination: Destination, lines: list[str]) -> None:
        bucket, prefix = split(destination.uri)
        now = self._world.clock.now()
        name = f"{now:%M-%S}-{now.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
        place = f"{destination.endpoint}/{destination.variant}/{now:%Y/%m/%d/%H}/{name}"
        key = f"{prefix.rstrip('/')}/{place}".lstrip("/")
        body = "".join(f"{line}\n" for line in lines)
        self._world.client("s3", destination.caller).put_object(Bucket=bucket, Key=key, Body=body.encode())


def record(config: dict[str, Any], exchange: Exchange) -> dict[str, Any]:
    """One line's content."""
    sides = {side for option in config["CaptureOptions"] for side in SIDES[option["CaptureMode"]]}
    data: dict[str, Any] = {}
    if "INPUT" in sides:
        data["endpointInput"] = _side("INPUT", exchange.asked, config)
    if "OUTPUT" in sides:
        data["endpointOutput"] = _side("OUTPUT", exchange.answered, config)
    metadata: dict[str, Any] = {"eventId": str(uuid.uuid4())}
    if exchange.custom_attributes:
        metadata["customAttributes"] = [exchange.custom_attributes]
    if exchange.inference_id:
        metadata["inferenceId"] = exchange.inference_id
    metadata["inferenceTime"] = f"{exchange.at:%Y-%m-%dT%H:%M:%SZ}"
    return {"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}


def _side(mode: str, payload: Payload, config: dict[str, Any]) -> dict[str, Any]:
    encoding, data = encoded(payload, config.get("CaptureContentTypeHeader", {}))
    return {"observedContentType": payload.content_type, "mode": mode, "data": data, "encoding": encoding}


def encoded(payload: Payload, types: dict[str, Any]) -> tuple[str, str]:
    """How a payload is written, and the text: as it is for the types named as CSV or JSON, else base64."""
    kind = payload.content_type.partition(";")[0].strip().lower()
    for encoding, member in (("CSV", "CsvContentTypes"), ("JSON", "JsonContentTypes")):
        if kind in [known.lower() for known in types.get(member, ())]:
            try:
                return encoding, payload.data.decode()
            except UnicodeDecodeError:
                break
    return "BASE64", base64.b64encode(payload.data).decode()

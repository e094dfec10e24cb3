"""SageMaker's `serve` command: answers `/ping` and `/invocations` from the model in `/opt/ml/model`."""

import csv
import io
import json
import math
import os
import signal
import sys
import threading
import traceback
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

from screening.classifier import DECISION, Classifier

MODEL_FOLDER = Path("/opt/ml/model")
MAX_BODY = 6 * 1024 * 1024  # InvokeEndpoint takes no larger payload
JSON, CSV = "application/json", "text/csv"


class BadRequestError(ValueError):
    """The request's body is not what the endpoint documents; the message is for its sender."""


def read_cases(body: bytes, content_type: str) -> list[list[float]]:
    """The measurements in a request, one list per case.

    Args:
        body: CSV without a header, one case per line; or JSON: `{"instances": [[…], …]}`, one such list, or one case alone.
        content_type: The request's `Content-Type`.

    Raises:
        BadRequestError: The type is another, or the body is not of that form.
    """
    kind = content_type.partition(";")[0].strip().lower()
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise BadRequestError(f"the body is not UTF-8: {error}") from error
    if kind == CSV:
        rows: list[Any] = [row for row in csv.reader(io.StringIO(text)) if row]
    elif kind == JSON:
        rows = _json_rows(text)
    else:
        raise BadRequestError(f"Content-Type {content_type!r} is not supported; send {CSV} or {JSON}")
    if not rows:
        raise BadRequestError("the body holds no case")
    return [_numbers(row, number) for number, row in enumerate(rows, start=1)]


def _json_rows(text: str) -> list[Any]:
    try:
        content: Any = json.loads(text)
    except ValueError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error
    found: Any = cast("dict[str, Any]", content).get("instances") if isinstance(content, dict) else content
    if not isinstance(found, list):
        raise BadRequestError('the JSON must be {"instances": [[…], …]} or a list of measurements')
    rows = cast("list[Any]", found)
    return rows if not rows or isinstance(rows[0], list) else [rows]


def _numbers(row: Any, number: int) -> list[float]:
    if not isinstance(row, list):
        raise BadRequestError(f"case {number} is not a list of numbers")
    try:
        values = [float(value) for value in cast("list[Any]", row)]
    except (TypeError, ValueError) as error:
        raise BadRequestError(f"case {number}: {error}") from error
    if not all(math.isfinite(value) for value in values):
        raise BadRequestError(f"case {number}: a measurement is not finite")
    return values


def answer(model: Classifier, cases: list[list[float]]) -> dict[str, Any]:
    """What `/invocations` returns: one prediction per case, and which model made it."""
    probabilities = [model.probability(case) for case in cases]
    return {
        "model": {"version": model.version, "trainingJob": model.training_job, "features": len(model.features)},
        "predictions": [
            {"label": "malignant" if value >= DECISION else "benign", "probability": round(value, 6)} for value in probabilities
        ],
    }


class ModelServer(ThreadingHTTPServer):
    """The HTTP server with the model it serves."""

    daemon_threads = True

    def __init__(self, port: int, model: Classifier) -> None:
        super().__init__(("", port), Handler)
        self.model = model


class Handler(BaseHTTPRequestHandler):
    """The two paths of SageMaker's contract for inference containers."""

    server: ModelServer  # pyright: ignore[reportIncompatibleVariableOverride] - only ModelServer makes this handler
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """`/ping`: 200 once the model is loaded, which it is before the port is open."""
        if self.path == "/ping":
            self._send(HTTPStatus.OK, {"status": "healthy"})
        else:
            self._send(HTTPStatus.NOT_FOUND, {"error": f"no such path: {self.path}"})

    def do_POST(self) -> None:
        """`/invocations`: 200 with predictions, 400 for what the sender can fix, 500 for what only the model's authors can."""
        if self.path != "/invocations":
            self._refuse(HTTPStatus.NOT_FOUND, f"no such path: {self.path}")
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "the request needs a Content-Length")
            return
        if int(length) > MAX_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has {length} bytes, the limit is {MAX_BODY}")
            return
        body = self.rfile.read(int(length))
        try:
            result = answer(self.server.model, read_cases(body, self.headers.get("Content-Type", "")))
        except BadRequestError as error:
            self._send(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        except Exception as error:  # noqa: BLE001 - a defect of the model must not end the server
            traceback.print_exc()
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": f"the model failed: {error}"})
        else:
            self._send(HTTPStatus.OK, result)

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """Answers without reading the body, so the connection cannot be used again."""
        self.close_connection = True
        self._send(status, {"error": message})

    def _send(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", JSON)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Health checks come every few seconds and are not logged."""
        if self.path != "/ping":
            super().log_message(format, *args)


def main() -> int:
    """Serves until SIGTERM, on the port that SageMaker names or 8080."""
    model = Classifier.load(Path(os.environ.get("SCREENING_MODEL_FOLDER", MODEL_FOLDER)))
    server = ModelServer(int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")), model)

    def stop(*_: object) -> None:
        # shutdown() waits for the loop that the signal interrupted, so it needs a thread of its own.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    print(f"serving model {model.version} ({len(model.features)} measurements) on port {server.server_port}", flush=True)
    with server:
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())

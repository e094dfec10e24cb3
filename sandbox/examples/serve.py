"""Serving, by SageMaker's contract: /ping and /invocations on the port that it is told."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

with open("/opt/ml/model/model.json") as file:
    FACTOR = json.load(file)["factor"]


class Handler(BaseHTTPRequestHandler):
    """Multiplies."""

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        asked = int(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(str(asked * FACTOR).encode())

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))), Handler).serve_forever()

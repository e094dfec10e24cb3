"""A model's container on this machine's own Python, light enough to be started for every example of a test."""

from __future__ import annotations

from slipway_sandbox.testing import TestImage, python_image

SERVE = """\
import json, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = json.load(open("/opt/ml/model/model.json"))
if MODEL.get("crashes"):
    sys.exit("this model does not start")
asked = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.answer(200, b"")

    def do_POST(self):
        global asked
        asked += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        status = 500 if asked <= MODEL.get("failures", 0) else MODEL.get("status", 200)
        self.answer(status, json.dumps({"model": MODEL["name"]}).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))), Handler).serve_forever()
"""


def model_server() -> TestImage:
    """The image. It answers its model's name; `model.json` may say otherwise.

    `status` is what every answer has, `failures` how many of the first ones are 500, and with `crashes` it does not start.
    """
    labels = {"com.amazonaws.sagemaker.capabilities.accept-bind-to-port": "true"}
    return python_image({"serve": SERVE}, labels=labels, env=["PATH=/usr/local/bin:/usr/bin:/bin"])

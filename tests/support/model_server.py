"""A model's container on this machine's own Python, light enough to be started for every example of a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from slipway_sandbox.testing import TestImage, build_image, layer_of, libraries_of, member

SERVE = """#!{interpreter} -IS
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
        self.answer(status, json.dumps({{"model": MODEL["name"]}}).encode())

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
    interpreter = str(Path(sys.executable).resolve())
    listing = (
        "import sys, json, http.server, encodings.idna, encodings.latin_1, encodings.ascii\n"
        "for module in list(sys.modules.values()): print(getattr(module, '__file__', None) or '')"
    )
    printed = subprocess.run([interpreter, "-IS", "-c", listing], check=True, capture_output=True, text=True).stdout
    modules = {Path(line) for line in printed.splitlines() if line and Path(line).is_file()}
    binaries = [Path(interpreter), *(module for module in modules if module.suffix == ".so")]
    files = {Path(interpreter), *modules, *(Path(library) for binary in binaries for library in libraries_of(binary))}
    serve = member("usr/local/bin/serve", SERVE.format(interpreter=interpreter).encode())
    layer = layer_of(*(member(str(path).lstrip("/"), path.read_bytes()) for path in sorted(files)), serve)
    label = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"
    return build_image([layer], labels={label: "true"}, env=["PATH=/usr/local/bin:/usr/bin:/bin"])

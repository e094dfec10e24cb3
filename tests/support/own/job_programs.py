"""What the jobs of own pipelines run: sources by name, for an image of this machine's Python."""

PREPARE = """
import csv, pathlib

rows = list(csv.reader(open("/opt/ml/processing/input/rows.csv")))
for name, part in (("train", rows[::2]), ("test", rows[1::2])):
    folder = pathlib.Path("/opt/ml/processing", name)
    folder.mkdir(parents=True, exist_ok=True)
    csv.writer(open(folder / f"{name}.csv", "w")).writerows(part)
"""
TRAIN = """
import csv, json, pathlib, statistics, sys

model = {"slope": 2.0, "start": 1.0}
data = pathlib.Path("/opt/ml/input/data/train/train.csv")
if data.exists():
    rows = [[float(cell) for cell in row] for row in csv.reader(data.open())]
    model["slope"], model["start"] = statistics.linear_regression([row[0] for row in rows], [row[1] for row in rows])
print("ran", sys.argv[1:])
json.dump(model, open("/opt/ml/model/model.json", "w"))
"""
EVALUATE = """
import csv, json, pathlib, statistics, tarfile

with tarfile.open("/opt/ml/processing/model/model.tar.gz") as archive:
    model = json.load(archive.extractfile("model.json"))
rows = [[float(cell) for cell in row] for row in csv.reader(open("/opt/ml/processing/test/test.csv"))]
errors = [model["start"] + model["slope"] * x - y for x, y in rows]
report = {"regression_metrics": {"mse": {"value": statistics.fmean(e * e for e in errors), "standard_deviation": "NaN"}}}
folder = pathlib.Path("/opt/ml/processing/evaluation")
folder.mkdir(parents=True, exist_ok=True)
json.dump(report, open(folder / "evaluation.json", "w"))
"""
SERVE = """
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = json.load(open("/opt/ml/model/model.json"))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"")

    def do_POST(self):
        x = float(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(json.dumps(MODEL["start"] + MODEL["slope"] * x).encode())

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
"""
PROGRAMS = {"prepare": PREPARE, "train": TRAIN, "evaluate": EVALUATE, "serve": SERVE}
MODULES = ("csv", "gzip", "http.server", "json", "pathlib", "statistics", "tarfile")

"""The model image's `serve`, run as a process and asked over HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

MODEL = Path(__file__).parents[1] / "model"
STORED = {
    "features": ["a", "b"],
    "means": [1.0, 2.0],
    "scales": [1.0, 2.0],
    "weights": [3.0, -1.0],
    "bias": 0.5,
    "training_job": "job-1",
}
DEADLINE = 20.0


@dataclass(frozen=True)
class Server:
    """A serving process and a client of it."""

    process: subprocess.Popen[str]
    client: httpx.Client

    def ask(self, body: str | bytes, kind: str) -> tuple[int, dict[str, Any]]:
        response = self.client.post("/invocations", content=body, headers={"Content-Type": kind})
        return response.status_code, response.json()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    folder = tmp_path_factory.mktemp("model")
    (folder / "model.json").write_text(json.dumps(STORED))
    environment = {
        **os.environ,
        "PYTHONPATH": str(MODEL),
        "SCREENING_MODEL_FOLDER": str(folder),
        # 0 lets the machine choose, and the first line of output says which.
        "SAGEMAKER_BIND_TO_PORT": "0",
    }
    command = [sys.executable, "-m", "screening.serve"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().rsplit(" ", 1)[-1].strip()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=DEADLINE) as client:
            yield Server(process, client)
        process.kill()


def test_given_a_loaded_model_when_pinged_then_it_is_healthy(server: Server) -> None:
    assert server.client.get("/ping").status_code == 200


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("2,2\n", "text/csv"),
        ("2,2\r\n", "text/csv; charset=utf-8"),
        ('{"instances": [[2, 2]]}', "application/json"),
        ("[[2, 2.0]]", "application/json"),
        ("[2, 2]", "application/json"),
    ],
)
def test_given_one_case_in_any_form_when_asked_then_the_prediction_names_the_model(server: Server, body: str, kind: str) -> None:
    status, answer = server.ask(body, kind)
    assert (status, answer["model"]["trainingJob"], answer["model"]["features"]) == (200, "job-1", 2)
    assert answer["predictions"] == [{"label": "malignant", "probability": 0.970688}]


def test_given_many_cases_when_asked_then_each_has_its_prediction_in_order(server: Server) -> None:
    _, answer = server.ask("2,2\n-5,2\n", "text/csv")
    assert [prediction["label"] for prediction in answer["predictions"]] == ["malignant", "benign"]


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        ("2,2", "text/plain", "Content-Type 'text/plain' is not supported; send text/csv or application/json"),
        ("2,x", "text/csv", "case 1: could not convert string to float: 'x'"),
        ("", "text/csv", "the body holds no case"),
        ("{", "application/json", "the body is not JSON"),
        ('{"rows": []}', "application/json", "the JSON must be"),
        ('{"instances": [[1, null]]}', "application/json", "case 1: float() argument"),
        ('{"instances": [[1, 2], 3]}', "application/json", "case 2 is not a list of numbers"),
        ("[[1, NaN]]", "application/json", "case 1: a measurement is not finite"),
        (b"\xff\xfe", "text/csv", "the body is not UTF-8"),
    ],
)
def test_given_a_request_that_cannot_be_read_when_asked_then_400_says_why(
    server: Server, body: str | bytes, kind: str, reason: str
) -> None:
    status, answer = server.ask(body, kind)
    assert status == 400
    assert reason in answer["error"]


def test_given_another_number_of_measurements_when_asked_then_500_and_the_server_lives(server: Server) -> None:
    status, answer = server.ask("1,2,3", "text/csv")
    assert (status, answer["error"].startswith("the model failed")) == (500, True)
    assert server.client.get("/ping").status_code == 200


def test_given_an_unknown_path_when_asked_then_404(server: Server) -> None:
    assert (server.client.get("/").status_code, server.client.post("/other", content=b"x").status_code) == (404, 404)


def test_given_a_server_when_it_is_told_to_end_then_it_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(json.dumps(STORED))
    environment = {**os.environ, "PYTHONPATH": str(MODEL), "SCREENING_MODEL_FOLDER": str(tmp_path), "SAGEMAKER_BIND_TO_PORT": "0"}
    command = [sys.executable, "-m", "screening.serve"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
        assert time.monotonic() - begun < 5

"""The model image's programs: preprocess, train and evaluate by SageMaker's contract, and what bad settings do."""

import importlib
import io
import json
import math
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.images import BAD_ACCURACY, BAD_COLUMNS

SETTINGS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "settings.json").read_text())
preprocess: Any = importlib.import_module("screening.preprocess")
train: Any = importlib.import_module("screening.train")
evaluate: Any = importlib.import_module("screening.evaluate")
classifier: Any = importlib.import_module("screening.classifier")


@dataclass(frozen=True)
class Jobs:
    """The pipeline's three jobs in one folder, handed from one to the next as SageMaker does."""

    folder: Path

    def preprocess(self, *more: str) -> int:
        share, seed = str(SETTINGS["testShare"]), str(SETTINGS["seed"])
        return preprocess.main(["--seed", seed, "--test-share", share, "--folder", str(self.folder), *more])

    def train(self, **hyperparameters: str) -> None:
        data = self.folder / "input" / "data"
        data.rename(self.folder / "input" / "raw")
        data.mkdir()
        for channel in ("train", "validation"):
            (self.folder / channel).rename(data / channel)
        (self.folder / "input" / "config").mkdir()
        (self.folder / "input" / "config" / "hyperparameters.json").write_text(json.dumps(hyperparameters))
        train.run(self.folder)

    def evaluate(self) -> dict[str, Any]:
        (self.folder / "input" / "model").mkdir()
        with tarfile.open(self.folder / "input" / "model" / "model.tar.gz", "w:gz") as archive:
            archive.add(self.folder / "model", arcname=".")
        (self.folder / "test").rename(self.folder / "input" / "test")
        assert evaluate.main(["--folder", str(self.folder)]) == 0
        return json.loads((self.folder / "evaluation" / "evaluation.json").read_text())["binary_classification_metrics"]


@pytest.fixture
def jobs(tmp_path: Path, cases: str) -> Jobs:
    (tmp_path / "input" / "data").mkdir(parents=True)
    (tmp_path / "input" / "data" / "cases.csv").write_text(cases)
    return Jobs(tmp_path)


def test_given_the_settings_when_the_jobs_run_then_the_model_is_good(jobs: Jobs) -> None:
    assert jobs.preprocess() == 0
    jobs.train(regularization=str(SETTINGS["regularization"]))
    metrics = jobs.evaluate()
    assert metrics["accuracy"]["value"] >= 0.95
    assert metrics["auc"]["value"] >= 0.98


def test_given_too_simple_a_model_when_it_is_evaluated_then_only_the_promotions_gate_refuses_it(jobs: Jobs) -> None:
    jobs.preprocess()
    jobs.train(regularization=str(BAD_ACCURACY["regularization"]))
    assert SETTINGS["accuracyThreshold"] <= jobs.evaluate()["accuracy"]["value"] < 0.9


def test_given_a_dropped_column_when_the_jobs_run_then_accuracy_is_fine_and_a_documented_request_fails(jobs: Jobs) -> None:
    (column,) = BAD_COLUMNS["dropColumns"]
    jobs.preprocess("--drop-column", column)
    jobs.train(regularization=str(SETTINGS["regularization"]))
    assert jobs.evaluate()["accuracy"]["value"] >= 0.95
    model = classifier.Classifier.load(jobs.folder / "model")
    with pytest.raises(ValueError, match="zip"):
        model.probability([1.0] * 30)


def test_given_the_same_seed_when_split_twice_then_the_parts_are_the_same_and_disjoint(jobs: Jobs) -> None:
    def parts() -> list[list[str]]:
        jobs.preprocess()
        return [(jobs.folder / name / "cases.csv").read_text().splitlines()[1:] for name in ("train", "validation", "test")]

    first = parts()
    assert parts() == first
    assert sum(len(part) for part in first) == len({line for part in first for line in part}) == 569


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "the first column must be 'malignant'"),
        ("malignant,a\n1,2,3\n", "cases.csv, line 2: 3 values, the header has 2"),
        ("malignant,a\n2,1\n", "the label must be 0 or 1, found '2'"),
        ("malignant,a\n1,x\n", "could not convert string to float: 'x'"),
        ("malignant,a\n1,nan\n", "a measurement is not finite"),
    ],
)
def test_given_damaged_data_when_preprocessed_then_it_says_where(
    jobs: Jobs, capsys: pytest.CaptureFixture[str], content: str, reason: str
) -> None:
    (jobs.folder / "input" / "data" / "cases.csv").write_text(content)
    assert jobs.preprocess() == 1
    assert reason in capsys.readouterr().err


def test_given_an_unknown_hyperparameter_when_trained_then_the_failure_file_has_the_reason(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.preprocess()
    monkeypatch.setenv("SCREENING_ML_FOLDER", str(jobs.folder))
    with pytest.raises(ValueError, match="unknown hyperparameter"):
        jobs.train(depth="3")
    assert train.main() == 1
    assert (jobs.folder / "output" / "failure").read_text().startswith("ValueError: unknown hyperparameter: depth")


def test_given_an_archive_without_a_model_when_evaluated_then_it_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as members:
        members.addfile(tarfile.TarInfo("../model.json"), io.BytesIO())
    with pytest.raises(ValueError, match=r"holds no model\.json"):
        evaluate.load_artifact(archive)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=3, max_size=3))
def test_given_any_measurements_when_judged_then_the_answer_is_a_probability(measurements: list[float]) -> None:
    model = classifier.Classifier(("a", "b", "c"), (0.0, 1.0, 2.0), (1.0, 2.0, 3.0), (-1.0, 2.0, 0.5), 0.1)
    assert 0 <= model.probability(measurements) <= 1


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=40))
def test_given_any_scores_when_mirrored_then_the_area_under_the_curve_mirrors(judged: list[tuple[float, int]]) -> None:
    scores, labels = [score for score, _ in judged], [label for _, label in judged]
    area = evaluate.area_under_curve(scores, labels)
    assert math.isclose(area, 1 - evaluate.area_under_curve([-score for score in scores], labels))

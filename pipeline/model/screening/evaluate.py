"""Processing step: measures the model on the held-back cases and writes the report in SageMaker's model-quality form."""

import argparse
import json
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from screening.classifier import DECISION, FILE, Classifier
from screening.preprocess import PROCESSING
from screening.tables import Table, read_table


def report(model: Classifier, table: Table) -> dict[str, object]:
    """The report that `ModelMetrics.ModelQuality.Statistics` points to."""
    scores = [model.probability(row) for row in table.rows]
    counts = confusion(scores, table.labels)
    hit, false_alarm, miss = counts["1"]["1"], counts["0"]["1"], counts["1"]["0"]
    precision = hit / (hit + false_alarm) if hit + false_alarm else 0.0
    recall = hit / (hit + miss) if hit + miss else 0.0
    metrics: dict[str, object] = {
        "confusion_matrix": counts,
        "accuracy": measured((hit + counts["0"]["0"]) / len(scores)),
        "auc": measured(area_under_curve(scores, table.labels)),
        "precision": measured(precision),
        "recall": measured(recall),
        "f1": measured(2 * precision * recall / (precision + recall) if precision + recall else 0.0),
    }
    return {"binary_classification_metrics": metrics, "dataset": {"item_count": len(scores)}, "model": {"version": model.version}}


def measured(value: float) -> dict[str, object]:
    """One number in the report's form. Its deviation is unknown: it was measured once."""
    return {"value": round(value, 6), "standard_deviation": "NaN"}


def confusion(scores: Sequence[float], labels: Sequence[int]) -> dict[str, dict[str, int]]:
    """How many cases of each label (outer key) were classified as which (inner key)."""
    counts = {"0": {"0": 0, "1": 0}, "1": {"0": 0, "1": 0}}
    for score, label in zip(scores, labels, strict=True):
        counts[str(label)][str(int(score >= DECISION))] += 1
    return counts


def area_under_curve(scores: Sequence[float], labels: Sequence[int]) -> float:
    """The probability that a malignant case scores above a benign one; a tie counts half. 0.5 where one kind is absent."""
    malignant = [score for score, label in zip(scores, labels, strict=True) if label]
    benign = [score for score, label in zip(scores, labels, strict=True) if not label]
    if not malignant or not benign:
        return 0.5
    wins = sum((high > low) + 0.5 * (high == low) for high in malignant for low in benign)
    return wins / (len(malignant) * len(benign))


def load_artifact(archive: Path) -> Classifier:
    """Takes the model out of a training job's `model.tar.gz`.

    Raises:
        OSError: There is no such archive.
        ValueError: It holds no model.
    """
    with tarfile.open(archive) as members, tempfile.TemporaryDirectory() as folder:
        # Only the one file is read, so nothing in the archive can be written elsewhere.
        names = [name for name in members.getnames() if Path(name) == Path(FILE)]
        content = members.extractfile(names[0]) if names else None
        if content is None:
            raise ValueError(f"{archive} holds no {FILE}")
        (Path(folder) / FILE).write_bytes(content.read())
        return Classifier.load(Path(folder))


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads `input/model/model.tar.gz` and `input/test`, writes `evaluation/evaluation.json`, all under `/opt/ml/processing`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--folder", type=Path, default=PROCESSING)
    folder: Path = parser.parse_args(arguments).folder
    try:
        model = load_artifact(folder / "input" / "model" / "model.tar.gz")
        found = report(model, read_table(folder / "input" / "test"))
    except (OSError, ValueError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    target = folder / "evaluation"
    target.mkdir(parents=True, exist_ok=True)
    (target / "evaluation.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

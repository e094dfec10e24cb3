"""SageMaker's `train` command: fits the classifier on the channel `train` and stores it as the job's model."""

# scikit-learn ships no types.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import json
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from screening.classifier import DECISION, Classifier
from screening.tables import Table, read_table

ML = Path("/opt/ml")
KNOWN = {"regularization", "max-iterations", "seed"}


def fit(table: Table, hyperparameters: Mapping[str, str], training_job: str) -> Classifier:
    """Fits a logistic regression.

    Args:
        table: The cases to learn from.
        hyperparameters: `regularization` (the inverse strength: smaller is a simpler model; default 1), `max-iterations`
            (default 500), `seed` (default 0); all strings, as SageMaker hands them over.
        training_job: The job's name, kept with the model.

    Raises:
        ValueError: A hyperparameter is unknown or no number.
    """
    unknown = sorted(set(hyperparameters) - KNOWN)
    if unknown:
        raise ValueError(f"unknown hyperparameter: {', '.join(unknown)}; known are {', '.join(sorted(KNOWN))}")
    # Imported here: it takes most of this program's time, and wrong input is reported without it.
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    scaler: Any = StandardScaler()
    model: Any = LogisticRegression(
        C=float(hyperparameters.get("regularization", "1")),
        max_iter=int(hyperparameters.get("max-iterations", "500")),
        random_state=int(hyperparameters.get("seed", "0")),
    )
    model.fit(scaler.fit_transform(table.rows), table.labels)
    return Classifier(
        features=table.features,
        means=tuple(float(value) for value in scaler.mean_),
        scales=tuple(float(value) for value in scaler.scale_),
        weights=tuple(float(value) for value in model.coef_[0]),
        bias=float(model.intercept_[0]),
        training_job=training_job,
    )


def accuracy(model: Classifier, table: Table) -> float:
    """The share of cases that the model tells right, 0 to 1."""
    right = sum((model.probability(row) >= DECISION) == bool(label) for label, row in zip(table.labels, table.rows, strict=True))
    return right / len(table.rows)


def run(folder: Path) -> None:
    """Trains by SageMaker's contract below `folder`.

    Raises:
        ValueError: The data or a hyperparameter is not usable.
        OSError: A file of the contract is missing.
    """
    hyperparameters = json.loads((folder / "input" / "config" / "hyperparameters.json").read_text(encoding="utf-8"))
    train = read_table(folder / "input" / "data" / "train")
    validation = read_table(folder / "input" / "data" / "validation")
    model = fit(train, hyperparameters, os.environ.get("TRAINING_JOB_NAME", ""))
    model.save(folder / "model")
    for name, table in (("train", train), ("validation", validation)):
        print(f"{name}:accuracy={accuracy(model, table):.4f}")
    print(f"version={model.version}", flush=True)


def main() -> int:
    """Trains below `/opt/ml`; on failure leaves the reason where SageMaker looks for it."""
    folder = Path(os.environ.get("SCREENING_ML_FOLDER", ML))
    try:
        run(folder)
    except Exception as error:  # noqa: BLE001 - whatever it was, the job must say so
        traceback.print_exc()
        output = folder / "output"
        output.mkdir(parents=True, exist_ok=True)
        # SageMaker shows the first 1024 characters as the job's FailureReason.
        (output / "failure").write_text(f"{type(error).__name__}: {error}"[:1024], encoding="utf-8")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

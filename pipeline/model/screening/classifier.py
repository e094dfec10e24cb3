"""The trained model as it is stored and served: standardised measurements, one weight each, and a logistic curve."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "model.json"
DECISION = 0.5


@dataclass(frozen=True)
class Classifier:
    """A logistic regression over standardised measurements.

    Stored as JSON rather than pickled: loading a model must not run code that came with it.

    Attributes:
        features: The names of the measurements, in order.
        means: What is subtracted from each measurement.
        scales: What the difference is divided by.
        weights: The weight of each standardised measurement.
        bias: The constant term.
        training_job: The name of the SageMaker job that trained it; empty where there was none.
    """

    features: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    training_job: str = ""

    @property
    def version(self) -> str:
        """Twelve hexadecimal digits that follow from what the model computes, not from when or where it was trained."""
        numbers = json.dumps([self.features, self.means, self.scales, self.weights, self.bias])
        return hashlib.sha256(numbers.encode()).hexdigest()[:12]

    def probability(self, measurements: Sequence[float]) -> float:
        """The probability that the tumour is malignant, 0 to 1.

        Raises:
            ValueError: The case has another number of measurements than the model was trained on.
        """
        terms = zip(measurements, self.means, self.scales, self.weights, strict=True)
        score = self.bias + sum(weight * (value - mean) / scale for value, mean, scale, weight in terms)
        # The two forms are equal; each keeps the argument of exp negative, so that it cannot overflow.
        return 1 / (1 + math.exp(-score)) if score >= 0 else math.exp(score) / (1 + math.exp(score))

    def save(self, folder: Path) -> None:
        """Writes the model into `folder`, which is made if absent."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Classifier":
        """Reads the model that `save` wrote.

        Raises:
            OSError: There is no model in `folder`.
        """
        stored = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return cls(
            features=tuple(stored["features"]),
            means=tuple(stored["means"]),
            scales=tuple(stored["scales"]),
            weights=tuple(stored["weights"]),
            bias=stored["bias"],
            training_job=stored["training_job"],
        )

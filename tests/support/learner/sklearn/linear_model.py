"""`sklearn.linear_model`."""

import math
from collections.abc import Sequence
from operator import mul

STEPS = 5
"""Iterations of scikit-learn's that one step here stands for: enough for the sample's data."""


class LogisticRegression:
    """A logistic regression with the same penalty as scikit-learn's, fitted by gradient descent.

    Args:
        C: The inverse strength of the penalty.
        max_iter: The most iterations of scikit-learn's.
        random_state: Not used: nothing here is random.
    """

    def __init__(self, C: float, max_iter: int, random_state: int) -> None:  # noqa: ARG002, N803 - scikit-learn's names
        self._strength = C
        self._steps = max_iter // STEPS

    def fit(self, rows: Sequence[Sequence[float]], labels: Sequence[int]) -> None:
        columns = list(zip(*rows, strict=True))
        # The curvature is at most a quarter of the sum of squares, which is the count for each standardised column and the bias.
        most = self._strength * len(rows) / 4
        rate, bias_rate = 0.5 / (1 + most * len(columns)), 0.5 / most
        weights, bias = [0.0] * len(columns), 0.0
        for _ in range(self._steps):
            errors = [curve(bias + sum(map(mul, weights, row))) - label for row, label in zip(rows, labels, strict=True)]
            slopes = [self._strength * sum(map(mul, errors, column)) for column in columns]
            weights = [weight - rate * (weight + slope) for weight, slope in zip(weights, slopes, strict=True)]
            bias -= bias_rate * self._strength * sum(errors)
        self.coef_ = [weights]
        self.intercept_ = [bias]


def curve(score: float) -> float:
    """The logistic function."""
    return 1 / (1 + math.exp(-score)) if score >= 0 else math.exp(score) / (1 + math.exp(score))

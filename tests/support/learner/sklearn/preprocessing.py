"""`sklearn.preprocessing`."""

from collections.abc import Sequence
from statistics import fmean, pstdev


class StandardScaler:
    """Scales each column to mean 0 and deviation 1."""

    def fit_transform(self, rows: Sequence[Sequence[float]]) -> list[list[float]]:
        columns = list(zip(*rows, strict=True))
        self.mean_ = [fmean(column) for column in columns]
        self.scale_ = [pstdev(column, mean) or 1.0 for column, mean in zip(columns, self.mean_, strict=True)]
        return [[(value - mean) / scale for value, mean, scale in zip(row, self.mean_, self.scale_, strict=True)] for row in rows]

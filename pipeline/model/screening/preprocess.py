"""Processing step: checks the cases and splits them into train, validation and test, the same way each time."""

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from screening.tables import Table, read_table, write_table

PROCESSING = Path("/opt/ml/processing")


def drop_columns(table: Table, names: Sequence[str]) -> Table:
    """The table without the columns named.

    Raises:
        ValueError: A name is no column of the table.
    """
    unknown = sorted(set(names) - set(table.features))
    if unknown:
        raise ValueError(f"no such column: {', '.join(unknown)}")
    kept = [index for index, feature in enumerate(table.features) if feature not in names]
    return replace(
        table,
        features=tuple(table.features[index] for index in kept),
        rows=tuple(tuple(row[index] for index in kept) for row in table.rows),
    )


def split(table: Table, test_share: float, seed: int) -> dict[str, Table]:
    """Splits into `train`, `validation` and `test`; each has the same share of malignant cases.

    Args:
        table: All cases.
        test_share: The share that is held back for `test`, 0 to 0.5. `validation` gets a tenth of all cases.
        seed: The same seed gives the same split.

    Raises:
        ValueError: The share is out of its bounds.
    """
    if not 0 < test_share <= 0.5:  # noqa: PLR2004 - more would leave too little to train on
        raise ValueError(f"the test share must be above 0 and at most 0.5, not {test_share}")
    dice = random.Random(seed)
    parts: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for label in (0, 1):
        indexes = [index for index, found in enumerate(table.labels) if found == label]
        dice.shuffle(indexes)
        tested, validated = round(len(indexes) * test_share), round(len(indexes) * 0.1)
        parts["test"] += indexes[:tested]
        parts["validation"] += indexes[tested : tested + validated]
        parts["train"] += indexes[tested + validated :]
    return {name: _pick(table, sorted(indexes)) for name, indexes in parts.items()}


def _pick(table: Table, indexes: Sequence[int]) -> Table:
    return replace(
        table, labels=tuple(table.labels[index] for index in indexes), rows=tuple(table.rows[index] for index in indexes)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads `input/data` and writes `train`, `validation` and `test` under `/opt/ml/processing`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--test-share", type=float, required=True)
    parser.add_argument("--drop-column", action="append", default=[], metavar="NAME")
    parser.add_argument("--folder", type=Path, default=PROCESSING)
    options = parser.parse_args(arguments)
    try:
        table = drop_columns(read_table(options.folder / "input" / "data"), options.drop_column)
        parts = split(table, options.test_share, options.seed)
    except ValueError as error:
        print(f"preprocess: {error}", file=sys.stderr)
        return 1
    for name, part in parts.items():
        write_table(part, options.folder / name)
        print(f"{name}: {len(part.rows)} cases, {sum(part.labels)} malignant, {len(part.features)} measurements", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The data files that the steps hand each other: CSV with one header line, the label in the first column."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

LABEL = "malignant"


@dataclass(frozen=True)
class Table:
    """Labelled cases.

    Attributes:
        features: The names of the measurements, in the order of each row.
        labels: 1 for a malignant tumour, 0 for a benign one.
        rows: One tuple of measurements per case.
    """

    features: tuple[str, ...]
    labels: tuple[int, ...]
    rows: tuple[tuple[float, ...], ...]


def read_table(folder: Path) -> Table:
    """Reads every CSV file of a folder as one table.

    Raises:
        ValueError: There is no CSV file, its header differs, or a value is no number; the message names file and line.
    """
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise ValueError(f"no CSV file in {folder}")
    parts = [_read_file(file) for file in files]
    if any(part.features != parts[0].features for part in parts):
        raise ValueError(f"the CSV files in {folder} have different headers")
    return Table(
        features=parts[0].features,
        labels=tuple(label for part in parts for label in part.labels),
        rows=tuple(row for part in parts for row in part.rows),
    )


def _read_file(file: Path) -> Table:
    labels: list[int] = []
    rows: list[tuple[float, ...]] = []
    with file.open(newline="", encoding="utf-8") as stream:
        reader = csv.reader(stream)
        header: list[str] = next(reader, list[str]())
        if header[:1] != [LABEL]:
            raise ValueError(f"{file.name}: the first column must be {LABEL!r}, found {header[:1]}")
        for cells in reader:
            label, row = _read_row(cells, len(header), f"{file.name}, line {reader.line_num}")
            labels.append(label)
            rows.append(row)
    return Table(features=tuple(header[1:]), labels=tuple(labels), rows=tuple(rows))


def _read_row(cells: list[str], width: int, where: str) -> tuple[int, tuple[float, ...]]:
    if len(cells) != width:
        raise ValueError(f"{where}: {len(cells)} values, the header has {width}")
    if cells[0] not in {"0", "1"}:
        raise ValueError(f"{where}: the label must be 0 or 1, found {cells[0]!r}")
    try:
        row = tuple(float(cell) for cell in cells[1:])
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    if not all(math.isfinite(value) for value in row):
        raise ValueError(f"{where}: a measurement is not finite")
    return int(cells[0]), row


def write_table(table: Table, folder: Path) -> None:
    """Writes `table` as `cases.csv` into `folder`, which is made if absent."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "cases.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([LABEL, *table.features])
        for label, row in zip(table.labels, table.rows, strict=True):
            writer.writerow([label, *row])

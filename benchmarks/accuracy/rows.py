"""Rows of a results table: which are there, and one more as soon as it is found."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def done(results: Path, key: list[str]) -> set[tuple[object, ...]]:
    """Give the keys of the rows of a table; none where there is no table yet."""
    return set(pd.read_csv(results)[key].itertuples(index=False, name=None)) if results.exists() else set()


def append(results: Path, row: Mapping[str, object]) -> None:
    """Write a row below the others; a new table starts with the names of its columns."""
    new = not results.exists()
    with results.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)

"""What the legend of a picture of domains says, where it stands, and the room that it takes."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from semst._problems import Problems, listed
from semst.pl._columns import labels_among
from semst.pl._describe import has_description, read_names
from semst.pl._draw import name_of_missing
from semst.pl._slices import slice_of_colorbar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData
    from numpy.typing import NDArray

_ROW = 0.25  # inches
_LETTERS = 36  # in a line, where domains are named


def legend_entries(
    table: AnnData,
    keys: list[str],
    columns: Mapping[str, pd.Categorical | NDArray[np.float64]],
    problems: Problems,
    *,
    names: bool,
    name: str,
) -> dict[str, dict[str, str]]:
    """What the legend says of each category of each key: its label, and its name where that is wanted and there."""
    labels = labels_among(columns)
    entries = {key: {each: each for each in map(str, column.categories)} for key, column in labels.items()}
    if not names:
        return entries
    for key in keys:
        optional = key != keys[0] or key not in columns
        if optional and not (key in labels and has_description(table, key)):
            continue
        found = read_names(table, key, problems, name=name)
        if found is None:
            continue
        if key not in labels:
            problems.add(f"obs[{key!r}] holds no labels that could be named; make it categorical.")
            continue
        unknown = sorted(set(map(str, labels[key].remove_unused_categories().categories)) - set(found))
        if unknown:
            problems.add(
                f"obs[{key!r}] has the domains {listed(unknown)}, but those described are {listed(found)}; "
                f"run `semst.tl.describe({name}, key={key!r})` again."
            )
        entries[key] |= {label: _named(label, words) for label, words in found.items() if words}
    return entries


def _named(label: str, words: str) -> str:
    """Put a name beside a label, apart from it where the label is made of words as well."""
    return "\n".join(textwrap.wrap(f"{label} {words}" if label.isdigit() else f"{label}: {words}", _LETTERS))


def legend_width(column: pd.Categorical | NDArray[np.float64], entries: Mapping[str, str], height: float) -> float:
    """Inches that a legend in ten-point type takes, near enough for the size of a figure."""
    if not isinstance(column, pd.Categorical):
        return 0.8
    shown = [*entries.values(), *([name_of_missing(column)] if (np.asarray(column.codes) < 0).any() else [])]
    lines = [line for entry in shown for line in entry.split("\n")]
    longest = max(map(len, lines), default=0)
    return -(-len(lines) // rows_beside(height)) * (0.45 + 0.085 * longest)


def rows_beside(height: float) -> int:
    """How many lines of a legend have room beside a panel."""
    return max(1, int(height / _ROW))


def explaining_slice(
    column: pd.Categorical | NDArray[np.float64], slices: Mapping[str, NDArray[np.int64]], *, in_row: int
) -> str:
    """Name of the slice beside which the colours are explained, at the end of the first row."""
    if isinstance(column, pd.Categorical):
        return (list(slices) or [""])[in_row - 1]
    return slice_of_colorbar(column, slices, in_row=in_row)

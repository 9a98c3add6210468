"""Several slices in one figure: a panel for each, one set of colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from semst._labels import empty_as_missing
from semst._problems import Problems, counted, listed
from semst.pl._colors import as_labels, reading_order
from semst.pl._palette import UNLABELLED

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from numpy.typing import NDArray


def slices_of(table: AnnData, batch_key: str, problems: Problems) -> dict[str, NDArray[np.int64]]:
    """Rows of each slice, by its name.

    Parameters
    ----------
    table
        ``n_spots`` observations.
    batch_key
        Key of ``obs``: categories, text, booleans or whole numbers.
    problems
        Collects: no such key, spots without a slice.

    Returns
    -------
    In natural order of names, or the user's own where the categories are ordered; empty where ``problems`` says why.
    """
    if batch_key not in table.obs:
        problems.missing(f"no obs[{batch_key!r}], which `batch_key` names; obs has {listed(table.obs.columns)}.")
        return {}
    column = empty_as_missing(table.obs[batch_key])
    unknown = int(column.isna().sum())
    if unknown:
        without = counted(unknown, "spot has", "spots have")
        problems.add(f"{without} no slice in obs[{batch_key!r}]; name their slice or remove them.")
        return {}
    labels = as_labels(column)
    if labels is None:  # numbers are names here
        labels = as_labels(column.astype(str))
    assert labels is not None  # for the type checker: text is always read as labels
    return {name: np.flatnonzero(np.asarray(labels == name)) for name in reading_order(labels)}


def image_of(table: AnnData, spatial_key: str, name: str, *, image: bool | str | None) -> bool | str | None:
    """Say which picture lies beneath a slice: of several libraries the one that bears its name, else none."""
    stored: Any = table.uns.get(spatial_key)
    libraries = [str(key) for key in stored] if hasattr(stored, "items") else []
    if isinstance(image, str) or image is False or len(libraries) < 2:
        return image
    return name if name in libraries else image or False


def legend_of(labels: pd.Categorical, colors: list[str]) -> dict[str, str]:
    """Colours by name in the order of the legend: of all slices, also where one lacks a category."""
    color_of = {str(name): color for name, color in zip(labels.categories, colors, strict=True)}
    shown = {name: color_of[name] for name in reading_order(labels)}
    return shown | ({"unlabelled": UNLABELLED} if (np.asarray(labels.codes) < 0).any() else {})


def heading(key: str, name: str, *, several_keys: bool) -> str:
    """Title of the panel of a slice."""
    return f"{key}, {name}" if several_keys else name

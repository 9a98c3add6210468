"""The columns of ``obs`` that a picture is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from semst._keys import CLUSTER
from semst._problems import Problems, listed, meant
from semst.pl._colors import as_labels, check_labels

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray


def read_keys(color: object, *, where: str) -> list[str]:
    """Keys of the picture that is called ``where``; TypeError if they are none."""
    keys = [color] if isinstance(color, str) else list(color) if isinstance(color, Iterable) else [color]
    wrong = [key for key in keys if not isinstance(key, str)]
    if wrong:
        message = (
            f"{where}: `color` must be a key of obs, or a list of several, got {type(wrong[0]).__name__}; leave it "
            f"out for the domains of `semst.tl.cluster`."
        )
        raise TypeError(message)
    return [str(key) for key in keys]


def read_columns(
    table: AnnData, keys: list[str], problems: Problems, *, name: str
) -> dict[str, pd.Categorical | NDArray[np.float64]]:
    """Labels or numbers by key; what is not there, or is neither, is a problem."""
    if not keys:
        problems.add("`color` names no key of obs.")
    columns: dict[str, pd.Categorical | NDArray[np.float64]] = {}
    for key in keys:
        if key not in table.obs:
            problems.missing(f"no obs[{key!r}]; {_way_out(table, key, name=name)}")
            continue
        if not check_labels(table.obs[key], key, problems):
            continue
        labels = as_labels(table.obs[key])
        columns[key] = table.obs[key].to_numpy(dtype=np.float64, na_value=np.nan) if labels is None else labels
    return columns


def labels_among(columns: Mapping[str, pd.Categorical | NDArray[np.float64]]) -> dict[str, pd.Categorical]:
    """Those of the columns that are drawn as domains."""
    return {key: column for key, column in columns.items() if isinstance(column, pd.Categorical)}


def _way_out(table: AnnData, key: str, *, name: str) -> str:
    """Say what could have been meant by a key that is not in ``obs``."""
    there = f"obs has {listed(table.obs.columns)}."
    if key in table.var_names:
        how = f"`squidpy.pl.spatial_scatter(adata, color={key!r}, shape=None)` or by scanpy"
        return (
            f"{key!r} is a gene, and this function draws domains and other columns of obs. Genes are drawn by "
            f"{how if name == 'adata' else 'spatialdata-plot'}, and averaged over neighbours by "
            f"`semst.tl.query({name}, {key!r})` and `semst.pl.query({name})`; {there}"
        )
    if near := meant(key, table.obs.columns):
        return f"{near} {there[0].upper()}{there[1:]}"
    # Whoever wants domains and has none yet, asks for no gene.
    called = [] if key == CLUSTER.obs else [str(gene).upper() for gene in table.var_names]
    genes = get_close_matches(key.upper(), called, n=3, cutoff=0.7)
    spelled = [str(gene) for gene in table.var_names if str(gene).upper() in genes][:3]
    alike = f" Genes of like names are {listed(spelled)}; they are drawn by squidpy and scanpy." if spelled else ""
    return f"{there}{alike} Domains are made by `semst.tl.cluster({name}, n_clusters=...)`."

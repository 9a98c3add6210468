"""Which slice each spot belongs to, and whether the spatial graph knows it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from semst._keys import SPATIAL
from semst._labels import empty_as_missing
from semst._problems import Problems, counted, listed

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

logger = logging.getLogger("semst")

FEWEST_SPOTS = 10  # of a tissue, and of a slice: of fewer the mean of a gene says nothing


def slice_column(table: AnnData, key: object, problems: Problems) -> pd.Series | None:
    """Read the names of the slices, one for each spot; None where ``problems`` says why not."""
    if not isinstance(key, str):
        problems.add(f"`batch_key` must be a key of obs, got {type(key).__name__}; put what tells slices apart there.")
        return None
    if key not in table.obs:
        problems.missing(f"no obs[{key!r}], which `batch_key` names; obs has {listed(table.obs.columns)}.")
        return None
    column = empty_as_missing(table.obs[key])
    unknown = np.flatnonzero(column.isna().to_numpy())
    if unknown.size:
        problems.add(
            f"{counted(unknown.size, 'spot has', 'spots have')} no slice in obs[{key!r}] "
            f"({listed(table.obs_names[unknown], limit=3)}); name their slice or remove them."
        )
        return None
    if pd.api.types.is_float_dtype(column) and (column % 1 != 0).any():
        problems.add(f"obs[{key!r}] holds numbers with fractions, which name no slice; name another with `batch_key`.")
        return None
    return column


def read_slices(table: AnnData, key: str | None, problems: Problems) -> NDArray[np.int64] | None:
    """Read which slice each spot belongs to.

    Parameters
    ----------
    table
        With the key in ``obs``.
    key
        None where there is one slice.
    problems
        Collects: a missing key, spots without a slice, fractions, slices of fewer than 10 spots.

    Returns
    -------
    ``(n_spots,)`` int64, numbered from 0 in the order of their first spots, so that names do not matter; None where
    there is one slice, or where ``problems`` says why not.
    """
    if key is None:
        return None
    column = slice_column(table, key, problems)
    if column is None:
        return None
    codes, names = pd.factorize(column)
    sizes = np.bincount(codes)
    small = np.flatnonzero(sizes < FEWEST_SPOTS) if sizes.size > 1 else np.array([], dtype=np.int64)
    if small.size:
        few = f"{small.size} of {sizes.size} slices in obs[{key!r}] {'has' if small.size == 1 else 'have'}"
        told = listed([f"{names[number]}: {sizes[number]}" for number in small], limit=3)
        problems.add(
            f"{few} fewer than {FEWEST_SPOTS} spots ({told}); leave them out, or name another key with `batch_key`."
        )
        return None
    if sizes.size < 2:
        logger.info("obs[%r] names one slice: it is run without batch_key.", key)
        return None
    numbers: NDArray[np.int64] = codes.astype(np.int64)
    return numbers


def check_graph(table: AnnData, problems: Problems, slices: NDArray[np.int64] | None) -> None:
    """Note a spatial graph without edges, which would leave every spot alone, or with edges between slices."""
    graph = table.obsp.get(SPATIAL.connectivities)
    if graph is not None and not _crosses(graph, np.arange(table.n_obs)).any():
        problems.add(
            f"obsp[{SPATIAL.connectivities!r}] has no edges between spots; make it again with squidpy, or delete it "
            "and semst makes its own."
        )
    if graph is None or slices is None:
        return
    crossing = int(np.count_nonzero(_crosses(graph, slices)))
    if crossing:
        problems.add(
            f"obsp[{SPATIAL.connectivities!r}] has {counted(crossing, 'edge', 'edges')} between slices; make it again "
            "with squidpy and `library_key`, or delete it and semst makes its own."
        )


def _crosses(graph: Any, groups: NDArray[np.int64]) -> NDArray[np.bool_]:  # noqa: ANN401 (any sparse matrix)
    """Tell of each entry of a graph whether it is an edge from one group of spots to another."""
    edges = sparse.coo_matrix(graph)
    crossing: NDArray[np.bool_] = (groups[edges.row] != groups[edges.col]) & (edges.data != 0)
    return crossing

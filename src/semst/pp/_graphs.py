"""The two graphs over spots: who lies beside whom, and who expresses the same."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from semst._keys import SPATIAL, VISIUM

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

logger = logging.getLogger("semst")

_MOST_ALONE = 0.05  # of the spots on a grid: where more have no neighbour there, the section was thinned


def on_hexagons(table: AnnData) -> bool:
    """Tell whether the spots lie on Visium's hexagons: in each row, every other column is used."""
    if VISIUM.row not in table.obs or VISIUM.col not in table.obs:
        return False
    row, col = (pd.to_numeric(table.obs[key], errors="coerce").to_numpy(float) for key in (VISIUM.row, VISIUM.col))
    parity = (row + col) % 2
    # Two slides in one table use the same positions: that is no grid, and would connect them.
    one_slide = np.unique(np.stack([row, col]), axis=1).shape[1] == row.size
    return bool(one_slide and np.unique(row).size > 1 and (np.all(parity == 0) or np.all(parity == 1)))


def spatial_graph(
    table: AnnData,
    coordinates: NDArray[np.float64],
    *,
    n_neighbors: int = 6,
    slices: NDArray[np.int64] | None = None,
) -> sparse.csr_matrix:
    """Connect spots that lie beside each other, as squidpy does.

    A graph that is in the table already, under squidpy's key, is taken as it is. Else spots on Visium's hexagons get
    their up to six neighbours on the grid, and all other tissue the ``n_neighbors`` nearest, both ways; so does a
    section of which so few spots are left that more than a twentieth have no neighbour on the grid.

    Parameters
    ----------
    table
        ``n_spots`` observations.
    coordinates
        ``(n_spots, 2)``.
    n_neighbors
        Nearest neighbours where there is no grid, at least 1.
    slices
        ``(n_spots,)`` number of each spot's slice, from 0: each slice has coordinates and a grid of its own, and no
        edge leads from one to another. The default takes all spots for one slice.

    Returns
    -------
    ``(n_spots, n_spots)`` float32 CSR of ones, symmetric, no self loops.
    """
    if SPATIAL.connectivities in table.obsp:
        return _binary(table.obsp[SPATIAL.connectivities])
    if slices is not None:
        return _slice_by_slice(table, coordinates, slices, n_neighbors=n_neighbors)
    knn_builder, radius_builder = _squidpy_builders()
    if on_hexagons(table):
        # Grid positions, not pixels: the slide may be turned or squeezed in the picture.
        row, col = (np.asarray(table.obs[key], dtype=float) for key in (VISIUM.row, VISIUM.col))
        grid = np.stack([col / 2, row * np.sqrt(3) / 2], axis=1)
        graph = _binary(radius_builder(radius=1.1).build(grid)[0])
        alone = int((graph.getnnz(axis=1) == 0).sum())
        if alone <= _MOST_ALONE * table.n_obs:
            return graph
        logger.info(
            "%d of %d spots have no neighbour on Visium's grid; each is connected with the %d nearest instead.",
            alone,
            table.n_obs,
            n_neighbors,
        )
    return _binary(knn_builder(n_neighs=min(n_neighbors, table.n_obs - 1)).build(coordinates)[0])


def _squidpy_builders() -> tuple[Any, Any]:
    """Import squidpy's builders of graphs, without what a package that it needs warns of in its own docstrings."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=SyntaxWarning, module="docrep")
        from squidpy.gr.neighbors import KNNBuilder, RadiusBuilder
    return KNNBuilder, RadiusBuilder


def _slice_by_slice(
    table: AnnData, coordinates: NDArray[np.float64], slices: NDArray[np.int64], *, n_neighbors: int
) -> sparse.csr_matrix:
    """Put the graphs of the slices into one, each among the spots of its slice."""
    order = np.argsort(slices, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(slices))[:-1])
    edges = [spatial_graph(table[spots], coordinates[spots], n_neighbors=n_neighbors).tocoo() for spots in parts]
    rows = np.concatenate([spots[each.row] for spots, each in zip(parts, edges, strict=True)])
    columns = np.concatenate([spots[each.col] for spots, each in zip(parts, edges, strict=True)])
    ones = np.ones(rows.size, dtype=np.float32)
    return _binary(sparse.csr_matrix((ones, (rows, columns)), shape=(slices.size, slices.size)))


def widen(graph: sparse.csr_matrix) -> sparse.csr_matrix:
    """Connect all spots at most two steps apart: on hexagons the 18 nearest instead of the 6 nearest.

    Examples
    --------
    >>> import numpy as np
    >>> path = sparse.csr_matrix(np.array([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]]))
    >>> widen(path).toarray().astype(int)
    array([[0, 1, 1, 0],
           [1, 0, 1, 1],
           [1, 1, 0, 1],
           [0, 1, 1, 0]])
    """
    return _binary(graph + graph @ graph)


def steps_around(graph: sparse.csr_matrix, spots: NDArray[np.int64], steps: int) -> sparse.csr_matrix:
    """Connect some spots with all spots at most so many steps away: those rows of the graph, widened, and no others.

    Parameters
    ----------
    graph
        ``(n, n)`` CSR of ones, symmetric, no self loops.
    spots
        ``(m,)`` indices.
    steps
        At least 1.

    Returns
    -------
    ``(m, n)`` CSR of ones; no spot is connected with itself.

    Examples
    --------
    >>> import numpy as np
    >>> path = sparse.csr_matrix(np.array([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]]))
    >>> steps_around(path, np.array([0]), 2).toarray().astype(int)
    array([[0, 1, 1, 0]])
    """
    rows: Any = graph
    around = rows[spots]
    itself = sparse.csr_matrix(
        (np.ones(spots.size, dtype=np.float32), (np.arange(spots.size), spots)), shape=around.shape
    )
    for _ in range(steps - 1):
        around = sparse.csr_matrix(around + around @ graph)
        around.data[:] = 1
    around = sparse.csr_matrix(around - around.multiply(itself))
    around.eliminate_zeros()
    result: sparse.csr_matrix = around
    return result


def expression_graph(features: NDArray[np.float32], *, n_neighbors: int = 15) -> sparse.csr_matrix:
    """Connect each spot with those of most similar expression, by cosine.

    All pairs are compared: large tissue comes tile by tile.

    Parameters
    ----------
    features
        ``(n_spots, d)``.
    n_neighbors
        At least 1; the paper's 14-15.

    Returns
    -------
    ``(n_spots, n_spots)`` float32 CSR of ones, symmetric, no self loops.

    References
    ----------
    Long et al., arXiv:2511.11380 (feature graph).
    """
    from sklearn.neighbors import NearestNeighbors
    from threadpoolctl import threadpool_limits

    n = features.shape[0]
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.where(length > 0, length, 1)
    # On unit vectors the Euclidean order is the order by cosine. Spots with the same neighbours in space have the same
    # averages, and how many threads share the work would decide by rounding which of them is nearer.
    with threadpool_limits(1):
        index = NearestNeighbors(n_neighbors=min(n_neighbors, n - 1)).fit(unit).kneighbors(return_distance=False)
    rows = np.repeat(np.arange(n), index.shape[1])
    ones = np.ones(rows.size, dtype=np.float32)
    return _binary(sparse.csr_matrix((ones, (rows, index.ravel())), shape=(n, n)))


def _binary(graph: Any) -> sparse.csr_matrix:  # noqa: ANN401
    """Make a graph symmetric, without self loops, with a one for each edge."""
    edges: Any = sparse.csr_matrix(graph, dtype=np.float32)
    edges = sparse.csr_matrix(edges + edges.T)
    edges.setdiag(0)
    edges.eliminate_zeros()
    edges.sort_indices()
    edges.data[:] = 1
    result: sparse.csr_matrix = edges
    return result

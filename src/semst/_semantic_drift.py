"""How far averaging over neighbours takes embeddings off the subspace that embeddings like them lie in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from semst._batch_key import check_graph, read_slices
from semst._inputs import find_table, is_spatialdata, read_coordinates, read_matrix
from semst._joined import warn_of_joined_slices
from semst._keys import SEMANTICS, SPATIAL
from semst._problems import Problems, is_whole, listed

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray
    from scipy import sparse
    from spatialdata import SpatialData

_WHERE = "semst.metrics.semantic_drift"
_EXACT_UP_TO = 20_000  # spots; above, nearest embeddings are searched approximately
_NUMBERS_IN_MEMORY = 2**24  # of neighbours' embeddings at a time
# Directions in which the neighbours spread less than this (relative to the first) are rounding, not directions.
_FLAT = 1e-10


def semantic_drift(
    data: AnnData | SpatialData,
    *,
    key: str = SEMANTICS.obsm,
    rings: int | Iterable[int] = (0, 1, 2, 4),
    n_neighbors: int = 50,
    n_components: int = 10,
    random_state: int = 0,
    table_key: str | None = None,
    spatial_key: str = SPATIAL.coordinates,
    coordinate_system: str | None = None,
    batch_key: str | None = None,
) -> pd.DataFrame:
    r"""Measure how far averaging over spatial neighbours takes embeddings off their local principal subspace.

    Parameters
    ----------
    data
        Table of ``n_spots`` observations, or a SpatialData that holds one.
    key
        Key of ``obsm`` with the embeddings, ``(n_spots, d)``.
    rings
        Over how many steps of the spatial graph each embedding is averaged, at least 0: 1 takes a spot and those beside
        it, 2 the spots beside those as well; 0 averages nothing and tells how far the embeddings lie off by themselves.
        One number or several. The graph is the one that :func:`semst.tl.cluster` uses by default.
    n_neighbors
        How many spots of nearest embedding (Euclidean) tell the local subspace, at least 2 and below ``n_spots``.
    n_components
        Dimensions of the local subspace, at least 1 and below both ``n_neighbors`` and ``d``.
    random_state
        Seed of the approximate search for nearest embeddings that is used above 20 000 spots.
    table_key
        Name of the table in a SpatialData; needed only where there are several.
    spatial_key
        Key of ``obsm`` with the coordinates.
    coordinate_system
        Coordinate system of a SpatialData; the default is ``"global"``, or the only one there is.
    batch_key
        Key of ``obs`` that says which slice a spot belongs to, as :func:`semst.tl.cluster` takes it: rings stay within
        a slice, while nearest embeddings may lie in any. The default takes all spots for one slice, with a warning
        where they look like several.

    Returns
    -------
    DataFrame ``(n_spots, len(rings))`` of float64, at least 0: one row for each spot, by its name, and one column for
    each number of rings. Its ``mean()`` is the curve over rings. NaN where the neighbours all have one embedding, and
    so no spread to compare with. Nothing is written.

    Raises
    ------
    TypeError
        If ``data`` is neither AnnData nor SpatialData.
    KeyError
        If the embeddings, the coordinates or ``batch_key`` are not there.
    ValueError
        If the embeddings are no finite matrix, the coordinates are not finite, or a number is out of its range; if a
        spot has no slice, a slice fewer than 10 spots, or a graph that is there edges between slices or none at all.

    Notes
    -----
    Let :math:`x_i` be the embeddings and :math:`N_i` the spots, without *i*, of nearest embedding; :math:`c_i` their
    mean, :math:`V_i` their leading principal components, and :math:`\bar x_i` the mean embedding of the spot and those
    within so many rings of it in space. Then

    .. math::

        \mathrm{drift}_i = \frac{\lVert (I - V_i V_i^\top)(\bar x_i - c_i) \rVert}
                                {\sqrt{\frac{1}{|N_i|} \sum_{j \in N_i} \lVert x_j - c_i \rVert^2}}

    is the distance from the local subspace, in units of how far embeddings like this one spread. It is 0 where the
    average stays in the subspace. The column of 0 rings is the noise of single spots, and what counts is the difference
    from it: above it averaging leaves the space that the embeddings fill, below it averaging brings noisy ones back.
    The share of the displacement :math:`\bar x_i - x_i` that lies outside of :math:`V_i` would not tell the one from
    the other, since it takes the loss of noise for drift: on real tissue it is about 0.9 whatever is averaged.

    That averaging text embeddings may leave the surface that they lie on, and that local principal components can tell
    so, is the observation of [1]_; the definition here is ours.

    References
    ----------
    .. [1] L. Yang et al., GeoGNN: Quantifying and Mitigating Semantic Drift in Text-Attributed Graphs, arXiv:2511.09042
       (2025).

    Examples
    --------
    Embeddings on a circle: the mean of three neighbours lies inside of it.

    >>> import numpy as np
    >>> from anndata import AnnData
    >>> turn = 2 * np.pi * np.arange(60) / 60
    >>> adata = AnnData(np.ones((60, 1), dtype=np.float32), obsm={"spatial": np.c_[np.cos(turn), np.sin(turn)]})
    >>> adata.obsm["gene_semantics"] = adata.obsm["spatial"]
    >>> from scipy import sparse
    >>> beside = sparse.coo_matrix((np.ones(60), (np.arange(60), (np.arange(60) + 1) % 60)))
    >>> adata.obsp["spatial_connectivities"] = (beside + beside.T).tocsr()
    >>> semantic_drift(adata, rings=[1, 4], n_neighbors=4, n_components=1).mean().round(3).to_dict()
    {1: 0.061, 4: 0.137}
    """
    name = "sdata" if is_spatialdata(data) else "adata"
    table = find_table(data, table_key=table_key, where=_WHERE)
    problems = Problems(_WHERE)
    embeddings = _read_embeddings(table, key, problems, name=name)
    steps = _check_rings(rings, problems)
    _check_numbers(embeddings, problems, n_neighbors=n_neighbors, n_components=n_components, random_state=random_state)
    slices = read_slices(table, batch_key, problems)
    coordinates = read_coordinates(
        data, table, problems, spatial_key=spatial_key, coordinate_system=coordinate_system, slices=slices
    )
    check_graph(table, problems, slices)
    problems.raise_if_any()
    assert embeddings is not None  # for the type checker: a missing one is a problem, raised above
    assert coordinates is not None
    if batch_key is None:
        warn_of_joined_slices(table, coordinates, where="semantic_drift", by_graph=True)
    from semst.pp._graphs import spatial_graph

    averaged = dict(_averages(embeddings, spatial_graph(table, coordinates, slices=slices), max(steps)))
    nearest = _nearest(embeddings, n_neighbors, random_state=random_state)
    drift = np.empty((len(embeddings), len(steps)))
    size = max(1, _NUMBERS_IN_MEMORY // (n_neighbors * embeddings.shape[1]))
    for start in range(0, len(embeddings), size):
        rows = slice(start, start + size)
        points = np.stack([averaged[step][rows] for step in steps], axis=1)
        drift[rows] = _off_subspace(points, embeddings[nearest[rows]], n_components)
    return pd.DataFrame(drift, index=table.obs_names, columns=pd.Index(steps, name="rings"))


def _read_embeddings(table: AnnData, key: str, problems: Problems, *, name: str) -> NDArray[np.float64] | None:
    if key not in table.obsm:
        problems.missing(
            f"no embeddings: obsm[{key!r}] is missing; obsm has {listed(table.obsm)}. "
            f"Those of meaning are made by `semst.pp.gene_semantics({name})`."
        )
        return None
    return read_matrix(table, "obsm", key, problems, dtype=np.float64)


def _check_rings(rings: int | Iterable[int], problems: Problems) -> list[int]:
    steps: list[Any] = list(rings) if isinstance(rings, Iterable) else [rings]
    if not steps or not all(is_whole(step, least=0) for step in steps) or len(set(steps)) < len(steps):
        problems.add(f"rings must be whole numbers of at least 0, each once, got {rings!r}.")
        return [0]
    return [int(step) for step in steps]


def _check_numbers(
    embeddings: NDArray[np.float64] | None,
    problems: Problems,
    *,
    n_neighbors: int,
    n_components: int,
    random_state: int,
) -> None:
    allowed = {"n_neighbors": (n_neighbors, 2), "n_components": (n_components, 1), "random_state": (random_state, 0)}
    wrong = [name for name, (value, least) in allowed.items() if not is_whole(value, least=least)]
    for name in wrong:
        value, least = allowed[name]
        problems.add(f"{name} must be a whole number of at least {least}, got {value!r}.")
    if wrong or embeddings is None:
        return
    n_spots, width = embeddings.shape
    if n_neighbors >= n_spots:
        problems.add(f"n_neighbors must be below the number of spots ({n_spots}), got {n_neighbors}.")
    if n_components >= min(n_neighbors, width):
        problems.add(
            f"n_components must be below n_neighbors ({n_neighbors}) and the width of the embeddings ({width}), "
            f"got {n_components}: nothing lies outside of a subspace that is as wide."
        )


def _averages(
    embeddings: NDArray[np.float64], graph: sparse.csr_matrix, furthest: int
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Average over ever more rings, from none to ``furthest``."""
    from scipy.sparse import csr_matrix, identity

    yield 0, embeddings
    own: Any = identity(len(embeddings), dtype=np.float32, format="csr")
    step: Any = graph + own
    reached = own
    for ring in range(1, furthest + 1):
        reached = csr_matrix(reached @ step)
        reached.data[:] = 1
        yield ring, (reached @ embeddings) / reached.getnnz(axis=1)[:, None]


def _nearest(embeddings: NDArray[np.float64], n_neighbors: int, *, random_state: int) -> NDArray[np.int64]:
    """Find the spots of nearest embedding, never the spot itself: ``(n, n_neighbors)``."""
    if len(embeddings) <= _EXACT_UP_TO:
        from sklearn.neighbors import NearestNeighbors

        index = NearestNeighbors(n_neighbors=n_neighbors).fit(embeddings).kneighbors(return_distance=False)
        return np.asarray(index, dtype=np.int64)
    from pynndescent import NNDescent

    search = NNDescent(embeddings.astype(np.float32), n_neighbors=n_neighbors + 1, random_state=random_state)
    found = np.asarray(search.neighbor_graph[0], dtype=np.int64)
    # Spots with one and the same embedding may come before the spot itself, so it is found by its number.
    order = np.argsort(found == np.arange(len(found))[:, None], axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1)[:, :n_neighbors]


def _off_subspace(
    points: NDArray[np.float64], neighbors: NDArray[np.float64], n_components: int
) -> NDArray[np.float64]:
    """Distance of points from the principal subspace of their neighbours, in units of the neighbours' spread.

    Parameters
    ----------
    points
        ``(n, p, d)``: several for each spot.
    neighbors
        ``(n, k, d)``.
    n_components
        Below ``k``.

    Returns
    -------
    ``(n, p)``.
    """
    centre = neighbors.mean(axis=1, keepdims=True)
    centred, away = neighbors - centre, points - centre
    # Few neighbours in many dimensions: the small matrix of their products has the same components.
    products = centred @ centred.transpose(0, 2, 1)
    values, vectors = np.linalg.eigh(products)
    values, vectors = values[:, ::-1][:, :n_components], vectors[:, :, ::-1][:, :, :n_components]
    there = values > _FLAT * values[:, :1]
    scale = np.where(there, 1 / np.sqrt(np.where(there, values, 1)), 0)
    components = (vectors * scale[:, None, :]).transpose(0, 2, 1) @ centred
    outside = away - (away @ components.transpose(0, 2, 1)) @ components
    spread = np.sqrt(np.einsum("nii->n", products) / neighbors.shape[1])[:, None]
    # What equal neighbours differ in is the rounding of their mean.
    apart = spread > _FLAT * np.linalg.norm(centre, axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        drift: NDArray[np.float64] = np.where(apart, np.linalg.norm(outside, axis=2) / spread, np.nan)
    return drift

"""How good a partition of a tissue is: agreement with experts' labels, and smoothness in space without any labels.

And how well embeddings stand being averaged over neighbours. Nothing here is used while domains are sought; these
numbers only judge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from semst._doubts import warn_of_joined_slices
from semst._inputs import find_table, is_spatialdata, read_coordinates
from semst._keys import CLUSTER, GROUND_TRUTH, SPATIAL
from semst._labels import empty_as_missing
from semst._problems import Problems, counted, listed
from semst._semantic_drift import semantic_drift

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData
    from numpy.typing import ArrayLike, NDArray
    from spatialdata import SpatialData

__all__ = ["agreement", "chaos", "pas", "score", "semantic_drift"]

_PAS_NEIGHBORS = 10
_PAS_DIFFERING = 6
# Two distances this close (relative) are the same distance, rounded differently.
_TIE = 1e-9
_CHUNK = 100_000  # spots whose neighbours are in memory at a time


def agreement(labels_true: ArrayLike, labels_pred: ArrayLike) -> dict[str, float]:
    r"""Compare a partition with reference labels; the names of the categories do not matter.

    Parameters
    ----------
    labels_true
        ``(n_spots,)`` reference, of str, int or categories. Spots that are NaN, None or an empty str are left out.
    labels_pred
        ``(n_spots,)`` partition to judge, of str, int or categories; no gaps where the reference has a label.

    Returns
    -------
    Dict of floats, 1 for perfect agreement:

    - ``ari``: adjusted Rand index, 0 for chance, may be negative [1]_.
    - ``nmi``: normalised mutual information (arithmetic mean), in [0, 1].
    - ``ami``: adjusted mutual information (arithmetic mean), 0 for chance, may be negative [2]_.
    - ``accuracy``: share of spots in the right domain once domains are matched one to one, in [0, 1].
    - ``f1``: mean over the reference's categories of the F1 score of the domain matched to them, in [0, 1].

    Raises
    ------
    ValueError
        If the lengths differ, no spot has a reference label, or a spot with a reference label has no prediction.

    Notes
    -----
    Let :math:`n_{ij}` be the number of spots in predicted domain *i* and reference category *j*. The matching
    :math:`\sigma` maximises :math:`\sum_i n_{i\sigma(i)}` (Hungarian method) and, among several best ones, the sum
    of F1 scores, so that the outcome depends on nothing else. Accuracy is that sum over *n*; the F1 score of a pair is
    :math:`2 n_{ij} / (n_{i\cdot} + n_{\cdot j})`, and a category without a partner has F1 = 0.

    References
    ----------
    .. [1] L. Hubert, P. Arabie, Comparing partitions, Journal of Classification 2 (1985).
    .. [2] N. X. Vinh, J. Epps, J. Bailey, Information theoretic measures for clusterings comparison, JMLR 11 (2010).

    Examples
    --------
    >>> agreement(["a", "a", "b", "b"], [2, 2, 1, 1])["ari"]
    1.0
    >>> agreement(["a", "a", "b", None], [1, 1, 1, 2])["accuracy"]
    0.6666666666666666
    """
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, normalized_mutual_info_score

    problems = Problems("semst.metrics.agreement")
    reference, predicted = _codes(labels_true), _codes(labels_pred)
    if len(reference) != len(predicted):
        problems.add(f"labels_true has {len(reference)} entries and labels_pred {len(predicted)}; give one per spot.")
        problems.raise_if_any()
    labelled = reference >= 0
    reference, predicted = reference[labelled], predicted[labelled]
    if not labelled.any():
        problems.add("no spot has a label in labels_true.")
    if (predicted < 0).any():
        bare = int((predicted < 0).sum())
        problems.add(
            f"{counted(bare, 'spot', 'spots')} with a label in labels_true {'has' if bare == 1 else 'have'} none in "
            "labels_pred."
        )
    problems.raise_if_any()
    accuracy, f1 = _matched(reference, predicted)
    return {
        "ari": float(adjusted_rand_score(reference, predicted)),
        "nmi": float(normalized_mutual_info_score(reference, predicted)),
        "ami": float(adjusted_mutual_info_score(reference, predicted)),
        "accuracy": accuracy,
        "f1": f1,
    }


def pas(coordinates: ArrayLike, labels: ArrayLike) -> float:
    """Share of abnormal spots: those that differ from at least six of their ten nearest neighbours.

    Parameters
    ----------
    coordinates
        ``(n_spots, 2)`` finite places in any unit; more columns are allowed.
    labels
        ``(n_spots,)`` of str, int or categories. Spots that are NaN, None or an empty str are left out, also as
        neighbours.

    Returns
    -------
    Share in [0, 1]; lower is smoother, and a single domain has 0.

    Raises
    ------
    ValueError
        If the lengths differ, coordinates are not finite numbers, or fewer than 11 spots have a label.

    Notes
    -----
    On a grid many neighbours are equally far. Where only some of them would be among the ten, all of them share the
    places that are left, so the score does not depend on the order of the rows; without ties it is the published one
    [1]_.

    References
    ----------
    .. [1] L. Shang, X. Zhou, Spatially aware dimension reduction for spatial transcriptomics, Nature Communications 13,
       7203 (2022).

    Examples
    --------
    >>> import numpy as np
    >>> coordinates = np.column_stack([np.arange(30.0), np.zeros(30)])
    >>> pas(coordinates, np.arange(30) < 15)
    0.0
    """
    places, codes = _labelled_places(coordinates, labels, at_least=_PAS_NEIGHBORS + 1, where="semst.metrics.pas")
    abnormal = np.empty(len(places), dtype=bool)
    for rows, neighbors, weights in _tied_neighbors(places, k=_PAS_NEIGHBORS):
        differing = (weights * (codes[neighbors] != codes[rows, None])).sum(axis=1)
        abnormal[rows] = differing >= _PAS_DIFFERING - _TIE
    return float(abnormal.mean())


def chaos(coordinates: ArrayLike, labels: ArrayLike) -> float:
    r"""CHAOS: how far a spot is from the nearest spot of its own domain.

    Parameters
    ----------
    coordinates
        ``(n_spots, 2)`` finite places in any unit; more columns are allowed.
    labels
        ``(n_spots,)`` of str, int or categories. Spots that are NaN, None or an empty str are left out.

    Returns
    -------
    Mean distance, at least 0, in standard deviations of the coordinates; lower is smoother. It shrinks with the number
    of spots, so only partitions of the same spots can be compared.

    Raises
    ------
    ValueError
        If the lengths differ, coordinates are not finite numbers, or no spot has a label.

    Notes
    -----
    As published [1]_ and in common benchmarks [2]_: each coordinate is scaled to mean 0 and variance 1,
    :math:`\frac{1}{n} \sum_k \sum_{i \in k} \min_{j \in k, j \ne i} \lVert x_i - x_j \rVert`, and domains of one or two
    spots add nothing to the sum. Scaling the axes one by one makes the score depend on how the tissue is turned, except
    by quarter turns.

    References
    ----------
    .. [1] L. Shang, X. Zhou, Spatially aware dimension reduction for spatial transcriptomics, Nature Communications 13,
       7203 (2022).
    .. [2] Z. Yuan et al., Benchmarking spatial clustering methods with spatially resolved transcriptomics data, Nature
       Methods 21 (2024).

    Examples
    --------
    >>> round(chaos([[0, 0], [1, 0], [2, 0], [3, 0]], ["a"] * 4), 3)
    0.894
    """
    from scipy.spatial import cKDTree

    places, codes = _labelled_places(coordinates, labels, at_least=1, where="semst.metrics.chaos")
    spread = places.std(axis=0)
    scaled = (places - places.mean(axis=0)) / np.where(spread > 0, spread, 1)
    total = 0.0
    for domain in np.unique(codes):
        members = scaled[codes == domain]
        if len(members) > 2:
            total += float(np.asarray(cKDTree(members).query(members, k=2)[0])[:, 1].sum())
    return total / len(places)


def score(
    data: AnnData | SpatialData,
    *,
    key: str = CLUSTER.obs,
    reference: str | None = GROUND_TRUTH,
    table_key: str | None = None,
    spatial_key: str = SPATIAL.coordinates,
    coordinate_system: str | None = None,
) -> dict[str, float]:
    """Judge the domains of a table by everything in this module.

    Parameters
    ----------
    data
        Table of ``n_spots`` observations, or a SpatialData that holds one.
    key
        Key of ``obs`` with the domains.
    reference
        Key of ``obs`` with experts' labels, NaN or an empty str where there is none; None judges smoothness in space
        alone.
    table_key
        Name of the table in a SpatialData; needed only where there are several.
    spatial_key
        Key of ``obsm`` with the coordinates.
    coordinate_system
        Coordinate system of a SpatialData; the default is ``"global"``, or the only one there is.

    Returns
    -------
    Dict of floats: ``ari``, ``nmi``, ``ami``, ``accuracy``, ``f1`` over the spots with a reference label (see
    :func:`agreement`; not there where ``reference`` is None), and ``pas`` and ``chaos`` over all spots with a domain
    (see :func:`pas`, :func:`chaos`). Nothing is written.

    Raises
    ------
    TypeError
        If ``data`` is neither AnnData nor SpatialData.
    KeyError
        If a key or the coordinates are not there.
    ValueError
        If the coordinates are not finite, or there are too few labelled spots.

    Examples
    --------
    >>> import numpy as np
    >>> from anndata import AnnData
    >>> adata = AnnData(np.ones((30, 2), dtype=np.float32))
    >>> adata.obsm["spatial"] = np.column_stack([np.arange(30.0), np.zeros(30)])
    >>> adata.obs["semst"] = ["1"] * 15 + ["2"] * 15
    >>> adata.obs["ground_truth"] = ["Layer1"] * 15 + ["Layer2"] * 15
    >>> scores = score(adata)
    >>> scores["ari"], scores["pas"]
    (1.0, 0.0)
    """
    table = find_table(data, table_key=table_key, where="semst.metrics.score")
    problems = Problems("semst.metrics.score")
    name = "sdata" if is_spatialdata(data) else "adata"
    if key not in table.obs:
        problems.missing(
            f"no obs[{key!r}]; obs has {listed(table.obs.columns)}. "
            f"Domains are made by `semst.tl.cluster({name}, n_clusters=...)`."
        )
    if reference is not None and reference not in table.obs:
        problems.missing(
            f"no obs[{reference!r}]; obs has {listed(table.obs.columns)}. Name the column with the experts' labels, or "
            "pass `reference=None` to judge smoothness in space alone."
        )
    coordinates = read_coordinates(data, table, problems, spatial_key=spatial_key, coordinate_system=coordinate_system)
    problems.raise_if_any()
    scores = {} if reference is None else agreement(table.obs[reference], table.obs[key])
    places = np.asarray(coordinates)
    warn_of_joined_slices(table, places, where="score", takes_batch_key=False, by_graph=False)
    return scores | {"pas": pas(places, table.obs[key]), "chaos": chaos(places, table.obs[key])}


def _codes(labels: ArrayLike) -> NDArray[np.int64]:
    """Number the categories; -1 where there is none."""
    if isinstance(labels, pd.Series | pd.Categorical | pd.Index):
        values = pd.Series(labels)
    elif isinstance(labels, np.ndarray):
        values = pd.Series(labels.ravel())
    else:
        values = pd.Series(list(labels), dtype=object)  # type: ignore[arg-type]
    return np.asarray(pd.factorize(empty_as_missing(values))[0], dtype=np.int64)


def _matched(reference: NDArray[np.int64], predicted: NDArray[np.int64]) -> tuple[float, float]:
    """Accuracy and mean F1 after matching domains one to one."""
    from scipy.optimize import linear_sum_assignment

    _, reference = np.unique(reference, return_inverse=True)
    _, predicted = np.unique(predicted, return_inverse=True)
    shared = np.zeros((predicted.max() + 1, reference.max() + 1))
    np.add.at(shared, (predicted, reference), 1)
    f1 = 2 * shared / (shared.sum(axis=1, keepdims=True) + shared.sum(axis=0, keepdims=True))
    # All F1 scores together weigh less than one spot: they only decide between equally good matchings.
    rows, columns = linear_sum_assignment(shared + f1 / (min(shared.shape) + 1), maximize=True)
    return float(shared[rows, columns].sum() / len(reference)), float(f1[rows, columns].sum() / shared.shape[1])


def _labelled_places(
    coordinates: ArrayLike, labels: ArrayLike, *, at_least: int, where: str
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Places and codes of the spots that have a label."""
    problems = Problems(where)
    places = np.asarray(coordinates)
    codes = _codes(labels)
    if places.ndim != 2 or places.shape[1] < 1 or not np.issubdtype(places.dtype, np.number):
        problems.add(f"coordinates must be numbers of shape (n_spots, 2), got {places.dtype} {places.shape}.")
        problems.raise_if_any()
    places = places.astype(np.float64)
    if len(places) != len(codes):
        problems.add(f"there are {len(places)} coordinates and {len(codes)} labels; give one label per spot.")
        problems.raise_if_any()
    places, codes = places[codes >= 0], codes[codes >= 0]
    if not np.isfinite(places).all():
        problems.add("coordinates must be finite; remove the spots that have none.")
    if len(places) < at_least:
        problems.add(f"at least {at_least} spots with a label are needed, got {len(places)}.")
    problems.raise_if_any()
    return places, codes


def _tied_neighbors(
    places: NDArray[np.float64], *, k: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]]:
    """The ``k`` nearest neighbours of every place, equally far ones with equal weight.

    Yields
    ------
    Groups of (rows, their neighbours, weights that sum to ``k`` in each row); together the rows are all places.
    """
    from scipy.spatial import cKDTree

    tree = cKDTree(places)
    everyone = np.arange(len(places))
    pending = [(everyone[start : start + _CHUNK], 2 * k) for start in range(0, len(places), _CHUNK)]
    while pending:
        rows, asked = pending.pop()
        asked = min(asked, len(places))
        found, neighbors = map(np.asarray, tree.query(places[rows], k=asked))
        # Duplicates of a place may come before the place itself, so it is found by its number, not in front.
        others = np.where(neighbors == rows[:, None], np.inf, found)
        order = np.argsort(others, axis=1, kind="stable")[:, :-1]
        distances, neighbors = np.take_along_axis(others, order, 1), np.take_along_axis(neighbors, order, 1)
        last = distances[:, k - 1, None]
        nearer, tied = distances < last * (1 - _TIE), np.abs(distances - last) <= last * _TIE
        weights = nearer + tied * (k - nearer.sum(axis=1, keepdims=True)) / tied.sum(axis=1, keepdims=True)
        # Where the farthest that was asked for is still tied, there may be more of the same beyond it.
        complete = (found[:, -1] > last[:, 0] * (1 + _TIE)) | (asked == len(places))
        yield rows[complete], neighbors[complete], weights[complete]
        if not complete.all():
            pending.append((rows[~complete], 2 * asked))

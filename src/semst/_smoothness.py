"""How smooth a partition is in space, told without labels: PAS and CHAOS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from semst._labels import numbered
from semst._problems import Problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

PAS_NEIGHBORS = 10
_PAS_DIFFERING = 6
# Two distances this close (relative) are the same distance, rounded differently.
_TIE = 1e-9
_COARSEST = 0.01  # of a distance: where rounding may have moved places by more, it no longer says which are equally far
_CHUNK = 100_000  # spots whose neighbours are in memory at a time


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
    [1]_. Distances that differ by no more than the coordinates were rounded (float32, also where it was widened
    later) are equal.

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
    places, codes = _labelled_places(coordinates, labels, at_least=PAS_NEIGHBORS + 1, where="semst.metrics.pas")
    abnormal = np.empty(len(places), dtype=bool)
    for rows, neighbors, weights in _tied_neighbors(places, k=PAS_NEIGHBORS):
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


def smoothness(
    places: NDArray[np.float64], labels: ArrayLike, slices: NDArray[np.int64] | None = None
) -> dict[str, float]:
    """:func:`pas` and :func:`chaos`; of several slices their means over all spots with a label."""
    codes = numbered(labels)
    names = codes.astype(object)
    names[codes < 0] = None
    number = np.zeros(codes.size, dtype=np.int64) if slices is None else slices
    parts = [np.flatnonzero(number == each) for each in np.unique(number)]
    sizes = [np.count_nonzero(codes[part] >= 0) for part in parts]
    measures = {"pas": pas, "chaos": chaos}
    return {
        name: float(np.average([measure(places[part], names[part]) for part in parts], weights=sizes))
        for name, measure in measures.items()
    }


def _labelled_places(
    coordinates: ArrayLike, labels: ArrayLike, *, at_least: int, where: str
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Places and codes of the spots that have a label."""
    problems = Problems(where)
    places = np.asarray(coordinates)
    codes = numbered(labels)
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
    rounding = _rounding(places)
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
        same = np.maximum(last * _TIE, np.minimum(last * _COARSEST, rounding))
        nearer, tied = distances < last - same, np.abs(distances - last) <= same
        weights = nearer + tied * (k - nearer.sum(axis=1, keepdims=True)) / tied.sum(axis=1, keepdims=True)
        # Where the farthest that was asked for is still tied, there may be more of the same beyond it.
        complete = (found[:, -1] > (last + same)[:, 0]) | (asked == len(places))
        yield rows[complete], neighbors[complete], weights[complete]
        if not complete.all():
            pending.append((rows[~complete], 2 * asked))


def _rounding(places: NDArray[np.float64]) -> float:
    """How much the rounding of coordinates may have changed the difference of two distances."""
    single = bool((places.astype(np.float32) == places).all()) and not bool((places == np.rint(places)).all())
    precision = np.finfo(np.float32 if single else np.float64).eps
    # Each coordinate is off by half of that part of itself; four of them make a distance, and there are two.
    return float(4 * precision * np.abs(places).max())

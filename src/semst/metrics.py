"""How good a partition of a tissue is: agreement with experts' labels, and smoothness in space without any labels.

And how well embeddings stand being averaged over neighbours. Nothing here is used while domains are sought; these
numbers only judge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from semst._batch_key import read_slices
from semst._inputs import find_table, is_spatialdata, read_coordinates
from semst._joined import warn_of_joined_slices
from semst._keys import CLUSTER, GROUND_TRUTH, SPATIAL
from semst._labels import numbered
from semst._problems import Problems, counted, listed
from semst._semantic_drift import semantic_drift
from semst._smoothness import PAS_NEIGHBORS, chaos, pas, smoothness

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from numpy.typing import ArrayLike, NDArray
    from spatialdata import SpatialData

__all__ = ["agreement", "chaos", "pas", "score", "semantic_drift"]


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
    reference, predicted = numbered(labels_true), numbered(labels_pred)
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


def score(
    data: AnnData | SpatialData,
    *,
    key: str = CLUSTER.obs,
    reference: str | None = GROUND_TRUTH,
    table_key: str | None = None,
    spatial_key: str = SPATIAL.coordinates,
    coordinate_system: str | None = None,
    batch_key: str | None = None,
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
    batch_key
        Key of ``obs`` that says which slice a spot belongs to, as :func:`semst.tl.cluster` takes it: smoothness is
        judged within each slice, and slices weigh as much as they have spots with a domain. The default takes all spots
        for one slice, with a warning where they look like several.

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
        If the coordinates are not finite, no spot has a reference label, or one that has lacks a domain; if there are
        fewer than 11 spots with a domain, in a slice or in all; if a spot has no slice.

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
    slices = read_slices(table, batch_key, problems)
    coordinates = read_coordinates(
        data, table, problems, spatial_key=spatial_key, coordinate_system=coordinate_system, slices=slices
    )
    if key in table.obs:
        _check_domains(slices, table.obs[key], key, problems)
    if key in table.obs and reference in table.obs:
        _check_reference(table, key, str(reference), problems)
    problems.raise_if_any()
    scores = {} if reference is None else agreement(table.obs[reference], table.obs[key])
    places = np.asarray(coordinates)
    if batch_key is None:
        warn_of_joined_slices(table, places, where="score", domains=key)
    return scores | smoothness(places, table.obs[key], slices)


def _check_domains(slices: NDArray[np.int64] | None, labels: pd.Series, key: str, problems: Problems) -> None:
    """Note too few spots with a domain, in all or in a slice."""
    there = numbered(labels) >= 0
    if slices is None and there.sum() <= PAS_NEIGHBORS:
        problems.add(
            f"{counted(int(there.sum()), 'spot has', 'spots have')} a domain in obs[{key!r}]; at least "
            f"{PAS_NEIGHBORS + 1} are needed."
        )
    if slices is None:
        return
    sizes = np.bincount(slices[there], minlength=slices.max() + 1)
    few = int((sizes <= PAS_NEIGHBORS).sum())
    if few:
        problems.add(
            f"{few} of {sizes.size} slices {'has' if few == 1 else 'have'} fewer than {PAS_NEIGHBORS + 1} spots with "
            f"a domain in obs[{key!r}]; leave them out."
        )


def _check_reference(table: AnnData, key: str, reference: str, problems: Problems) -> None:
    """Note what cannot be compared: no reference label at all, or spots that have one and no domain."""
    labelled, there = numbered(table.obs[reference]) >= 0, numbered(table.obs[key]) >= 0
    if not labelled.any():
        problems.add(
            f"no spot has a label in obs[{reference!r}]; name another column with `reference`, or pass "
            "`reference=None` to judge smoothness in space alone."
        )
    bare = int((labelled & ~there).sum())
    if bare:
        problems.add(
            f"{counted(bare, 'spot', 'spots')} with a label in obs[{reference!r}] {'has' if bare == 1 else 'have'} no "
            f"domain in obs[{key!r}]; leave {'it' if bare == 1 else 'them'} out."
        )


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

"""Many partitions of one tissue to one: which of them to trust, and what they agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import linear_sum_assignment

from semst._sample import chunks, sample
from semst.partitions._rules import partition_all
from semst.partitions._similarity import indicator, similarity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


_STARTS = 5  # of the mixture


def consensus(
    partitions: Sequence[NDArray[np.integer[Any]]], n_clusters: int, *, random_state: int
) -> NDArray[np.int64]:
    r"""Find the partition that many partitions agree on.

    Each group is a column of ones and zeros, divided by the square root of its size; the leading ``n_clusters - 1``
    left singular vectors of all columns together (centred) are spots placed so that those which are often together
    lie together; mixtures from several starts cut them, and the cut that agrees most with the partitions (mean adjusted
    Rand index) is taken. Linear in spots: the singular vectors come from the smaller of the two Gram matrices.

    Parameters
    ----------
    partitions
        Each ``(n,)``, labels from 0; their numbers of groups may differ.
    n_clusters
        Groups wanted; where no mixture has as many, those of k-means.
    random_state
        Seed of the mixtures.

    References
    ----------
    Strehl & Ghosh, *Journal of Machine Learning Research* 3, 2002 (cluster ensembles); Fern & Brodley, *ICML* 2004
    (the spectral form).
    """
    n = partitions[0].size
    some = sample(n, random_state)
    sizes = [np.bincount(labels[some], minlength=int(labels.max()) + 1) for labels in partitions]
    columns = _columns([labels[some] for labels in partitions], sizes)
    mean = columns.mean(axis=0)
    columns -= mean
    # Columns times right singular vectors: the left ones times the singular values.
    leading, strongest = _leading(columns, max(n_clusters - 1, 1))
    scale = np.sqrt(len(columns)) / max(strongest, 1e-6)
    places = np.concatenate(
        [
            (((_columns([labels[rows] for labels in partitions], sizes) - mean) @ leading) * scale).astype(np.float32)
            for rows in chunks(n)
        ]
    )
    found = [
        partition_all(places, n_clusters, partition="mixture", random_state=random_state + start)
        for start in range(_STARTS)
    ]
    complete = [labels for labels in found if np.unique(labels).size == n_clusters]
    if not complete:
        return partition_all(places, n_clusters, partition="kmeans", random_state=random_state)
    told = similarity([labels[some] for labels in (*complete, *partitions)])[: len(complete), len(complete) :]
    return complete[int(told.mean(axis=1).argmax())]


def _leading(columns: NDArray[np.float32], width: int) -> tuple[NDArray[np.float64], float]:
    """Leading right singular vectors ``(c, width)`` of columns ``(n, c)``, and the largest singular value."""
    wide = columns.shape[1] > columns.shape[0]
    across = columns.T if wide else columns
    gram = across.T.astype(np.float64) @ across
    values, vectors = eigh(gram, subset_by_index=[max(len(gram) - width, 0), len(gram) - 1])
    values, vectors = values[::-1], vectors[:, ::-1]
    if wide:
        vectors = across @ vectors / np.sqrt(np.maximum(values, 1e-12))
    return vectors, float(np.sqrt(max(values[0], 0.0)))


def agreement(labels: NDArray[np.integer[Any]], partitions: Sequence[NDArray[np.integer[Any]]]) -> NDArray[np.float32]:
    """Share of partitions that put a spot where ``labels`` puts it, after matching groups by largest overlap.

    Returns
    -------
    ``(n,)`` float32 in [0, 1].
    """
    agreeing = np.zeros(labels.size)
    for other in partitions:
        overlap = indicator(labels).T @ indicator(other)
        rows, columns = linear_sum_assignment(-overlap)
        matched = np.full(overlap.shape[1], -1)
        matched[columns] = rows
        agreeing += matched[other] == labels
    return (agreeing / len(partitions)).astype(np.float32)


def _columns(partitions: Sequence[NDArray[np.integer[Any]]], sizes: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
    """Columns of the groups that are not empty, side by side, each divided by the root of its size."""
    columns: NDArray[np.float32] = np.concatenate(
        [
            np.eye(size.size, dtype=np.float32)[labels][:, size > 0] / np.sqrt(size[size > 0].astype(np.float32))
            for labels, size in zip(partitions, sizes, strict=True)
        ],
        axis=1,
    )
    return columns

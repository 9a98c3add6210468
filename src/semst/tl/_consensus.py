"""Many partitions of one tissue to one: which of them to trust, and what they agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import linear_sum_assignment

from semst.pp._sample import chunks, sample
from semst.pp._slices import slice_sums
from semst.tl._rules import partition_all
from semst.tl._similarity import indicator, similarity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from scipy import sparse


_STARTS = 5  # of the mixture
_AT_ONCE = 8  # partitions that are judged in one walk through the counts


def majority(
    labels: NDArray[np.integer[Any]], graph: sparse.csr_matrix, spots: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Give each spot the label most frequent among its neighbours and itself; its own where it is tied for first.

    Parameters
    ----------
    labels
        ``(n,)``.
    graph
        ``(n, n)`` CSR of ones without self loops; ``(m, n)`` where ``spots`` are given.
    spots
        ``(m,)`` spots whose rows the graph has; the default is all of them.
    """
    members = indicator(labels)
    own = labels if spots is None else labels[spots]
    votes = graph @ members + (members if spots is None else members[spots])
    votes[np.arange(own.size), own] += 0.5
    chosen: NDArray[np.int64] = votes.argmax(axis=1).astype(np.int64)
    return chosen


def explained(
    labels: NDArray[np.integer[Any]], counts: sparse.csr_matrix, slices: NDArray[np.int64] | None = None
) -> float:
    r"""How much better the counts are told by the profile of each spot's domain than by one profile for all.

    .. math::

        \frac{1}{N} \sum_d \sum_j c_{dj} \log \frac{p_{dj}}{p_j}

    with :math:`c_{dj}` the counts of gene :math:`j` in domain :math:`d`, :math:`p_{dj}` their share, :math:`p_j` the
    share in the whole tissue, :math:`N` all counts: the mutual information of gene and domain, in nats per molecule.
    Half a count is added to each gene of each domain, so that no share is zero.

    Parameters
    ----------
    labels
        ``(n,)``.
    counts
        ``(n, g)`` CSR, not negative.
    slices
        ``(n,)`` number of each spot's slice, from 0. Then :math:`p_j` is the share in the spot's own slice, and the
        profile of a domain is what it multiplies those shares by, the same in all slices:

        .. math::

            \frac{1}{N} \sum_d \sum_j c_{dj} \log \frac{c_{dj}}{\sum_s n_{sd} \, p_{sj}}

        with :math:`n_{sd}` the counts of domain :math:`d` in slice :math:`s`. Domains that only tell slices apart
        explain nothing, and a domain explains most where it is the same tissue in every slice. With one slice the two
        formulas are one.
    """
    return float(explained_by_each([labels], counts, slices)[0])


def explained_by_each(
    partitions: Sequence[NDArray[np.integer[Any]]], counts: sparse.csr_matrix, slices: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Do for many partitions what :func:`explained` does for one, several in each walk through the counts."""
    within = None if slices is None else _Within(counts, slices)
    found = []
    for start in range(0, len(partitions), _AT_ONCE):
        members = [indicator(labels) for labels in partitions[start : start + _AT_ONCE]]
        ends = np.cumsum([each.shape[1] for each in members])[:-1]
        together = np.asarray(counts.T @ np.concatenate(members, axis=1), dtype=np.float64).T + 0.5
        for each, totals in zip(members, np.split(together, ends), strict=True):
            whole = totals.sum(axis=0) if within is None else within.expected(each)
            expected = totals.sum(axis=1, keepdims=True) * whole / whole.sum(axis=-1, keepdims=True)
            found.append(float((totals * np.log(totals / expected)).sum() / totals.sum()))
    return np.array(found)


class _Within:
    """What is expected of each domain where only what differs within slices counts."""

    def __init__(self, counts: sparse.csr_matrix, slices: NDArray[np.int64]) -> None:
        by_slice = slice_sums(counts, slices) + 0.5
        self.share = by_slice / by_slice.sum(axis=1, keepdims=True)
        self.depth = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
        self.slices = slices

    def expected(self, members: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give the counts ``(k, g)`` that domains ``(n, k)`` would have with the shares of their slices."""
        pairs = slice_sums(members * self.depth[:, None], self.slices)  # counts of each domain in each slice
        counts: NDArray[np.float64] = pairs.T @ self.share + 0.5
        return counts


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

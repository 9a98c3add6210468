"""Many partitions of one tissue to one: which of them to trust, and what they agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from semst.tl._partition import kmeans, mixture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from scipy import sparse


_STARTS = 5  # of the mixture, before k-means takes over


def indicator(labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """One column for each group, one where a spot belongs to it: ``(n, k)`` float32."""
    return np.eye(labels.max() + 1, dtype=np.float32)[labels]


def majority(labels: NDArray[np.int64], graph: sparse.csr_matrix) -> NDArray[np.int64]:
    """Give each spot the label most frequent among its neighbours and itself; its own where it is tied for first.

    Parameters
    ----------
    labels
        ``(n,)``.
    graph
        ``(n, n)`` CSR of ones without self loops.
    """
    members = indicator(labels)
    votes = graph @ members + members
    votes[np.arange(labels.size), labels] += 0.5
    chosen: NDArray[np.int64] = votes.argmax(axis=1).astype(np.int64)
    return chosen


def explained(labels: NDArray[np.int64], counts: sparse.csr_matrix) -> float:
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
    """
    totals = np.asarray(counts.T @ indicator(labels), dtype=np.float64).T + 0.5
    share = totals / totals.sum(axis=1, keepdims=True)
    whole = totals.sum(axis=0) / totals.sum()
    return float((totals * np.log(share / whole)).sum() / totals.sum())


def consensus(partitions: Sequence[NDArray[np.int64]], n_clusters: int, *, random_state: int) -> NDArray[np.int64]:
    r"""Find the partition that many partitions agree on.

    Each group is a column of ones and zeros, divided by the square root of its size; the leading ``n_clusters - 1``
    left singular vectors of all columns together (centred) are spots placed so that those which are often together
    lie together; a mixture cuts them. Linear in spots: the singular vectors come from the small Gram matrix of the
    columns.

    Parameters
    ----------
    partitions
        Each ``(n,)``, labels from 0; their numbers of groups may differ.
    n_clusters
        Groups wanted.
    random_state
        Seed of the mixture.

    References
    ----------
    Strehl & Ghosh, *Journal of Machine Learning Research* 3, 2002 (cluster ensembles); Fern & Brodley, *ICML* 2004
    (the spectral form).
    """
    columns = np.concatenate([_weighted(labels) for labels in partitions], axis=1)
    columns -= columns.mean(axis=0)
    gram = columns.T.astype(np.float64) @ columns
    values, vectors = np.linalg.eigh(gram)
    # Columns times eigenvectors: the singular vectors times the singular values.
    places = columns @ vectors[:, ::-1][:, : max(n_clusters - 1, 1)]
    scale = np.sqrt(len(columns) / max(values[-1], 1e-12))
    return _exactly((places * scale).astype(np.float32), n_clusters, random_state=random_state)


def _exactly(points: NDArray[np.float32], n_clusters: int, *, random_state: int) -> NDArray[np.int64]:
    """Cut points into exactly so many groups: a mixture may leave one empty, then another start is tried."""
    for start in range(random_state, random_state + _STARTS):
        labels = mixture(points, n_clusters, random_state=start)
        if np.unique(labels).size == n_clusters:
            return labels
    return kmeans(points, n_clusters, random_state=random_state)


def agreement(labels: NDArray[np.int64], partitions: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
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


def _weighted(labels: NDArray[np.int64]) -> NDArray[np.float32]:
    members = indicator(labels)
    members = members[:, members.any(axis=0)]
    weighted: NDArray[np.float32] = members / np.sqrt(members.sum(axis=0))
    return weighted

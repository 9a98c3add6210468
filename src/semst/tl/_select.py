"""Which of many partitions to believe, judged by the counts and never by labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from semst.tl._consensus import consensus, explained, indicator, majority

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from scipy import sparse

_FAMILIES = (2, 3, 4)  # numbers of families into which the partitions are sorted
_FRACTIONS = (1, 2, 4)  # all partitions, the better half, the best quarter
_SMALLEST_FAMILY = 12  # a family holds at least a twelfth of the partitions, and at least three


def choose(
    partitions: Sequence[NDArray[np.int64]],
    n_clusters: int,
    *,
    counts: sparse.csr_matrix,
    graph: sparse.csr_matrix,
    random_state: int,
) -> NDArray[np.int64]:
    """Find the consensus that best explains the counts of a spot by the domains around it.

    On one tissue, good partitions and bad ones each agree among themselves, so that neither one partition nor the
    consensus of all can be relied on. Partitions are therefore sorted into families, each family and the best
    partitions of all form a consensus, and each consensus is judged: every spot takes the label most frequent around
    it, and the better those labels explain the counts (:func:`semst.tl._consensus.explained`), the better the
    partition. Asking the neighbours keeps patterns that are not spatial, such as cell types, from scoring.

    Parameters
    ----------
    partitions
        At least one, each ``(n,)`` int64 labels from 0.
    n_clusters
        Groups wanted.
    counts
        ``(n, g)`` CSR.
    graph
        ``(n, n)`` CSR of ones without self loops: who votes for whom.
    random_state
        Seed of the mixtures.

    Returns
    -------
    The chosen labels ``(n,)``, exactly ``n_clusters`` of them.

    Raises
    ------
    ValueError
        If no partition has ``n_clusters`` groups.
    """
    complete = [labels for labels in partitions if np.unique(labels).size == n_clusters]
    if not complete:
        raise too_few_groups(n_clusters)
    scores = np.array([judge(labels, counts=counts, graph=graph) for labels in partitions])
    best, highest = complete[0], -np.inf
    tried: set[tuple[int, ...]] = set()
    for group in _groups(partitions, scores):
        key = tuple(np.sort(group).tolist())
        if key in tried:
            continue
        tried.add(key)
        labels = consensus([partitions[i] for i in key], n_clusters, random_state=random_state)
        if np.unique(labels).size < n_clusters:
            continue
        value = judge(labels, counts=counts, graph=graph)
        if value > highest:
            best, highest = labels, value
    return best


def too_few_groups(n_clusters: int) -> ValueError:
    """Say that the tissue does not fall into so many groups."""
    return ValueError(f"semst.tl.cluster: the tissue does not fall into {n_clusters} groups; ask for fewer domains.")


def tightest(
    partitions: Sequence[NDArray[np.int64]], n_clusters: int, *, latent: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Find the partition into ``n_clusters`` groups with the least variance of the latent ``(n, d)`` inside them.

    Raises
    ------
    ValueError
        If no partition has ``n_clusters`` groups.
    """
    complete = [labels for labels in partitions if np.unique(labels).size == n_clusters]
    if not complete:
        raise too_few_groups(n_clusters)

    def spread(labels: NDArray[np.int64]) -> float:
        members = indicator(labels)
        means = (members.T @ latent) / np.maximum(members.sum(axis=0), 1)[:, None]
        return float(np.square(latent - means[labels]).sum())

    return min(complete, key=spread)


def judge(labels: NDArray[np.int64], *, counts: sparse.csr_matrix, graph: sparse.csr_matrix) -> float:
    """How well the domains around each spot explain its counts, in nats per molecule."""
    return explained(majority(labels, graph), counts)


def _groups(partitions: Sequence[NDArray[np.int64]], scores: NDArray[np.float64]) -> Iterator[NDArray[np.int64]]:
    """Yield sets of partitions, by index: the best fractions of all, and families of those that agree."""
    n = len(partitions)
    ranked = np.argsort(-scores, kind="stable")
    for fraction in _FRACTIONS:
        yield ranked[: max(n // fraction, 1)]
    if n <= max(_FAMILIES):
        return
    tree = linkage(squareform(1 - _similarity(partitions), checks=False), "average")
    smallest = max(3, n // _SMALLEST_FAMILY)
    for n_families in _FAMILIES:
        family = fcluster(tree, n_families, "maxclust")
        for name in np.unique(family):
            members = np.flatnonzero(family == name)
            if members.size >= smallest:
                yield members


def _similarity(partitions: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Adjusted Rand index of every pair of partitions, ``(m, m)``, from one product of all their indicators.

    References
    ----------
    Hubert & Arabie, *Journal of Classification* 2, 1985.
    """
    columns = [indicator(labels) for labels in partitions]
    start = np.cumsum([0] + [each.shape[1] for each in columns[:-1]])
    together = np.concatenate(columns, axis=1)
    overlap = (together.T @ together).astype(np.float64)  # exact: whole numbers below 2**24 in float32
    pairs = _choose_two(overlap)
    both = np.add.reduceat(np.add.reduceat(pairs, start, axis=0), start, axis=1)
    one = np.diag(both)
    expected = np.outer(one, one) / _choose_two(np.float64(together.shape[0]))
    highest = (one[:, None] + one[None, :]) / 2
    spread = highest - expected
    # Two partitions into a single group, or into single spots, agree fully though nothing is left to agree on.
    similarity: NDArray[np.float64] = np.where(spread > 0, (both - expected) / np.where(spread > 0, spread, 1), 1.0)
    return similarity


def _choose_two(n: Any) -> Any:  # noqa: ANN401 (a number or an array of them)
    return n * (n - 1) / 2

"""Which of many partitions to believe, judged by the counts and never by labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from semst._sample import is_large, sample
from semst.partitions._consensus import consensus
from semst.partitions._judges import explained_by_each
from semst.partitions._majority import majority
from semst.partitions._similarity import indicator, similarity
from semst.pp._graphs import steps_around, widen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from scipy import sparse

_KEPT = 8  # the best eighth forms the consensus,
_FEWEST = 4  # or as many as this


def choose(
    partitions: Sequence[NDArray[np.integer[Any]]],
    n_clusters: int,
    *,
    counts: sparse.csr_matrix,
    graph: sparse.csr_matrix,
    spots: NDArray[np.int64] | None = None,
    slices: NDArray[np.int64] | None = None,
    random_state: int,
) -> NDArray[np.int64]:
    """Find the consensus of the partitions that agree with the others and explain the counts.

    One partition is a draw, and on one tissue good and bad ones each agree among themselves, so that neither one of
    them nor the consensus of all can be relied on. Two things tell good partitions without a label: that other views of
    the tissue lead to them as well, and that the domains around a spot explain its counts. Both are measured for every
    partition (mean adjusted Rand index with the others; :func:`judge`), standardised over the partitions and added. The
    best eighth forms the consensus.

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
    spots
        ``(m,)`` spots by which partitions are judged and compared, where ``counts`` and ``graph`` have rows for these
        alone; the default is all.
    slices
        ``(m,)`` number of the slice of each spot by which partitions are judged, from 0; the default is one slice.
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
    complete = [np.unique(labels).size == n_clusters for labels in partitions]
    if not any(complete):
        raise too_few_groups(n_clusters)
    explains = judge_each(partitions, counts=counts, graph=graph, spots=spots, slices=slices)
    compared = partitions if spots is None else [labels[spots] for labels in partitions]
    score = _standardised(explains) + _standardised(similarity(compared).mean(axis=1))
    # A stable sort keeps ties in order, so that the choice does not depend on the machine.
    ranked = np.argsort(-score, kind="stable")
    kept = ranked[: max(len(partitions) // _KEPT, _FEWEST)]
    labels = consensus([partitions[i] for i in kept], n_clusters, random_state=random_state)
    if np.unique(labels).size < n_clusters:  # spots that no mixture tells apart
        best: NDArray[np.int64] = partitions[next(i for i in ranked if complete[i])].astype(np.int64, copy=False)
        return best
    return labels


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = values.std()
    standardised: NDArray[np.float64] = (values - values.mean()) / (spread if spread > 0 else 1.0)
    return standardised


def too_few_groups(n_clusters: int) -> ValueError:
    """Say that the tissue does not fall into so many groups."""
    return ValueError(f"semst.tl.cluster: the tissue does not fall into {n_clusters} groups; ask for fewer domains.")


def tightest(
    partitions: Sequence[NDArray[np.integer[Any]]], n_clusters: int, *, latent: NDArray[np.float32]
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

    some = sample(len(latent), 0)
    points = latent[some]

    def spread(labels: NDArray[np.integer[Any]]) -> float:
        members = indicator(labels[some])
        means = (members.T @ points) / np.maximum(members.sum(axis=0), 1)[:, None]
        return float(np.square(points - means[labels[some]]).sum())

    return min(complete, key=spread).astype(np.int64, copy=False)


def judge(
    labels: NDArray[np.integer[Any]],
    *,
    counts: sparse.csr_matrix,
    graph: sparse.csr_matrix,
    spots: NDArray[np.int64] | None = None,
    slices: NDArray[np.int64] | None = None,
) -> float:
    """How well the domains around each spot explain its counts, in nats per molecule."""
    return float(judge_each([labels], counts=counts, graph=graph, spots=spots, slices=slices)[0])


def judge_each(
    partitions: Sequence[NDArray[np.integer[Any]]],
    *,
    counts: sparse.csr_matrix,
    graph: sparse.csr_matrix,
    spots: NDArray[np.int64] | None = None,
    slices: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Do for many partitions what :func:`judge` does for one."""
    return explained_by_each([majority(labels, graph, spots) for labels in partitions], counts, slices)


@dataclass(frozen=True)
class Bench:
    """Where partitions are judged, as :func:`choose` and :func:`judge` take it.

    Parameters
    ----------
    counts
        ``(m, g)`` CSR.
    graph
        ``(m, n)`` CSR of ones without self loops: the spots at most four steps away.
    spots
        ``(m,)``, or None where they are all.
    slices
        ``(m,)`` number of each spot's slice, from 0, or None where there is one.
    """

    counts: sparse.csr_matrix
    graph: sparse.csr_matrix
    spots: NDArray[np.int64] | None = None
    slices: NDArray[np.int64] | None = None

    @classmethod
    def of(
        cls,
        counts: sparse.csr_matrix,
        graph: sparse.csr_matrix,
        *,
        random_state: int,
        slices: NDArray[np.int64] | None = None,
    ) -> Bench:
        """Take all spots, or on large tissue a random sample of them, with all the spots around each.

        Parameters
        ----------
        counts, graph
            Of the tissue: ``(n, g)``, and ``(n, n)`` the spatial graph.
        random_state
            Seed of the sample.
        slices
            ``(n,)`` number of each spot's slice, from 0; the default is one slice.
        """
        if not is_large(graph.shape[0]):
            return cls(counts, widen(widen(graph)), slices=slices)
        spots = sample(graph.shape[0], random_state)
        rows: Any = counts
        return cls(rows[spots], steps_around(graph, spots, 4), spots, None if slices is None else slices[spots])

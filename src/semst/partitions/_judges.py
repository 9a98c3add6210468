"""How much of the counts a partition explains: what it is worth, told without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from semst.partitions._similarity import indicator
from semst.pp._slices import slice_sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from scipy import sparse


_AT_ONCE = 8  # partitions that are judged in one walk through the counts


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

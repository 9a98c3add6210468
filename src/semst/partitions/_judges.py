"""How much of the counts a partition explains: what it is worth, told without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from semst._slices import slice_sums
from semst.partitions._similarity import indicator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from scipy import sparse


_AT_ONCE = 8  # partitions that are judged in one walk through the counts
_DRAWN = 0.5  # molecules for each gene by which domains are drawn towards the tissue


def explained(
    labels: NDArray[np.integer[Any]], counts: sparse.csr_matrix, slices: NDArray[np.int64] | None = None
) -> float:
    r"""How much better the counts are told by the profile of each spot's domain than by one profile for all.

    .. math::

        \frac{1}{N} \sum_d \sum_j c_{dj} \log \frac{p_{dj}}{p_j}, \qquad
        p_{dj} = \frac{c_{dj} + m \, p_j}{\sum_i c_{di} + m}

    with :math:`c_{dj}` the counts of gene :math:`j` in domain :math:`d`, :math:`p_j` its share in the whole tissue,
    :math:`N` all counts: for :math:`m = 0` the mutual information of gene and domain, in nats per molecule. The shares
    of a domain are drawn towards those of the tissue by :math:`m` molecules, half of one for each gene that the tissue
    has, so that a domain of few molecules explains little, and a number that no spot has nothing at all.

    Parameters
    ----------
    labels
        ``(n,)``.
    counts
        ``(n, g)`` CSR, not negative.
    slices
        ``(n,)`` number of each spot's slice, from 0. Then the place of :math:`p_j` takes, for each domain,

        .. math::

            \sum_s n_{sd} \, p_{sj} \Big/ \sum_s n_{sd}

        with :math:`p_{sj}` the share in slice :math:`s` and :math:`n_{sd}` the counts of domain :math:`d` there.
        Domains that only tell slices apart explain nothing, and a domain explains most where it is the same tissue in
        every slice. With one slice this is :math:`p_j`.
    """
    return float(explained_by_each([labels], counts, slices)[0])


def explained_by_each(
    partitions: Sequence[NDArray[np.integer[Any]]], counts: sparse.csr_matrix, slices: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Do for many partitions what :func:`explained` does for one, several in each walk through the counts."""
    tissue = _Tissue(counts, np.zeros(counts.shape[0], dtype=np.int64) if slices is None else slices)
    found = []
    for start in range(0, len(partitions), _AT_ONCE):
        members = [indicator(labels) for labels in partitions[start : start + _AT_ONCE]]
        ends = np.cumsum([each.shape[1] for each in members])[:-1]
        together = np.asarray(counts.T @ np.concatenate(members, axis=1), dtype=np.float64).T
        found += [
            tissue.explained(totals, tissue.shares(each))
            for each, totals in zip(members, np.split(together, ends), strict=True)
        ]
    return np.array(found)


class _Tissue:
    """What domains are held against: the shares of genes in the slices that their spots lie in."""

    def __init__(self, counts: sparse.csr_matrix, slices: NDArray[np.int64]) -> None:
        by_slice = slice_sums(counts, slices)
        self.share = _shares(by_slice, axis=1)
        self.depth = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
        self.slices = slices
        self.drawn = _DRAWN * np.count_nonzero(by_slice.any(axis=0))

    def shares(self, members: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give the shares ``(k, g)`` that domains ``(n, k)`` would have were they like the slices they lie in."""
        pairs = slice_sums(members * self.depth[:, None], self.slices)  # counts of each domain in each slice
        of_slices = _shares(pairs, axis=0)
        expected: NDArray[np.float64] = of_slices.T @ self.share
        return expected

    def explained(self, totals: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
        """Compare the counts ``(k, g)`` of domains with the shares ``(k, g)`` that are expected."""
        share = (totals + self.drawn * expected) / (totals.sum(axis=1, keepdims=True) + self.drawn)
        ratio = np.divide(share, expected, out=np.ones_like(share), where=expected > 0)
        return float((totals * np.log(ratio)).sum() / totals.sum())


def _shares(values: NDArray[np.float64], *, axis: int) -> NDArray[np.float64]:
    """Divide by the sum, where there is one."""
    total = values.sum(axis=axis, keepdims=True)
    shares: NDArray[np.float64] = values / np.where(total > 0, total, 1)
    return shares

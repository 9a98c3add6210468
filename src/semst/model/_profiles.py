"""What each domain expresses, and how alike a spot of other tissue has to be to pass for one of its spots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from semst._slices import slice_means
from semst.model._discriminant import quantiles, share_beyond
from semst.nn._adjacency import normalise
from semst.pp._graphs import widen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semst.model._genes import Overlap
    from semst.model._reading import Reading
    from semst.training._sections import Tissue

_CHUNK = 2048  # spots whose smoothed genes are dense at a time


@dataclass(frozen=True)
class Profiles:
    r"""The genes of each domain: how much more of each it expresses than the tissue as a whole.

    Expression is stabilised, averaged over the spots at most two steps away, and taken relative to its mean, where
    there are several slices to that of its own. A domain's profile is the mean over its spots, and a spot is as like a
    domain as the cosine of the two says. Latents alone cannot tell what is new: tissue that expresses none of what sets
    the domains apart lies in the middle of them.

    Parameters
    ----------
    means
        ``(k, g)`` float32.
    likeness
        ``(k, 201)`` float64: quantiles of the cosines between the training spots of a domain and its profile.
    """

    means: NDArray[np.float32]
    likeness: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        reading: Reading,
        tissue: Tissue,
        overlap: Overlap,
        spots: NDArray[np.int64],
        numbers: NDArray[np.int64],
        *,
        recentre: bool,
    ) -> Profiles:
        """Fit to some spots of the training tissue, and their domains ``(n,)`` from 1."""
        expressed = _Expression(reading, tissue, overlap, recentre=recentre)
        n_domains = int(numbers.max())
        sums = np.zeros((n_domains, reading.mean.size))
        for rows in _chunks(spots.size):
            np.add.at(sums, numbers[rows] - 1, expressed(spots[rows]))
        means = (sums / np.bincount(numbers - 1, minlength=n_domains)[:, None]).astype(np.float32)
        own = np.concatenate(
            [_cosine(expressed(spots[rows]), means[numbers[rows] - 1]) for rows in _chunks(spots.size)]
        )
        return cls(means, np.stack([quantiles(own[numbers == one]) for one in range(1, n_domains + 1)]))

    def typicality(
        self,
        reading: Reading,
        tissue: Tissue,
        overlap: Overlap,
        spots: NDArray[np.int64],
        domains: NDArray[np.int64],
        *,
        recentre: bool,
    ) -> NDArray[np.float64]:
        """Share of a domain's training spots that are no more like it, ``(n,)``, of spots and domains from 0."""
        expressed = _Expression(reading, tissue, overlap, recentre=recentre)
        means = self.means[:, overlap.used]
        alike = np.concatenate([_cosine(expressed(spots[rows]), means[domains[rows]]) for rows in _chunks(spots.size)])
        result = np.zeros(spots.size)
        for domain in np.unique(domains):
            here = domains == domain
            result[here] = 1 - share_beyond(alike[here], self.likeness[domain])
        return result


class _Expression:
    """Smoothed expression of some spots, relative to the mean: ``(m, c)``, the shared genes that networks read."""

    def __init__(self, reading: Reading, tissue: Tissue, overlap: Overlap, *, recentre: bool) -> None:
        values: Any = reading.stable(tissue.counts, overlap)
        self._values = values
        self._near: Any = normalise(widen(tissue.graph))
        # One row of means for each slice, and the row of each spot.
        self._slices = np.zeros(values.shape[0], dtype=np.int64)
        if recentre and tissue.slices is not None:
            self._slices = tissue.slices
        self._means = slice_means(values, self._slices) if recentre else reading.mean[None, overlap.used]

    def __call__(self, spots: NDArray[np.int64]) -> NDArray[np.float64]:
        near = self._near[spots]
        reach = np.asarray(near.sum(axis=1))  # no edge leaves a slice
        expressed: NDArray[np.float64] = (near @ self._values).toarray() - reach * self._means[self._slices[spots]]
        return expressed


def _cosine(left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.float64]:
    """Cosine of each row with its partner; 0 where one is zero."""
    length = np.sqrt(np.square(left).sum(axis=1, dtype=np.float64) * np.square(right).sum(axis=1, dtype=np.float64))
    result: NDArray[np.float64] = np.einsum("ng,ng->n", left, right) / np.where(length > 0, length, 1)
    return result


def _chunks(n: int) -> list[slice]:
    return [slice(start, start + _CHUNK) for start in range(0, n, _CHUNK)]

"""What sets each domain apart: genes against the other domains, and terms against genes of like expression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse, stats

from semst._slices import slice_means, slice_sums
from semst.asking._relative import like_expression
from semst.pp._expression import moments, stabilise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_SPOTS = 4000  # that tell how much the spots of a domain differ
_FEWEST = 200  # of each domain, or all it has: of a rare one hardly a spot may be among those


@dataclass(frozen=True)
class Profiles:
    r"""Genes of domains.

    Parameters
    ----------
    differences
        ``(k, g)`` float64: mean standardised expression in a domain less that in all other spots, less the mean of this
        over genes of like expression; zeros for genes that are not used.
    bins
        Indices of genes of like expression.
    values
        ``(n, g)`` CSR: logarithmic expression, each gene divided by its standard deviation.
    codes
        ``(n,)``: domain of each spot, -1 for none.
    slices, means
        ``(n,)`` number of each spot's slice, and of each slice what its spots are held against, ``(s, g)`` float64 in
        the unit of ``values``: its own means; None where there is one slice, which needs none.
    """

    differences: NDArray[np.float64]
    bins: tuple[NDArray[np.int64], ...]
    values: sparse.csr_matrix
    codes: NDArray[np.int64]
    slices: NDArray[np.int64] | None = None
    means: NDArray[np.float64] | None = None


def profiles(counts: sparse.csr_matrix, codes: NDArray[np.int64], slices: NDArray[np.int64] | None = None) -> Profiles:
    """Compare domains, numbered from 0 in ``codes`` ``(n,)`` (-1: none), by raw counts ``(n, g)``.

    With ``slices`` ``(n,)`` expression is taken relative to the mean of the spot's own slice.
    """
    values: Any = stabilise(counts, "log10k")
    mean, deviation = moments(values, slices)
    bins = like_expression(mean, deviation > 0)
    values = sparse.csr_matrix(values @ sparse.diags(1 / np.where(deviation > 0, deviation, 1)), dtype=np.float32)
    inside = np.flatnonzero(codes >= 0)
    members = sparse.csr_matrix((np.ones(inside.size), (codes[inside], inside)), shape=(codes.max() + 1, codes.size))
    size = np.asarray(members.sum(axis=1))
    sums = np.asarray((members @ values).todense(), dtype=np.float64)
    means = None
    if slices is not None:
        means = slice_means(values, slices)
        sums -= slice_sums(members.T, slices).T @ means
    others = (sums.sum(axis=0) - sums) / (size.sum() - size)
    differences = sums / size - others
    centred = np.zeros_like(differences)
    for genes in bins:
        centred[:, genes] = differences[:, genes] - differences[:, genes].mean(axis=1, keepdims=True)
    return Profiles(centred, bins, values, codes, slices, means)


def centre(weights: NDArray[np.float64], bins: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Take from weights ``(g, ...)`` their mean in each bin, and all weight from genes in none."""
    centred = np.zeros_like(weights)
    for genes in bins:
        centred[genes] = weights[genes] - weights[genes].mean(axis=0)
    return centred


def against_genes(
    found: Profiles, weights: NDArray[np.float64], *, n_permutations: int, random_state: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Measure how far the genes of each term stand out in each domain among genes of like expression.

    .. math:: z_{dt} = \sum_g \delta_{dg} w_{gt} \Big/ \sqrt{\sum_b \frac{1}{|b| - 1}
        \sum_{g \in b} \delta_{dg}^2 \sum_{g \in b} w_{gt}^2}

    with differences :math:`\delta` and weights :math:`w`, both centred in every bin :math:`b`: the root is the exact
    standard deviation of the sum when weights are dealt anew in each bin. Because few genes carry much of the weight,
    the null is no normal distribution: it is drawn, and pooled over the terms.

    Parameters
    ----------
    found
        Of ``k`` domains.
    weights
        ``(g, t)`` of the terms, centred by :func:`centre`.
    n_permutations
        Draws for each domain; each counts for every term.
    random_state
        Their seed.

    Returns
    -------
    ``z`` and one-sided p-values, each ``(k, t)``.
    """
    generator = np.random.default_rng(random_state)
    single = weights.astype(np.float32)
    of_weights = np.stack([np.square(weights[genes]).sum(axis=0) / max(genes.size - 1, 1) for genes in found.bins])
    shape = (len(found.differences), weights.shape[1])
    z, p = np.zeros(shape), np.ones(shape)
    for domain, difference in enumerate(found.differences):
        of_domain = np.array([np.square(difference[genes]).sum() for genes in found.bins])
        deviation = np.sqrt(of_domain @ of_weights)
        deviation[deviation == 0] = 1
        dealt = np.zeros((n_permutations, difference.size), dtype=np.float32)
        for genes in found.bins:
            rows = np.tile(difference[genes].astype(np.float32), (n_permutations, 1))
            dealt[:, genes] = generator.permuted(rows, axis=1)
        null = np.sort(((dealt @ single) / deviation).ravel())
        z[domain] = difference @ weights / deviation
        p[domain] = (1 + null.size - np.searchsorted(null, z[domain])) / (1 + null.size)
    return z, p


def against_spots(
    found: Profiles, weights: NDArray[np.float64], *, random_state: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure how far the spots of each domain differ from all others in what a term weighs.

    Single spots are compared, not averages over neighbours, so that the test holds where domains are smooth. On large
    tissue 4000 random spots stand for all; a domain that has fewer than 200 among them is given more of its own.

    Parameters
    ----------
    found
        Of ``k`` domains.
    weights
        ``(g, t)`` of the terms, centred by :func:`centre`.
    random_state
        Seed of the choice of spots, where there are more than 4000.

    Returns
    -------
    Cohen's d, and one-sided p-values of Welch's test, each ``(k, t)``.
    """
    spots, drawn = _some_spots(found.codes, np.random.default_rng(random_state))
    scores = np.asarray(found.values[spots] @ weights)
    if found.slices is not None and found.means is not None:
        scores -= (found.means @ weights)[found.slices[spots]]
    codes = found.codes[spots]
    effect, p = (
        np.zeros((len(found.differences), weights.shape[1])),
        np.ones((len(found.differences), weights.shape[1])),
    )
    for domain in range(len(found.differences)):
        inside, outside = scores[codes == domain], scores[(codes != domain) & drawn]
        if min(len(inside), len(outside)) < 2:
            continue
        spread = np.sqrt((inside.var(axis=0, ddof=1) + outside.var(axis=0, ddof=1)) / 2)
        effect[domain] = (inside.mean(axis=0) - outside.mean(axis=0)) / np.where(spread > 0, spread, np.inf)
        tested = stats.ttest_ind(inside, outside, equal_var=False, alternative="greater").pvalue
        p[domain] = np.where(np.isfinite(tested), tested, 1)
    return effect, p


def _some_spots(
    codes: NDArray[np.int64], generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Give the spots to look at, sorted, and which of them were drawn from all, and not to fill up a rare domain."""
    spots = np.flatnonzero(codes >= 0)
    if spots.size <= _SPOTS:
        return spots, np.ones(spots.size, dtype=bool)
    drawn = generator.choice(spots, _SPOTS, replace=False)
    left = np.setdiff1d(spots, drawn)
    more = []
    for domain in np.unique(codes[left]):
        wanted = _FEWEST - np.count_nonzero(codes[drawn] == domain)
        own = left[codes[left] == domain]
        if wanted > 0:
            more.append(own if own.size <= wanted else generator.choice(own, wanted, replace=False))
    together = np.sort(np.concatenate([drawn, *more]))
    return together, np.isin(together, drawn)

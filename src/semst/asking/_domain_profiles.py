"""What sets each domain apart: genes against the other domains, and terms against genes of like expression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse, stats

from semst._slices import slice_means
from semst.asking._relative import centre, like_expression
from semst.pp._expression import moments, stabilise

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SPOTS = 4000  # that tell how much the spots of a domain differ
_FEWEST = 200  # of each domain, or all it has: of a rare one hardly a spot may be among those


@dataclass(frozen=True)
class Profiles:
    r"""Genes of domains.

    Parameters
    ----------
    differences
        ``(k, g)`` float64: mean standardised expression in a domain less that in all other spots of the same slice,
        less the mean of this over genes of like expression; zeros for genes that are not used. Of several slices the
        mean, each by :math:`n m / (n + m)` for :math:`n` spots in the domain and :math:`m` others, so that a slice
        without either has no say.
    bins
        Indices of genes of like expression.
    values
        ``(n, g)`` CSR: logarithmic expression, each gene divided by its standard deviation.
    codes
        ``(n,)``: domain of each spot, -1 for none.
    slices
        ``(n,)`` number of each spot's slice, from 0; zeros where there is one.
    """

    differences: NDArray[np.float64]
    bins: tuple[NDArray[np.int64], ...]
    values: sparse.csr_matrix
    codes: NDArray[np.int64]
    slices: NDArray[np.int64]


def profiles(counts: sparse.csr_matrix, codes: NDArray[np.int64], slices: NDArray[np.int64] | None = None) -> Profiles:
    """Compare domains, numbered from 0 in ``codes`` ``(n,)`` (-1: none), by raw counts ``(n, g)``.

    With ``slices`` ``(n,)``, numbered from 0, spots are compared with others of their own slice alone.
    """
    values: Any = stabilise(counts, "log10k")
    mean, deviation = moments(values, slices)
    bins = like_expression(mean, deviation > 0)
    values = sparse.csr_matrix(values @ sparse.diags(1 / np.where(deviation > 0, deviation, 1)), dtype=np.float32)
    numbers = np.zeros(codes.size, dtype=np.int64) if slices is None else slices
    differences = centre(_differences(values, codes, numbers).T, bins).T
    return Profiles(differences, bins, values, codes, numbers)


def _differences(values: sparse.csr_matrix, codes: NDArray[np.int64], slices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of each domain less that of the other spots, within slices, ``(k, g)``; 0 for one that fills its slices."""
    n_domains = int(codes.max()) + 1
    total, weight = np.zeros((n_domains, values.shape[1])), np.zeros((n_domains, 1))
    for each in np.unique(slices[codes >= 0]):
        spots = np.flatnonzero((slices == each) & (codes >= 0))
        members = sparse.csr_matrix(
            (np.ones(spots.size), (codes[spots], np.arange(spots.size))), shape=(n_domains, spots.size)
        )
        size = np.asarray(members.sum(axis=1))
        others = spots.size - size
        here = values if spots.size == codes.size else values[spots]
        sums = np.asarray((members @ here).todense(), dtype=np.float64)
        share = size * others / spots.size
        with np.errstate(invalid="ignore", divide="ignore"):  # a domain that is not here, or alone, has no share
            contrast = sums / size - (sums.sum(axis=0) - sums) / others
        total += np.where(share > 0, share * contrast, 0)
        weight += share
    return total / np.where(weight > 0, weight, 1)


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
    r"""Measure how far the spots of each domain differ from all others of their slice in what a term weighs.

    Single spots are compared, not averages over neighbours, so that the test holds where domains are smooth. On large
    tissue 4000 random spots stand for all; a domain that has fewer than 200 among them is given more of its own.

    With :math:`n_s` spots of the domain in slice :math:`s` and :math:`m_s` others, means :math:`\bar x_s` and
    :math:`\bar y_s`, and variances :math:`a^2` and :math:`b^2` about them in all slices together,

    .. math::

        \Delta = \frac{\sum_s w_s (\bar x_s - \bar y_s)}{\sum_s w_s}, \qquad w_s = \frac{n_s m_s}{n_s + m_s}, \qquad
        d = \frac{\Delta}{\sqrt{(a^2 + b^2) / 2}}, \qquad
        t = \Delta \Big/ \frac{\sqrt{\sum_s w_s^2 (a^2 / n_s + b^2 / m_s)}}{\sum_s w_s}

    which is Cohen's d and Welch's test where there is one slice.

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
    codes = found.codes[spots]
    slices = np.unique(found.slices[spots], return_inverse=True)[1]
    shape = (len(found.differences), weights.shape[1])
    effect, p = np.zeros(shape), np.ones(shape)
    for domain in range(len(found.differences)):
        inside = codes == domain
        outside = ~inside & drawn
        n, m = (np.bincount(slices[side], minlength=slices.max() + 1) for side in (inside, outside))
        both = (n > 0) & (m > 0)
        n, m = n[both], m[both]
        sides = [side & both[slices] for side in (inside, outside)]
        freedom = [np.count_nonzero(side) - n.size for side in sides]
        if n.size == 0 or min(freedom) < 1:
            continue
        (x, a), (y, b) = (_about_slices(scores[side], slices[side]) for side in sides)
        weight = n * m / (n + m)
        delta = weight @ (x - y) / weight.sum()
        spread = np.sqrt((a + b) / 2)
        effect[domain] = delta / np.where(spread > 0, spread, np.inf)
        errors = [np.square(weight) @ (1 / size) / weight.sum() ** 2 * variance for size, variance in ((n, a), (m, b))]
        error = errors[0] + errors[1]
        with np.errstate(invalid="ignore", divide="ignore"):
            degrees = error**2 / (errors[0] ** 2 / freedom[0] + errors[1] ** 2 / freedom[1])
            tested = stats.t.sf(delta / np.sqrt(error), degrees)
        p[domain] = np.where(np.isfinite(tested), tested, 1)
    return effect, p


def _about_slices(
    scores: NDArray[np.float64], slices: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean of each slice that occurs ``(s, t)``, and the variance about these means in all of them ``(t,)``."""
    present, numbers = np.unique(slices, return_inverse=True)
    means = slice_means(scores, numbers)
    squares = np.square(scores - means[numbers]).sum(axis=0)
    return means, squares / max(len(scores) - present.size, 1)


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

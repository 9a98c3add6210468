"""What meaning did while domains were sought: how strongly it modulated each spot, and by which genes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from semst._keys import IN_MODULATION
from semst._slices import centred
from semst.nn import normalised_adjacency
from semst.partitions._similarity import indicator
from semst.training._sections import rings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from semst.clustering._pooled import Pooled
    from semst.training._modulated import Modulated
    from semst.training._sections import Tissue

TOP_GENES = 20
_CHUNK = 1024  # spots whose products with all genes are in memory at a time


@dataclass(frozen=True)
class Smoother:
    """The way from semantics of spots to what networks read: averaged, centred before and after, in a common unit.

    Parameters
    ----------
    matrix
        ``(n, n)`` float32 CSR, symmetric.
    reach
        ``(n,)`` float32: sums of its rows.
    unit
        What the smoothed semantics were divided by.
    """

    matrix: sparse.csr_matrix
    reach: NDArray[np.float32]
    unit: float

    @classmethod
    def of(cls, tissue: Tissue, n_rings: int) -> Smoother:
        """Build that of the views with so many rings."""
        adjacency = normalised_adjacency(rings(tissue.graph, n_rings))
        parts: Any = [each.numpy() for each in (adjacency.values(), adjacency.col_indices(), adjacency.crow_indices())]
        matrix: Any = sparse.csr_matrix(tuple(parts), shape=tissue.graph.shape)
        semantics = tissue.semantics
        assert semantics is not None  # without semantics nothing is modulated
        if tissue.slices is None:
            spread = (matrix @ (semantics - semantics.mean(axis=0))).std(axis=0, ddof=1)
        else:
            spread = centred(matrix @ centred(semantics, tissue.slices), tissue.slices).std(axis=0, ddof=1)
        return cls(matrix, np.asarray(matrix.sum(axis=1)).ravel(), max(float(spread.mean()), 1e-8))


def influence(modulated: Modulated, labels: NDArray[np.int64], tissue: Tissue, pooled: Pooled) -> NDArray[np.float32]:
    r"""Tell by how much each gene's vector moves the modulation of each domain.

    To first order, the share of a domain's squared modulation :math:`Q_d = \sum_{i \in d} m_i^2` that goes when the
    vector :math:`e_g` of a gene is replaced by that of the mean gene, which is zero:

    .. math::

        I_{dg} = \frac{1}{Q_d} \, e_g \cdot \frac{\partial Q_d}{\partial e_g}
               = \frac{1}{Q_d} \, e_g \cdot \Bigl(W^\top \sum_r \sigma_r^{-1} C \hat A_r C D_d G_r\Bigr)_g

    with the shares :math:`W` of genes in spots, the smoothing :math:`\hat A_r` over :math:`r` rings, the centring
    :math:`C`, the spots :math:`D_d` of the domain, and the gradients :math:`G_r` of :math:`m_i^2` by what the networks
    read. The unit :math:`\sigma_r` is the one in which they learned, and is held.

    Parameters
    ----------
    modulated
        Sizes and gradients.
    labels
        ``(n,)`` from 0 without gaps.
    tissue
        Its graph and semantics.
    pooled
        How the semantics were made.

    Returns
    -------
    ``(domains, g)`` float32; zeros for genes without a vector, and where nothing is modulated.
    """
    smoothers = {n_rings: Smoother.of(tissue, n_rings) for n_rings in modulated.gradients}
    slices = np.zeros(labels.size, dtype=np.int64) if tissue.slices is None else tissue.slices
    members = indicator(slices)
    columns = [members, *(each.reach[:, None] * members for each in smoothers.values())]
    everywhere = _total_shares(pooled, np.concatenate(columns, axis=1))
    result = np.zeros((int(labels.max()) + 1, len(pooled.vectors)), dtype=np.float32)
    for domain, told in enumerate(result):
        spots = np.flatnonzero(labels == domain)
        squared = float(np.square(modulated.size[spots], dtype=np.float64).sum())
        if squared > 0:
            rows, pulls, means = _pulled(modulated, smoothers, spots, slices)
            centring = np.einsum("gm,gm->g", everywhere @ means, pooled.vectors)
            told[:] = (_along_genes(pooled, rows, pulls) - centring) / squared
    return result


def _pulled(
    modulated: Modulated, smoothers: Mapping[int, Smoother], spots: NDArray[np.int64], slices: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float64]]:
    """Bring the gradient of one domain back through the smoothing, to the semantics of the spots themselves.

    Returns
    -------
    The spots in reach of the domain; their gradients before centring; and what centring takes off the gradient of every
    spot: a row for each slice, for all of its spots alike, and one for each smoother and slice, times the sum of the
    smoother's row.
    """
    sizes = np.bincount(slices)[:, None]
    parts = {n_rings: each.matrix[spots] for n_rings, each in smoothers.items()}
    rows = np.unique(np.concatenate([part.indices for part in parts.values()])).astype(np.int64)
    pulls = np.zeros((rows.size, next(iter(modulated.gradients.values())).shape[1]), dtype=np.float32)
    means = []
    for n_rings, part in parts.items():
        gradient = modulated.gradients[n_rings][spots] / np.float32(smoothers[n_rings].unit)
        pulls += part[:, rows].T @ gradient
        means.append(_sums(gradient, slices[spots], sizes.size) / sizes)
    average = _sums(pulls, slices[rows], sizes.size) / sizes
    for mean, each in zip(means, smoothers.values(), strict=True):
        reach = [each.reach[slices == number].mean(dtype=np.float64) for number in range(sizes.size)]
        average -= np.array(reach)[:, None] * mean
    return rows, pulls, np.concatenate([average, *means])


def _sums(values: NDArray[np.float32], slices: NDArray[np.int64], n_slices: int) -> NDArray[np.float64]:
    """Sum rows by slice: ``(n_slices, d)``."""
    return np.stack([values[slices == number].sum(axis=0, dtype=np.float64) for number in range(n_slices)])


def _total_shares(pooled: Pooled, columns: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sum the shares of each gene over all spots, each spot counted as often as a column says."""
    total = np.zeros((len(pooled.vectors), columns.shape[1]))
    for rows in _chunks(np.arange(len(columns))):
        total += pooled.shares(rows).T @ columns[rows]
    return total


def _along_genes(pooled: Pooled, rows: NDArray[np.int64], pulls: NDArray[np.float32]) -> NDArray[np.float64]:
    r"""Compute :math:`\sum_i w_{ig} \, p_i \cdot e_g` for each gene, over some spots with a pull each."""
    total = np.zeros(len(pooled.vectors))
    for chunk, pull in zip(_chunks(rows), _chunks(pulls), strict=True):
        shares = pooled.shares(chunk)
        # All products at once and a look at those that count: faster than a sparse product of so many columns.
        products = pull @ pooled.vectors.T
        spot = np.repeat(np.arange(len(chunk)), np.diff(shares.indptr))
        total += np.bincount(shares.indices, shares.data * products[spot, shares.indices], minlength=total.size)
    return total


def _chunks(values: NDArray[Any]) -> list[NDArray[Any]]:
    return [values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK)]


def facts(
    modulated: Modulated, labels: NDArray[np.int64], tissue: Tissue, pooled: Pooled | str, *, names: NDArray[np.str_]
) -> dict[str, Any]:
    """Gather what goes into ``uns``; see :func:`semst.tl.cluster`.

    Parameters
    ----------
    modulated, labels, tissue
        As :func:`influence` takes them.
    pooled
        How the semantics were made, or why that cannot be told.
    names
        ``(g,)`` of the genes.
    """
    sizes = np.bincount(labels)
    found: dict[str, Any] = {
        IN_MODULATION.domains: np.array([str(number + 1) for number in range(sizes.size)], dtype=object),
        IN_MODULATION.alpha: (np.bincount(labels, modulated.alpha) / sizes).astype(np.float32),
        IN_MODULATION.beta: (np.bincount(labels, modulated.beta) / sizes).astype(np.float32),
        IN_MODULATION.constant: {
            IN_MODULATION.alpha: modulated.constant_alpha,
            IN_MODULATION.beta: modulated.constant_beta,
        },
    }
    if isinstance(pooled, str):
        return {**found, IN_MODULATION.why_no_genes: pooled}
    told = influence(modulated, labels, tissue, pooled)
    n_top = min(TOP_GENES, int(pooled.pooling.known.sum()))
    order = np.argsort(-np.abs(told), axis=1, kind="stable")[:, :n_top]
    shares = _total_shares(pooled, indicator(labels))
    ratio = (shares / sizes) / np.maximum(shares.sum(axis=1, keepdims=True) / labels.size, 1e-12)
    return {
        **found,
        IN_MODULATION.genes: names[order].astype(object),
        IN_MODULATION.influence: np.take_along_axis(told, order, axis=1),
        IN_MODULATION.relative_share: np.take_along_axis(ratio.T, order, axis=1).astype(np.float32),
    }

"""What meaning did while domains were sought: how strongly it modulated each spot, and by which genes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse

from semst._keys import IN_MODULATION
from semst.nn import normalised_adjacency
from semst.nn._modulation import Modulation, modulation
from semst.pp._gene_semantics import written_params
from semst.pp._pool import Pooling
from semst.pp._slices import centred
from semst.tl._sections import rings
from semst.tl._similarity import indicator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData
    from numpy.typing import NDArray

    from semst.nn import Section, SemSTNetwork
    from semst.nn._network import Encoding
    from semst.nn._processes import Processes
    from semst.pp._compute_semantics import SemanticsResult
    from semst.tl._sections import Tissue

TOP_GENES = 20
_CHUNK = 1024  # spots whose products with all genes are in memory at a time
_LOOKED_AT = 200  # spots whose vectors are pooled again, to see whether they belong to the vectors of the genes


@dataclass(frozen=True)
class Modulated:
    """The modulation of all networks together.

    Parameters
    ----------
    alpha, beta, size
        ``(n,)`` float32: root mean square over views of what :func:`semst.nn._modulation.modulation` measures.
    constant_alpha, constant_beta
        The same for the part that all spots have in common.
    gradients
        By number of rings, ``(n, m)`` float32: derivative of ``size ** 2`` by the semantics that the views with so many
        rings read.
    """

    alpha: NDArray[np.float32]
    beta: NDArray[np.float32]
    size: NDArray[np.float32]
    constant_alpha: float
    constant_beta: float
    gradients: dict[int, NDArray[np.float32]]


def seen_in(network: SemSTNetwork, section: Section, encoding: Encoding) -> Modulation | None:
    """Look at what the FSM of a network does to what its branches gave; None without semantics."""
    if network.fsm is None or section.semantics is None:
        return None
    both = torch.cat([encoding.spatial_view, encoding.expression_view], dim=1)
    return modulation(network.fsm, both, section.semantics)


class InTiles:
    """Takes up what one network does in the tiles of a tissue.

    The part that all spots have in common is told from the spots of a tile, which come from all over the tissue.

    Parameters
    ----------
    n_spots
        Of the whole tissue.
    n_features
        Semantic features.
    """

    def __init__(self, n_spots: int, n_features: int) -> None:
        self._sizes, self._gradient = torch.zeros(n_spots, 3), torch.zeros(n_spots, n_features)
        self._constants = torch.zeros(2)

    def add(self, spots: NDArray[np.int64], seen: Modulation) -> None:
        """Take up a tile."""
        self._sizes[spots] = torch.stack([seen.alpha, seen.beta, seen.size], dim=1).cpu()
        self._gradient[spots] = seen.gradient.cpu()
        squares = torch.tensor([seen.constant_alpha, seen.constant_beta]).square()
        self._constants += squares * len(spots) / len(self._sizes)

    def whole(self, processes: Processes) -> Modulation:
        """Give what the network does in the tiles that all processes took up."""
        for values in (self._sizes, self._gradient, self._constants):
            processes.add_up(values)
        alpha, beta, size = self._sizes.unbind(dim=1)
        constant_alpha, constant_beta = self._constants.sqrt().tolist()
        return Modulation(alpha, beta, size, self._gradient, constant_alpha, constant_beta)


@dataclass
class Collected:
    """Takes up the modulation of one network after the other, and keeps none of them."""

    views: int = 0
    squares: dict[str, Any] = field(default_factory=lambda: defaultdict(float))
    gradients: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    def add(self, seen: Modulation, *, rings: int) -> None:
        """Take up what a network with so many rings does."""
        self.views += 1
        for name in ("alpha", "beta", "size"):
            self.squares[name] = self.squares[name] + np.square(getattr(seen, name).cpu().numpy(), dtype=np.float64)
        for name in ("constant_alpha", "constant_beta"):
            self.squares[name] += getattr(seen, name) ** 2
        gradient = seen.gradient.float().cpu().numpy()
        if rings in self.gradients:
            self.gradients[rings] += gradient
        else:
            self.gradients[rings] = gradient.copy()

    def mean(self) -> Modulated | None:
        """Give the mean over networks; None where none has semantics."""
        if not self.views:
            return None
        roots: dict[str, Any] = {name: np.sqrt(square / self.views) for name, square in self.squares.items()}
        return Modulated(
            **{name: roots[name].astype(np.float32) for name in ("alpha", "beta", "size")},
            constant_alpha=float(roots["constant_alpha"]),
            constant_beta=float(roots["constant_beta"]),
            gradients={rings: gradient / np.float32(self.views) for rings, gradient in self.gradients.items()},
        )


@dataclass(frozen=True)
class Pooled:
    """How the semantics of spots were made from those of genes.

    Parameters
    ----------
    counts
        ``(n, g)`` float32 CSR: of which the spots' vectors were made.
    pooling
        Vectors of the genes, and the way from one to the other.
    """

    counts: sparse.csr_matrix
    pooling: Pooling

    @property
    def vectors(self) -> NDArray[np.float32]:
        """``(g, m)`` of the genes."""
        return self.pooling.vectors

    def again(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Make the vectors of some spots again."""
        chosen: Any = self.counts
        return self.pooling.of_spots(chosen[rows])

    def shares(self, rows: NDArray[np.int64]) -> sparse.csr_matrix:
        """Share of each gene in the vectors of some spots: ``(len(rows), g)`` CSR."""
        chosen: Any = self.counts
        return self.pooling.shares(chosen[rows])


def pooling_of(
    table: AnnData,
    counts: sparse.csr_matrix,
    semantics: NDArray[np.float32],
    *,
    key: str,
    layer: str | None,
    fresh: SemanticsResult | None,
) -> Pooled | str:
    """Find out how the semantics of the spots were made, or say in words why that cannot be told.

    Parameters
    ----------
    table
        With what :func:`semst.pp.gene_semantics` wrote, unless ``fresh`` is what it would write.
    counts
        ``(n, g)`` CSR of ``layer``.
    semantics
        ``(n, m)`` of the spots.
    key
        Of ``obsm``, ``varm`` and ``uns``.
    layer
        Where ``counts`` come from.
    fresh
        Semantics that were made just now.
    """
    params = fresh.params if fresh is not None else written_params(table, key)
    vectors = fresh.gene_vectors if fresh is not None else table.varm.get(key)
    if vectors is None or params.get("mode") != "genes":
        return f"obsm[{key!r}] was not made from vectors of genes by semst.pp.gene_semantics(mode='genes')"
    source = params.get("layer")
    if source != layer:
        matrix = table.X if source is None else table.layers.get(source)
        if matrix is None:
            return f"the counts that obsm[{key!r}] was made from are gone"
        counts = sparse.csr_matrix(matrix, dtype=np.float32)
    found = Pooled(counts, Pooling.of(np.asarray(vectors, dtype=np.float32), params))
    rows = np.unique(np.linspace(0, len(semantics) - 1, _LOOKED_AT).astype(np.int64))
    again = found.again(rows) if found.vectors.shape[1] == semantics.shape[1] else None
    if again is None or not np.allclose(again, semantics[rows], rtol=1e-3, atol=1e-3 * np.abs(again).max()):
        return f"obsm[{key!r}] is no longer what varm[{key!r}] and the counts give; genes may have been filtered since"
    return found


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

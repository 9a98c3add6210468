"""Expression of a tissue as queries read it: beside the neighbours, and against genes of like expression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from semst._sample import is_large, sample
from semst._slices import means_of_slices
from semst.pp._expression import moments

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BINS = 25  # of genes of like expression,
_GENES_PER_BIN = 20  # and never fewer genes in each than this
_COMPONENTS = 30
_ROUNDS = 8  # of the decomposition: after two, the order of the spots moved scores by a tenth of their spread
_SPOTS = 4000  # spots that the components are learnt from
_ROWS = 256  # spots at a time, where a mean for each is spread out


@dataclass(frozen=True)
class RelativeExpression:
    r"""Expression in few components.

    .. math::

        S = U V^\top, \qquad S_{ig} \approx \bar z_{ig} - \frac{1}{|b(g)|} \sum_{h \in b(g)} \bar z_{ih}

    with :math:`\bar z` the standardised logarithmic expression, averaged over a spot and its neighbours, and
    :math:`b(g)` the genes of like mean expression. Taking their mean away takes away what a spot shows of all genes
    alike: how deep it was sequenced. Of several slices each is standardised by its own means, so that what tells slices
    apart is taken away too.

    Parameters
    ----------
    scores
        ``(n, d)`` float32: :math:`U`.
    loadings
        ``(d, g)`` float32: :math:`V^\top`, orthonormal rows; zeros for genes that are not used.
    bins
        Indices of the genes of like expression, every used gene in one of them.
    """

    scores: NDArray[np.float32]
    loadings: NDArray[np.float32]
    bins: tuple[NDArray[np.int64], ...]

    @property
    def used(self) -> NDArray[np.int64]:
        """Indices of the genes that are used, bin by bin."""
        return np.concatenate(self.bins)

    def centre(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take from weights of genes ``(g, ...)`` their mean in each bin, and all weight from genes not used."""
        return centre(weights, self.bins)

    def covariance(self) -> NDArray[np.float64]:
        """Covariance of the components over spots, ``(d, d)``; the mean of each is 0, in every slice."""
        scores = self.scores.astype(np.float64)
        covariance: NDArray[np.float64] = scores.T @ scores / len(scores)
        return covariance


def relative_expression(
    counts: sparse.csr_matrix,
    graph: sparse.csr_matrix | None,
    *,
    random_state: int,
    slices: NDArray[np.int64] | None = None,
) -> RelativeExpression:
    """Compute it in memory and time linear in the spots.

    Parameters
    ----------
    counts
        ``(n, g)`` CSR, raw. Genes that do not vary are left out.
    graph
        ``(n, n)`` CSR of ones without self loops; None leaves each spot alone.
    random_state
        Seed of the choice of spots that components are learnt from, and of the decomposition.
    slices
        ``(n,)`` number of each spot's slice, from 0; the default takes all for one. No edge of the graph leads from one
        to another.
    """
    from sklearn.utils.extmath import randomized_svd

    values: Any = _logarithms(counts)
    n = values.shape[0]
    some = sample(n, random_state)
    mean, deviation = moments(values[some] if is_large(n) else values, None if slices is None else slices[some])
    bins = like_expression(mean, deviation > 0)
    generator = np.random.default_rng(random_state)
    learnt_from = np.arange(n) if n <= _SPOTS else np.sort(generator.choice(n, _SPOTS, replace=False))
    genes = np.concatenate(bins)
    means = mean[None] if slices is None else means_of_slices(lambda rows: values[rows], slices)
    expression = _Standardised(values, genes, means[:, genes], deviation[genes], slices, graph)
    seen = expression.rows(learnt_from)
    start = 0
    for group in bins:
        columns = slice(start, start + group.size)
        seen[:, columns] -= seen[:, columns].mean(axis=1, keepdims=True)
        start += group.size
    _centre(seen, None if slices is None else slices[learnt_from])
    d = max(min(_COMPONENTS, min(seen.shape) - 1), 1)
    _, _, found = randomized_svd(seen, d, n_iter=_ROUNDS, random_state=random_state)
    loadings = np.zeros((len(found), counts.shape[1]), dtype=np.float32)
    loadings[:, genes] = found
    # Loadings are centred in each bin, because what was seen is, and so their products with it are as well.
    scores = seen @ found.T if learnt_from.size == n else expression.times(found.T)
    _centre(scores, slices)
    return RelativeExpression(scores, loadings, bins)


def _centre(values: NDArray[np.float32], slices: NDArray[np.int64] | None) -> None:
    """Subtract from each row the mean of its slice, in place."""
    if slices is None:
        values -= values.mean(axis=0, dtype=np.float64).astype(np.float32)
        return
    numbers = np.unique(slices, return_inverse=True)[1]  # of some spots, not all slices may be there
    _subtract(values, means_of_slices(lambda rows: values[rows], numbers), numbers)


def _subtract(values: NDArray[np.float32], means: NDArray[np.float32], slices: NDArray[np.int64]) -> None:
    """Subtract from each row what belongs to its slice, in place, some rows at a time."""
    for start in range(0, len(values), _ROWS):
        rows = slice(start, start + _ROWS)
        values[rows] -= means[slices[rows]]


def centre(weights: NDArray[np.float64], bins: tuple[NDArray[np.int64], ...]) -> NDArray[np.float64]:
    """Take from weights ``(g, ...)`` their mean in each bin, and all weight from genes in none."""
    centred = np.zeros_like(weights)
    for genes in bins:
        centred[genes] = weights[genes] - weights[genes].mean(axis=0)
    return centred


def like_expression(mean: NDArray[np.float64], usable: NDArray[np.bool_]) -> tuple[NDArray[np.int64], ...]:
    """Group genes by mean expression into up to 25 bins of at least 20 genes, or one where there are fewer.

    Examples
    --------
    >>> [group.tolist() for group in like_expression(np.array([3.0, 1.0, 2.0]), np.array([True, True, False]))]
    [[1, 0]]
    """
    genes = np.flatnonzero(usable)
    if not genes.size:
        message = "no gene varies from spot to spot, so there is nothing to tell spots apart by; check the counts."
        raise ValueError(message)
    ordered = genes[np.argsort(mean[genes], kind="stable")]
    return tuple(np.array_split(ordered, min(_BINS, max(1, genes.size // _GENES_PER_BIN))))


def permuted(
    weights: NDArray[np.float64], bins: tuple[NDArray[np.int64], ...], *, n: int, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Deal the weights ``(g,)`` of the genes of each bin anew among them, ``n`` times: ``(g, n)``."""
    dealt = np.zeros((weights.size, n), dtype=np.float32)
    for genes in bins:
        dealt[genes] = generator.permuted(np.tile(weights[genes].astype(np.float32), (n, 1)), axis=1).T
    return dealt


@dataclass(frozen=True)
class _Standardised:
    """Standardised expression, averaged over the neighbourhood, of which only some rows are dense at a time."""

    values: sparse.csr_matrix
    genes: NDArray[np.int64]
    means: NDArray[Any]  # of each slice, (s, g)
    deviation: NDArray[np.float64]
    slices: NDArray[np.int64] | None
    graph: sparse.csr_matrix | None

    def rows(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        if rows.size == self.values.shape[0]:
            dense = self._around(rows) @ self.values.toarray()[:, self.genes]
        else:
            dense = (self._around(rows) @ self.values).toarray()[:, self.genes]
        means = self.means.astype(np.float32)
        if self.slices is None:
            dense -= means[0]
        else:  # no neighbour lies in another slice, so that it is no matter whether this is done before averaging
            _subtract(dense, means, self.slices[rows])
        dense /= self.deviation.astype(np.float32)
        return np.asarray(dense, dtype=np.float32)

    def times(self, directions: NDArray[np.float32]) -> NDArray[np.float32]:
        """Multiply all rows with ``(g, d)``; neither factor nor product is averaged before it is small."""
        scaled = (directions / self.deviation[:, None]).astype(np.float32)
        # Rows are brought into the order of the counts, which is cheap, and not the columns of the counts into theirs.
        everywhere = np.zeros((self.values.shape[1], scaled.shape[1]), dtype=np.float32)
        everywhere[self.genes] = scaled
        product: Any = self.values @ everywhere
        means = (self.means @ scaled).astype(np.float32)
        product -= means[0] if self.slices is None else means[self.slices]
        return np.asarray(self._around(np.arange(len(product))) @ product, dtype=np.float32)

    def _around(self, rows: NDArray[np.int64]) -> Any:  # noqa: ANN401 (sparse arithmetic is untyped)
        """Matrix that averages over a spot and its neighbours."""
        own = sparse.csr_matrix(
            (np.ones(rows.size, dtype=np.float32), (np.arange(rows.size), rows)),
            shape=(rows.size, self.values.shape[0]),
        )
        around = own if self.graph is None else sparse.csr_matrix(self.graph[rows] + own)
        return sparse.csr_matrix(
            sparse.diags((1 / np.asarray(around.sum(axis=1)).ravel()).astype(np.float32)) @ around, dtype=np.float32
        )


def _logarithms(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Do what ``stabilise(counts, "log10k")`` does, in single precision and in place, which is twice as fast."""
    library = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    library[library == 0] = 1
    scaled = np.repeat((1e4 / library).astype(np.float32), np.diff(counts.indptr))
    scaled *= counts.data
    np.log1p(scaled, out=scaled)
    return sparse.csr_matrix((scaled, counts.indices, counts.indptr), shape=counts.shape)

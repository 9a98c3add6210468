"""How the SemST paper scales expression, for its networks and before it picks the genes of a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COUNTS_PER_SPOT = 1e4
_HIGHEST = 10.0


def scale_as_published(
    values: sparse.csr_matrix,
    *,
    min_spots: int = 1,
    counts: bool = True,
    deviation: NDArray[np.float32] | None = None,
) -> sparse.csr_matrix:
    r"""Scale as the paper does: each spot to 10 000, each gene by its standard deviation, cut at 10, no logarithm.

    Parameters
    ----------
    values
        ``(n_spots, n_genes)`` raw counts, or values that are normalised already; none is negative.
    min_spots
        Genes seen in fewer spots are removed (their entries, not their columns).
    counts
        Whether spots are scaled at all; not where the values are normalised already.
    deviation
        ``(n_genes,)``: the standard deviations, as :func:`published_deviation` gives them; the default computes them
        from these spots.

    Returns
    -------
    ``(n_spots, n_genes)`` float32 CSR without explicit zeros:
    :math:`\min(10, \; \tilde x_{ig} / \sigma_g)` with :math:`\tilde x_{ig} = 10^4 x_{ig} / \sum_h x_{ih}` and
    :math:`\sigma_g` the standard deviation of :math:`\tilde x_{\cdot g}` (:math:`n - 1` in the denominator; 1 where
    it is zero). Not centred.
    """
    scaled = _per_10k(values, min_spots=min_spots, counts=counts)
    spread = _standard_deviation(scaled) if deviation is None else deviation
    exact = scaled.data / spread[scaled.indices]
    scaled.data = np.minimum(exact, _HIGHEST).astype(np.float32)
    return scaled


def published_deviation(values: sparse.csr_matrix, *, counts: bool) -> NDArray[np.float32]:
    """Standard deviation ``(n_genes,)`` by which :func:`scale_as_published` divides, 1 where a gene does not vary."""
    return _standard_deviation(_per_10k(values, min_spots=1, counts=counts))


def _per_10k(values: sparse.csr_matrix, *, min_spots: int, counts: bool) -> sparse.csr_matrix:
    """Scale each spot to the same total, in float64; the values themselves stay as they are."""
    kept = np.bincount(values.indices[values.data > 0], minlength=values.shape[1]) >= min_spots
    entries = values.data * kept[values.indices].astype(np.float64)
    scaled = sparse.csr_matrix((entries, values.indices.copy(), values.indptr.copy()), shape=values.shape)
    scaled.eliminate_zeros()
    if counts:
        total = np.asarray(scaled.sum(axis=1)).ravel()
        total[total == 0] = 1.0
        scaled.data *= np.repeat(_COUNTS_PER_SPOT / total, np.diff(scaled.indptr))
    return scaled


def _standard_deviation(values: sparse.csr_matrix) -> NDArray[np.float32]:
    """Standard deviation of each gene over all spots, from the entries that are not zero; 1 where it vanishes."""
    n_spots, n_genes = values.shape
    entries, genes = values.data, values.indices
    mean = np.bincount(genes, weights=entries, minlength=n_genes) / n_spots
    n_zeros = n_spots - np.bincount(genes, minlength=n_genes)
    # Squared distances to the mean, not the mean of squares: the latter cancels for genes that hardly vary.
    squares = np.bincount(genes, weights=(entries - mean[genes]) ** 2, minlength=n_genes) + n_zeros * mean**2
    deviation = np.sqrt(squares / max(n_spots - 1, 1))
    # Rounding leaves about 1e-16 of the mean in a gene that does not vary at all.
    deviation[deviation <= 1e-9 * mean] = 1.0
    return deviation.astype(np.float32)

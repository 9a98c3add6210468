"""The text of a spot: its most expressed genes, as the SemST paper hands them to a language model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from semst.pp._pool import top_entries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

INSTRUCTION = (
    "Describe the biological state of a cell so that cells of one spatial domain of a tissue can be told from others."
)
N_TOP = 10
_COUNTS_PER_SPOT = 1e4
_HIGHEST = 10.0
_PUBLISHED_MIN_SPOTS = 100
_CHUNK = 4096


def default_min_spots(n_spots: int) -> int:
    """Give the published 100 spots, or a twentieth of a small tissue; at least 1.

    Examples
    --------
    >>> [default_min_spots(n) for n in (4000, 300, 5)]
    [100, 15, 1]
    """
    return max(1, min(_PUBLISHED_MIN_SPOTS, n_spots // 20))


def prompts(counts: sparse.csr_matrix, names: Sequence[str], *, n_top: int = N_TOP, min_spots: int = 1) -> list[str]:
    r"""Write one text for each spot.

    Parameters
    ----------
    counts
        ``(n_spots, n_genes)`` raw counts.
    names
        ``n_genes`` names, as the text shall give them.
    n_top
        Genes that a text names, the most expressed first, ties in the order of the genes.
    min_spots
        Genes seen in fewer spots are not named: after division by their tiny standard deviation they would always win.

    Returns
    -------
    ``n_spots`` texts. A spot that expresses no such gene is said to express ``none``.

    Examples
    --------
    >>> counts = sparse.csr_matrix(np.array([[3, 1, 0], [0, 1, 4]], dtype=np.float32))
    >>> [text.split("\n")[1] for text in prompts(counts, ["MBP", "ACTB", "SNAP25"])]
    ['Highly expressed genes: ACTB, MBP', 'Highly expressed genes: ACTB, SNAP25']

    ACTB comes first although it has fewer counts: it varies less, and values are in units of the standard deviation.
    """
    scaled = scale_as_published(counts, min_spots=min_spots)
    texts: list[str] = []
    for start in range(0, scaled.shape[0], _CHUNK):
        top = top_entries(scaled[start : start + _CHUNK], n_top)
        for first, last in zip(top.indptr[:-1], top.indptr[1:], strict=True):
            genes = ", ".join(names[gene] for gene in top.indices[first:last]) or "none"
            texts.append(f"{INSTRUCTION}\nHighly expressed genes: {genes}")
    return texts


def scale_as_published(counts: sparse.csr_matrix, *, min_spots: int = 1) -> sparse.csr_matrix:
    r"""Scale expression as the SemST paper does before it picks the genes of a prompt.

    Parameters
    ----------
    counts
        ``(n_spots, n_genes)`` raw counts.
    min_spots
        Genes seen in fewer spots are removed (their entries, not their columns).

    Returns
    -------
    ``(n_spots, n_genes)`` float32 CSR without explicit zeros:
    :math:`\min(10, \; \tilde x_{ig} / \sigma_g)` with :math:`\tilde x_{ig} = 10^4 x_{ig} / \sum_h x_{ih}` and
    :math:`\sigma_g` the standard deviation of :math:`\tilde x_{\cdot g}` (:math:`n - 1` in the denominator; 1 where
    it is zero). Not centred, no logarithm.
    """
    n_spots, n_genes = counts.shape
    kept = np.bincount(counts.indices[counts.data > 0], minlength=n_genes) >= min_spots
    values = counts.data * kept[counts.indices]
    scaled = sparse.csr_matrix((values, counts.indices.copy(), counts.indptr.copy()), shape=counts.shape)
    scaled.eliminate_zeros()
    total = np.asarray(scaled.sum(axis=1, dtype=np.float64)).ravel()
    total[total == 0] = 1.0
    exact = scaled.data * np.repeat(_COUNTS_PER_SPOT / total, np.diff(scaled.indptr))
    exact /= _standard_deviation(exact, scaled.indices, n_spots, n_genes)[scaled.indices]
    scaled.data = np.minimum(exact, _HIGHEST).astype(np.float32)
    return scaled


def _standard_deviation(
    values: NDArray[np.float64], genes: NDArray[np.int32], n_spots: int, n_genes: int
) -> NDArray[np.float64]:
    """Standard deviation of each gene over all spots, from the entries that are not zero; 1 where it vanishes."""
    mean = np.bincount(genes, weights=values, minlength=n_genes) / n_spots
    n_zeros = n_spots - np.bincount(genes, minlength=n_genes)
    # Squared distances to the mean, not the mean of squares: the latter cancels for genes that hardly vary.
    squares = np.bincount(genes, weights=(values - mean[genes]) ** 2, minlength=n_genes) + n_zeros * mean**2
    deviation = np.sqrt(squares / max(n_spots - 1, 1))
    # Rounding leaves about 1e-16 of the mean in a gene that does not vary at all.
    deviation[deviation <= 1e-9 * mean] = 1.0
    return deviation

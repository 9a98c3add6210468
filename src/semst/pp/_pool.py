"""From vectors of genes to vectors of spots, weighted by expression."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

Weights: TypeAlias = Literal["lognorm", "raw"]

_COUNTS_PER_SPOT = 1e4
_CHUNK = 4096  # spots; bounds the memory for weights and changes nothing else


@dataclass(frozen=True)
class Pooling:
    """Gene vectors, and how spots come to theirs.

    Parameters
    ----------
    vectors
        ``(n_genes, d)`` float32, rows of zeros for genes without one.
    weights, n_top
        As :func:`pool` takes them.
    """

    vectors: NDArray[np.float32]
    weights: Weights = "lognorm"
    n_top: int | None = None

    @classmethod
    def of(cls, vectors: NDArray[np.float32], params: Mapping[str, Any]) -> Pooling:
        """Give that of vectors which :func:`semst.pp.gene_semantics` wrote with such parameters."""
        n_top = params.get("n_top")
        return cls(
            vectors, cast("Weights", str(params.get("weights", "lognorm"))), None if n_top is None else int(n_top)
        )

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """``(n_genes,)``: genes that have a vector."""
        return np.asarray(self.vectors.any(axis=1))

    def of_spots(self, counts: sparse.csr_matrix) -> NDArray[np.float32]:
        """Give spots their vectors by their counts ``(n_spots, n_genes)``: ``(n_spots, d)``."""
        return pool(counts, self.vectors, self.known, weights=self.weights, n_top=self.n_top)

    def shares(self, counts: sparse.csr_matrix) -> sparse.csr_matrix:
        """Share of each gene in the vectors of such spots: ``(n_spots, n_genes)`` CSR, rows of sum 1 or empty.

        Examples
        --------
        >>> counts = sparse.csr_matrix(np.array([[3.0, 1.0, 9.0]], dtype=np.float32))
        >>> vectors = np.array([[1.0], [2.0], [0.0]], dtype=np.float32)
        >>> Pooling(vectors, weights="raw").shares(counts).toarray().tolist()
        [[0.75, 0.25, 0.0]]
        """
        weighted = _weighted(counts, self.known, self.weights, self.n_top)
        total = np.asarray(weighted.sum(axis=1, dtype=np.float64)).ravel()
        weighted.data = (weighted.data / np.repeat(total, np.diff(weighted.indptr))).astype(np.float32)
        return weighted


def pool(
    counts: sparse.csr_matrix,
    gene_vectors: NDArray[np.float32],
    known: NDArray[np.bool_],
    *,
    weights: Weights = "lognorm",
    n_top: int | None = None,
    chunk_size: int = _CHUNK,
) -> NDArray[np.float32]:
    r"""Average gene vectors in each spot by expression.

    Parameters
    ----------
    counts
        ``(n_spots, n_genes)``, not negative; never made dense.
    gene_vectors
        ``(n_genes, d)`` float32, rows of zeros for genes without a vector.
    known
        ``(n_genes,)`` bool: genes with a vector; the others get no weight.
    weights
        ``"lognorm"``: :math:`w_{ig} = \log(1 + 10^4 x_{ig} / \sum_h x_{ih})`; ``"raw"``: :math:`w_{ig} = x_{ig}`.
    n_top
        Use only the genes of highest weight in each spot, ties in the order of the genes; the default uses all.
    chunk_size
        Spots that are worked on at a time.

    Returns
    -------
    ``(n_spots, d)`` float32: :math:`s_i = \sum_g w_{ig} e_g / \sum_g w_{ig}`, both sums over known genes; zeros for a
    spot that expresses none of them.

    Examples
    --------
    >>> counts = sparse.csr_matrix(np.array([[3.0, 1.0]], dtype=np.float32))
    >>> vectors = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    >>> pool(counts, vectors, np.array([True, True]), weights="raw").tolist()
    [[0.75, 0.25]]
    """
    pooled = np.zeros((counts.shape[0], gene_vectors.shape[1]), dtype=np.float32)
    for start, chunk in _chunks(counts, chunk_size):
        weighted = _weighted(chunk, known, weights, n_top)
        total = np.asarray(weighted.sum(axis=1, dtype=np.float64)).ravel()
        total[total == 0] = 1.0
        sums = weighted @ gene_vectors
        pooled[start : start + chunk.shape[0]] = sums / total[:, None]
    return pooled


def top_entries(matrix: sparse.csr_matrix, n_top: int) -> sparse.csr_matrix:
    """Keep the ``n_top`` highest entries of each row, the highest first, ties in the order of the columns.

    Parameters
    ----------
    matrix
        ``(n_rows, n_columns)`` without explicit zeros or negative values.
    n_top
        At least 1; rows with fewer entries keep them all.

    Returns
    -------
    CSR of the same shape whose column indices stand, row by row, in descending order of value.

    Examples
    --------
    >>> matrix = sparse.csr_matrix(np.array([[1.0, 5.0, 0.0, 5.0]]))
    >>> top_entries(matrix, 2).indices.tolist()
    [1, 3]
    """
    lengths = np.diff(matrix.indptr)
    row_of = np.repeat(np.arange(matrix.shape[0]), lengths)
    order = np.lexsort((matrix.indices, -matrix.data, row_of))
    place = np.arange(matrix.nnz) - matrix.indptr[row_of]
    kept = order[place < n_top]
    indptr = np.concatenate([[0], np.cumsum(np.minimum(lengths, n_top))])
    return sparse.csr_matrix((matrix.data[kept], matrix.indices[kept], indptr), shape=matrix.shape)


def _chunks(matrix: sparse.csr_matrix, size: int) -> Iterator[tuple[int, sparse.csr_matrix]]:
    for start in range(0, matrix.shape[0], size):
        yield start, matrix[start : start + size]


def _weighted(
    chunk: sparse.csr_matrix, known: NDArray[np.bool_], weights: Weights, n_top: int | None
) -> sparse.csr_matrix:
    """Weights of the genes in each spot, in memory of their own; none for unknown genes and those below the top."""
    values = chunk.data.astype(np.float32)
    if weights == "lognorm":
        total = np.asarray(chunk.sum(axis=1, dtype=np.float64)).ravel()
        total[total == 0] = 1.0
        factor = (_COUNTS_PER_SPOT / total).astype(np.float32)
        values = np.log1p(values * np.repeat(factor, np.diff(chunk.indptr)))
    values *= known[chunk.indices]
    weighted = sparse.csr_matrix((values, chunk.indices.copy(), chunk.indptr.copy()), shape=chunk.shape)
    weighted.eliminate_zeros()
    return weighted if n_top is None else top_entries(weighted, n_top)

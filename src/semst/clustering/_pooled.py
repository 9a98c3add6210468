"""How the semantics of spots were made from those of genes, found out from what a table holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from semst._inputs import dense, read_sparse
from semst.pp._gene_semantics import written_params
from semst.pp._pool import Pooling

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray
    from scipy import sparse

    from semst.pp._compute_semantics import SemanticsResult

_LOOKED_AT = 200  # spots whose vectors are pooled again, to see whether they belong to the vectors of the genes


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
    if not params:
        return (
            f"uns[{key!r}] has no record of how obsm[{key!r}] was made. Vectors of your own have none, and "
            "anndata.concat drops it: run semst.pp.gene_semantics after joining slices"
        )
    if vectors is None or params.get("mode") != "genes":
        return f"obsm[{key!r}] was not made from vectors of genes by semst.pp.gene_semantics(mode='genes')"
    source = params.get("layer")
    if source != layer:
        matrix = table.X if source is None else table.layers.get(source)
        if matrix is None:
            return f"the counts that obsm[{key!r}] was made from are gone"
        counts = read_sparse(matrix)
    found = Pooled(counts, Pooling.of(dense(vectors).astype(np.float32, copy=False), params))
    rows = np.unique(np.linspace(0, len(semantics) - 1, _LOOKED_AT).astype(np.int64))
    again = found.again(rows) if found.vectors.shape[1] == semantics.shape[1] else None
    if again is None or not np.allclose(again, semantics[rows], rtol=1e-3, atol=1e-3 * np.abs(again).max()):
        return f"obsm[{key!r}] is no longer what varm[{key!r}] and the counts give; genes may have been filtered since"
    return found

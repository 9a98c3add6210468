from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from semst._slices import slice_means, slice_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy import sparse


@dataclass(frozen=True)
class Section:
    """A tissue section as the network sees it: tensors and sparse counts, no names.

    Parameters
    ----------
    features
        ``(n, d)`` float32 input of the network; ``(m, d)`` where the spots are a tile of a larger tissue, which brings
        the spots around it along.
    spatial
        ``(n, n)`` float32 torch CSR: :func:`semst.nn.normalised_adjacency` of the spatial graph; ``(m, m)`` for a tile.
    expression
        ``(n, n)`` float32 torch CSR: the same of the expression graph.
    neighbours
        ``(2, e)`` int64: :func:`semst.nn.edge_pairs` of the spatial graph.
    counts
        ``(n, g)`` float32 SciPy CSR of what is reconstructed; stays in main memory, a step copies what it looks at.
    semantics
        ``(n, s)`` float32, or None.
    inner
        ``(n,)`` int64: for a tile, the rows of ``features`` with its own spots; None where all are.
    slices
        ``(n,)`` int64 number of each spot's slice, from 0, where the section is made up of several; None where it is
        one.
    """

    features: Tensor
    spatial: Tensor
    expression: Tensor
    neighbours: Tensor
    counts: sparse.csr_matrix
    semantics: Tensor | None = None
    inner: Tensor | None = None
    slices: Tensor | None = None

    @property
    def n_spots(self) -> int:
        """Number of spots."""
        return int(self.counts.shape[0])

    def own(self, rows: Tensor) -> Tensor:
        """Of something with a row for each spot that is read, the rows of the section's own spots."""
        return rows if self.inner is None else rows.index_select(0, self.inner)

    def library(self) -> Tensor:
        """Counts of each spot, ``(n,)`` float32; a spot without any of these genes counts as one."""
        return torch.from_numpy(np.maximum(np.asarray(self.counts.sum(axis=1)).ravel(), 1).astype(np.float32))

    def share(self) -> Tensor:
        """Share of each gene in all counts, ``(g,)`` float32, above 0; of several slices in each, ``(s, g)``."""
        if self.slices is not None:
            return shares(slice_sums(self.counts, self.slices.cpu().numpy()))
        return shares(np.asarray(self.counts.sum(axis=0), dtype=np.float64).reshape(1, -1))[0]

    def averages(self) -> Tensor:
        """Mean of each gene in each slice, ``(s, g)`` float32, for expression that is normalised already.

        With one slice ``(g,)`` zeros: the decoder learns its means.
        """
        if self.slices is None:
            return torch.zeros(self.counts.shape[1])
        return torch.from_numpy(slice_means(self.counts, self.slices.cpu().numpy()).astype(np.float32))

    def observed(self, spots: NDArray[np.int64], genes: NDArray[np.int64]) -> Tensor:
        """Counts of some spots and genes, ``(len(spots), len(genes))`` float32, dense."""
        return torch.from_numpy(self.counts[spots].toarray()[:, genes])

    def to(self, device: torch.device | str) -> Section:
        """Move the tensors to a device."""
        return replace(
            self,
            features=self.features.to(device),
            spatial=self.spatial.to(device),
            expression=self.expression.to(device),
            neighbours=self.neighbours.to(device),
            semantics=None if self.semantics is None else self.semantics.to(device),
            inner=None if self.inner is None else self.inner.to(device),
            slices=None if self.slices is None else self.slices.to(device),
        )


def shares(totals: NDArray[np.float64]) -> Tensor:
    """Share of each gene in the counts of each slice: ``(s, g)`` float32, above 0, from the sums ``(s, g)``."""
    whole = np.maximum(totals.sum(axis=1, keepdims=True), 1.0)
    return torch.from_numpy((np.maximum(totals, 0.5) / whole).astype(np.float32))

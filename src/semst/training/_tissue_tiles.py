"""A large tissue in one view, as tiles that are prepared when they are asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse

from semst import _sample
from semst._sample import sample
from semst._slices import means_of_slices, slice_means, slice_sums
from semst.nn import Section, edge_pairs, normalised_adjacency
from semst.nn._adjacency import as_tensor
from semst.nn._section import shares
from semst.nn._tiles import cut, deal, halo, part
from semst.pp._expression import deviations, unit_variance
from semst.pp._graphs import expression_graph
from semst.training._sections import GRAPH_COMPONENTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semst.nn import Convolution, Likelihood
    from semst.training._large_features import LargeFeatures
    from semst.training._recipe import Recipe
    from semst.training._sections import Tissue

TILE = 2_500  # spots: about a small section; finding spots of like expression is quadratic in it
_PATCHES = 8  # from which a tile is made up


def dealt(tissue: Tissue, random_state: int, *, tile: int | None = None) -> list[NDArray[np.int64]]:
    """Give the spots of each tile of a tissue: every spot is in one, and every tile comes from all over the tissue.

    Parameters
    ----------
    tissue
        With places.
    random_state
        Seed.
    tile
        About so many spots in each; the default is 2500.
    """
    assert tissue.places is not None  # for the type checker
    n_tiles = max(round(len(tissue.places) / (tile or TILE)), 1)
    return deal(cut(tissue.places, _PATCHES * n_tiles), n_tiles, generator=np.random.default_rng(random_state))


def extract(tissue: Tissue, random_state: int) -> Tissue:
    """Give some patches of a large tissue, as many spots as a small one has, as a tissue of their own."""
    tiles = dealt(tissue, random_state)[: _sample.ENOUGH // TILE]
    spots = np.sort(np.concatenate(tiles))
    rows: Any = tissue.counts
    return replace(
        tissue,
        counts=rows[spots],
        graph=part(tissue.graph, spots),
        semantics=None if tissue.semantics is None else tissue.semantics[spots],
        places=None if tissue.places is None else tissue.places[spots],
        slices=None if tissue.slices is None else np.unique(tissue.slices[spots], return_inverse=True)[1],
    )


class TissueTiles:
    """A view of a large tissue, tile by tile.

    The network is one on the whole tissue: neighbours in place are those of the whole tissue, whatever tile they are in
    (each tile brings along the spots around its own, see :func:`semst.nn._tiles.halo`). Neighbours in expression are
    sought inside the tile, which comes from all over the tissue: that is what makes the cost linear.

    Parameters
    ----------
    tissue
        With places.
    features
        What the network reads of each spot.
    recipe
        Says how the spots are connected.
    tiles
        :func:`dealt`.
    adjacency
        ``(n, n)`` SciPy CSR: :func:`semst.nn._adjacency.normalise` of the spatial graph of the view.
    likelihood, convolution
        Of the network.
    random_state
        Seed of the sample of spots by which semantics are scaled.
    """

    def __init__(
        self,
        tissue: Tissue,
        features: LargeFeatures,
        recipe: Recipe,
        *,
        tiles: list[NDArray[np.int64]],
        adjacency: sparse.csr_matrix,
        likelihood: Likelihood,
        convolution: Convolution,
        random_state: int,
    ) -> None:
        self.tissue, self.recipe, self.spots, self.adjacency = tissue, recipe, tiles, adjacency
        self._features = features
        # The plain mean of SAGE also asks the outermost spots how many neighbours they have.
        self._hops = 3 if convolution == "sage" else 2
        self._kept: dict[int, Section] = {}
        self._counts: Any = tissue.counts
        chosen = sample(len(adjacency.indptr) - 1, random_state)
        self._deviation = deviations(self._counts[chosen][:, tissue.genes]) if likelihood == "gaussian" else None
        if tissue.semantics is None:
            return
        if tissue.slices is not None:
            self._centre_slices(tissue.semantics, tissue.slices)
            return
        self._mean = tissue.semantics.mean(axis=0, dtype=np.float64).astype(np.float32)
        rows: Any = adjacency[chosen]
        smooth = rows @ tissue.semantics - np.outer(np.asarray(rows.sum(axis=1)), self._mean)
        self._centre = smooth.mean(axis=0)
        self._scale = max(float(smooth.std(axis=0, ddof=1).mean()), 1e-8)

    def _centre_slices(self, semantics: NDArray[np.float32], slices: NDArray[np.int64]) -> None:
        """Find the mean semantics of every slice, over all of its spots: a sample may miss small slices."""
        self._mean = means_of_slices(lambda some: semantics[some], slices)

        def smooth(some: slice) -> NDArray[np.float32]:
            rows: Any = self.adjacency[some]
            # No edge leaves a slice: what the mean of a slice adds to a spot is that mean times the sum of its row.
            reach = np.asarray(rows.sum(axis=1))
            told: NDArray[np.float32] = rows @ semantics - reach * self._mean[slices[some]]
            return told

        self._centre = means_of_slices(smooth, slices)
        square = means_of_slices(lambda some: np.square(smooth(some) - self._centre[slices[some]]), slices)
        variance = (square * np.bincount(slices)[:, None]).sum(axis=0) / max(len(slices) - 1, 1)
        self._scale = max(float(np.sqrt(variance).mean()), 1e-8)

    def __len__(self) -> int:
        return len(self.spots)

    def __getitem__(self, number: int) -> Section:
        """Prepare a tile; all but its counts is kept, because tiles come again."""
        if number not in self._kept:
            self._kept[number] = self._prepare(number)
        return replace(self._kept[number], counts=self._observed(self.spots[number]))

    def _prepare(self, number: int) -> Section:
        """Prepare all of a tile but its counts."""
        own = self.spots[number]
        read = halo(self.adjacency, own, self._hops)
        near = part(self.adjacency, read)
        inner = np.searchsorted(read, own)
        slices = self.tissue.slices
        spatial, features = as_tensor(near), torch.from_numpy(self._features.of(read))
        shape: Any = (own.size, self.tissue.genes.size)
        return Section(
            features=features,
            spatial=spatial,
            expression=self._expression(features, spatial, inner),
            neighbours=edge_pairs(part(near, inner)),
            counts=sparse.csr_matrix(shape, dtype=np.float32),
            semantics=self._semantics(read, spatial, inner),
            inner=torch.from_numpy(inner),
            slices=None if slices is None else torch.from_numpy(slices[own]),
        )

    def _expression(self, features: torch.Tensor, spatial: torch.Tensor, inner: NDArray[np.int64]) -> torch.Tensor:
        """Connect spots of like expression."""
        linear = self.recipe.n_components > 0
        told = (spatial @ features[:, :GRAPH_COMPONENTS] if linear else features).numpy()[inner]
        return normalised_adjacency(expression_graph(told, n_neighbors=self.recipe.expression_neighbors))

    def _observed(self, own: NDArray[np.int64]) -> sparse.csr_matrix:
        counts: Any = self._counts[own]
        if self.tissue.genes.size < counts.shape[1]:
            counts = counts[:, self.tissue.genes]
        observed: sparse.csr_matrix = counts if self._deviation is None else unit_variance(counts, self._deviation)
        return observed

    def _semantics(
        self, read: NDArray[np.int64], spatial: torch.Tensor, inner: NDArray[np.int64]
    ) -> torch.Tensor | None:
        if self.tissue.semantics is None:
            return None
        mean, centre = self._mean, self._centre
        if self.tissue.slices is not None:
            mean, centre = mean[self.tissue.slices[read]], centre[self.tissue.slices[read[inner]]]
        smooth = (spatial @ torch.from_numpy(self.tissue.semantics[read] - mean)).numpy()[inner]
        return torch.from_numpy((smooth - centre) / self._scale)

    def share(self) -> torch.Tensor:
        """Share of each gene in all counts of the tissue, ``(n_genes,)`` float32, above 0; as of a section.

        Of several slices ``(s, n_genes)``: the share in each, or for expression that is normalised already the mean.
        """
        if self.tissue.slices is not None:
            return self._shares_of_slices(self.tissue.slices)
        totals = np.asarray(self._counts.sum(axis=0), dtype=np.float64).reshape(1, -1)[:, self.tissue.genes]
        return shares(totals)[0]

    def _shares_of_slices(self, slices: NDArray[np.int64]) -> torch.Tensor:
        if self._deviation is None:
            return shares(slice_sums(self._counts, slices)[:, self.tissue.genes])
        values = unit_variance(self._counts[:, self.tissue.genes], self._deviation)
        return torch.from_numpy(slice_means(values, slices).astype(np.float32))

    def forget(self, number: int) -> None:
        """Let go of what is kept of a tile."""
        self._kept.pop(number, None)

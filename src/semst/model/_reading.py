"""From counts to what the networks read, by rules that were fitted on the training tissue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from semst.pp._expression import (
    Transform,
    deviations,
    library_size,
    principal_axes,
    published_deviation,
    published_scaling,
    stabilise,
)
from semst.pp._sample import chunks, sample

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy import sparse

    from semst.model._genes import Overlap
    from semst.tl._recipe import Recipe
    from semst.tl._sections import Tissue


@dataclass(frozen=True)
class Reading:
    """One way to stabilise counts, and the axes onto which they are then turned.

    Parameters
    ----------
    transform
        As :func:`semst.pp._expression.stabilise`.
    depth
        Library size that spots are scaled to; 0 where they are not.
    deviation
        ``(g,)`` float64: what genes are divided by; ones where the transformation divides by nothing.
    mean
        ``(g,)`` float64: mean of the stabilised genes in the training tissue.
    turn
        ``(g, d)`` float32: principal axes in columns, in the unit of the first score; None where the network reads the
        scaled genes themselves, as published.
    """

    transform: Transform
    depth: float
    deviation: NDArray[np.float64]
    mean: NDArray[np.float64]
    turn: NDArray[np.float32] | None

    @classmethod
    def fit(cls, tissue: Tissue, recipe: Recipe, transform: Transform, *, counts: bool, random_state: int) -> Reading:
        """Fit what the training of the networks fitted; ``counts`` says whether values are still to be normalised."""
        rows: Any = tissue.counts
        some, genes = rows[sample(rows.shape[0], random_state)], tissue.genes
        if not recipe.n_components:
            published = published_deviation(some[:, genes], counts=counts)
            scaled = published_scaling(some[:, genes], counts=counts, deviation=published)
            mean = scaled.mean(axis=0, dtype=np.float64)
            return cls(transform, 1e4 if counts else 0.0, published.astype(np.float64), mean, None)
        depth = library_size(some, transform)
        deviation = deviations(stabilise(some, "log", depth=depth)) if transform == "scaled" else np.ones(rows.shape[1])
        values: Any = stabilise(some, transform, depth=depth, deviation=deviation)
        scores, mean, axes = principal_axes(values[:, genes], recipe.n_components, random_state=random_state)
        turn = (axes.T / (float(scores[:, 0].std()) or 1.0)).astype(np.float32)
        return cls(transform, depth, deviation[genes], mean, turn)

    def __call__(self, counts: sparse.csr_matrix, overlap: Overlap, *, recentre: bool) -> NDArray[np.float32]:
        """Read new tissue.

        Parameters
        ----------
        counts
            ``(n, m)`` CSR of all genes of the new tissue.
        overlap
            Which of them are the model's.
        recentre
            Whether the mean of each gene in the new tissue takes the place of its mean in the training tissue.

        Returns
        -------
        ``(n, d)`` float32. A gene that the new tissue lacks counts as its mean.
        """
        rows: Any = counts
        known, chosen, used = overlap.known, overlap.chosen, overlap.used
        if self.turn is None:
            return self._published(rows[:, known], overlap, recentre=recentre)
        deviation = np.ones(known.size)
        deviation[chosen] = self.deviation[used]
        depth = self.depth * overlap.share

        def stable(some: slice) -> Any:  # noqa: ANN401
            return stabilise(rows[some][:, known], self.transform, depth=depth, deviation=deviation)[:, chosen]

        turn = self.turn[used]
        features = np.concatenate([stable(some) @ turn for some in chunks(rows.shape[0])])
        middle = features.mean(axis=0, dtype=np.float64) if recentre else self.mean[used] @ turn
        result: NDArray[np.float32] = (features - middle).astype(np.float32)
        return result

    def _published(self, counts: sparse.csr_matrix, overlap: Overlap, *, recentre: bool) -> NDArray[np.float32]:
        """Scale genes as published; the features are the genes, and those that are missing get their mean."""
        rows: Any = counts
        features = np.tile(self.mean.astype(np.float32), (rows.shape[0], 1))
        values = rows.astype(np.float32)
        if self.depth:
            library = np.maximum(np.asarray(values.sum(axis=1)).ravel(), 1)
            values = values.multiply((self.depth * overlap.share / library)[:, None]).tocsr()
        scaled = published_scaling(
            values[:, overlap.chosen], counts=False, deviation=self.deviation[overlap.used].astype(np.float32)
        )
        if recentre:
            scaled = scaled - scaled.mean(axis=0) + self.mean[overlap.used]
        features[:, overlap.used] = scaled
        return features

"""From counts to what the networks read, by rules that were fitted on the training tissue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from semst._sample import chunks, sample
from semst._slices import less_mean
from semst.pp._expression import (
    Transform,
    deviations,
    library_size,
    principal_axes,
    stabilise,
    unit_variance,
)
from semst.pp._published_scaling import published_deviation, scale_as_published

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semst.model._genes import Overlap
    from semst.training._recipe import Recipe
    from semst.training._sections import Tissue


# Labels from half and from a tenth of the genes of a slice agree most with those from all of them (see
# benchmarks/slices/transfer.md); no expert's label was looked at for it.
_RIDGE = 0.03


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
        ``(g,)`` float64: mean of the stabilised genes in the training tissue, over all of its slices.
    turn
        ``(g, d)`` float32: principal axes in columns, in the unit of the first score; None where the network reads the
        scaled genes themselves, as published.
    within
        Whether the training tissue had several slices: what the network reads is then relative to the mean of a slice
        also where it reads the genes themselves.
    """

    transform: Transform
    depth: float
    deviation: NDArray[np.float64]
    mean: NDArray[np.float64]
    turn: NDArray[np.float32] | None
    within: bool = False

    @classmethod
    def fit(cls, tissue: Tissue, recipe: Recipe, transform: Transform, *, counts: bool, random_state: int) -> Reading:
        """Fit what the training of the networks fitted; ``counts`` says whether values are still to be normalised."""
        rows: Any = tissue.counts
        chosen, genes = sample(rows.shape[0], random_state), tissue.genes
        some, within = rows[chosen], tissue.slices is not None
        if not recipe.n_components:
            published = published_deviation(some[:, genes], counts=counts)
            scaled = scale_as_published(some[:, genes], counts=counts, deviation=published).toarray()
            mean = scaled.mean(axis=0, dtype=np.float64)
            return cls(transform, 1e4 if counts else 0.0, published.astype(np.float64), mean, None, within)
        depth = library_size(some, transform)
        deviation = deviations(stabilise(some, "log", depth=depth)) if transform == "scaled" else np.ones(rows.shape[1])
        values: Any = stabilise(some, transform, depth=depth, deviation=deviation)
        scores, mean, axes = principal_axes(
            values[:, genes],
            recipe.n_components,
            random_state=random_state,
            slices=None if tissue.slices is None else tissue.slices[chosen],
        )
        turn = (axes.T / (float(scores[:, 0].std()) or 1.0)).astype(np.float32)
        return cls(transform, depth, deviation[genes], mean, turn, within)

    def __call__(
        self,
        counts: sparse.csr_matrix,
        overlap: Overlap,
        *,
        recentre: bool,
        slices: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float32]:
        """Read new tissue.

        Parameters
        ----------
        counts
            ``(n, m)`` CSR of all genes of the new tissue.
        overlap
            Which of them are the model's.
        recentre
            Whether the mean of each gene in the new tissue takes the place of its mean in the training tissue.
        slices
            ``(n,)`` number of each spot's slice, from 0: the new mean is then that of the spot's slice. The default
            takes all spots for one slice.

        Returns
        -------
        ``(n, d)`` float32: what the network reads.
        """
        rows: Any = counts
        if self.turn is None:
            values = self.stable(rows, overlap).toarray()
            level = np.zeros_like(self.mean) if self.within else self.mean
            known = None if recentre else self.mean[overlap.used]
            features = np.tile(level.astype(np.float32), (rows.shape[0], 1))
            features[:, overlap.used] += less_mean(values, slices=slices, known=known)
            return features
        turn = self._turn(overlap.used)
        features = np.concatenate([self.stable(rows[some], overlap) @ turn for some in chunks(rows.shape[0])])
        return less_mean(features, slices=slices, known=None if recentre else self.mean[overlap.used] @ turn)

    def _turn(self, used: NDArray[np.int64]) -> NDArray[np.float32]:
        r"""Axes for the genes that are there, so that the scores are what all genes would have given.

        With the axes :math:`V` of all genes and the rows :math:`V_u` of those that are there, scores are found by
        least squares, with a ridge towards zero in directions of which little is left:

        .. math::

            V_u \left(V_u^\top V_u + \rho \, (I - V_u^\top V_u)\right)^{-1}

        All genes give :math:`V` itself. :math:`\rho = 1` would take missing genes as their mean, which draws all spots
        to the middle of the tissue, and :math:`\rho = 0` blows up what is hardly measured.
        """
        assert self.turn is not None  # looked after by who calls
        if used.size == len(self.turn):
            return self.turn
        spread = float(np.linalg.norm(self.turn[:, 0].astype(np.float64)))
        axes = self.turn[used].astype(np.float64) / spread
        left = axes.T @ axes
        scores = np.linalg.solve(left + _RIDGE * (np.eye(len(left)) - left), axes.T).T
        result: NDArray[np.float32] = (scores * spread).astype(np.float32)
        return result

    def stable(self, counts: sparse.csr_matrix, overlap: Overlap) -> Any:  # noqa: ANN401
        """Stabilise the genes of new tissue ``(n, m)`` that the networks read: ``(n, c)`` CSR, not centred."""
        rows: Any = counts
        values = rows[:, overlap.known]
        if self.turn is None:  # as published: a spot is scaled by its counts of the genes that are read, and no others
            values, depth = values[:, overlap.chosen], self.depth * overlap.share_read
            if depth:
                library = np.maximum(np.asarray(values.sum(axis=1), dtype=np.float64).ravel(), 1)
                values = sparse.diags(depth / library) @ values
            return unit_variance(values, self.deviation[overlap.used])
        depth = self.depth * overlap.share
        deviation = np.ones(overlap.known.size)
        deviation[overlap.chosen] = self.deviation[overlap.used]
        return stabilise(values, self.transform, depth=depth, deviation=deviation)[:, overlap.chosen]

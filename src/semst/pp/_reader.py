"""What a network reads of each spot, on tissue too large to compute it for all spots at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from semst.pp._expression import (
    deviations,
    library_size,
    principal_axes,
    stabilise,
)
from semst.pp._published_scaling import published_deviation, scale_as_published

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from scipy import sparse

    from semst.pp._expression import Transform


def reader(
    counts: sparse.csr_matrix,
    genes: NDArray[np.int64],
    *,
    transform: Transform,
    n_components: int,
    normalise: bool,
    random_state: int,
    slices: NDArray[np.int64] | None = None,
) -> Callable[[sparse.csr_matrix], NDArray[np.float32]]:
    """Fit the way from counts to principal components on some spots, to follow it with any others.

    Parameters
    ----------
    counts
        ``(n, n_genes)`` CSR: a sample of the spots.
    genes
        Indices of those that are used.
    transform
        As :func:`semst.pp._expression.stabilise`.
    n_components
        Principal components; 0 gives the scaled genes themselves, as published.
    normalise
        Whether the published scaling normalises spots first.
    random_state
        Seed of the solver.
    slices
        ``(n,)`` number of each spot's slice, from 0: principal components are sought within slices, and what is read is
        not centred, since these spots need not tell the mean of every slice. The default is one slice.

    Returns
    -------
    A function of any spots' counts ``(m, n_genes)`` CSR: their features, ``(m, d)`` float32. Of the sample itself it
    gives what :func:`semst.pp._expression.principal_components` gives, up to rounding.
    """
    if not n_components:
        published = published_deviation(counts[:, genes], counts=normalise)
        return lambda rows: scale_as_published(rows[:, genes], counts=normalise, deviation=published).toarray()
    depth = library_size(counts, transform)
    deviation = deviations(stabilise(counts, "log", depth=depth)) if transform == "scaled" else None

    def stable(rows: sparse.csr_matrix) -> Any:  # noqa: ANN401
        values: Any = stabilise(rows, transform, depth=depth, deviation=deviation)
        return values if genes.size == values.shape[1] else values[:, genes]

    scores, mean, axes = principal_axes(stable(counts), n_components, random_state=random_state, slices=slices)
    spread = float(scores[:, 0].std()) or 1.0
    turn = (axes.T / spread).astype(np.float32)
    middle = (mean @ turn).astype(np.float32) if slices is None else np.float32(0)

    def read(rows: sparse.csr_matrix) -> NDArray[np.float32]:
        features: NDArray[np.float32] = stable(rows) @ turn - middle
        return features

    return read

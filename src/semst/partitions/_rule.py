"""A linear rule that says which group a point belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from semst._sample import chunks

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Rule:
    r"""Which group a point belongs to: the one of highest :math:`x W + b`.

    Nearest means and mixtures with one covariance for all groups are both of this form.

    Parameters
    ----------
    weights
        ``(d, k)`` float64.
    offsets
        ``(k,)`` float64.
    """

    weights: NDArray[np.float64]
    offsets: NDArray[np.float64]

    def __call__(self, points: NDArray[np.float32]) -> NDArray[np.int64]:
        """Assign points ``(n, d)``: labels ``(n,)`` from 0."""
        return np.concatenate(
            [(points[some] @ self.weights + self.offsets).argmax(axis=1) for some in chunks(len(points))]
        ).astype(np.int64)

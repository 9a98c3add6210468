"""From matched rows to the vectors of the genes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class GeneVectors:
    """Vectors of ``n`` genes, the mean of the known ones removed.

    Attributes
    ----------
    vectors
        ``(n, d)`` float32, rows of zeros where a gene has none.
    known
        ``(n,)`` bool.
    center
        ``(d,)`` float32: the mean that was removed.
    """

    vectors: NDArray[np.float32]
    known: NDArray[np.bool_]
    center: NDArray[np.float32]


def center_vectors(source: NDArray[np.float32], rows: NDArray[np.int64]) -> GeneVectors:
    r"""Pick rows out of a source and remove their mean.

    Parameters
    ----------
    source
        ``(n_rows, d)`` float32.
    rows
        ``(n,)`` int64, -1 where a gene has no vector; at least one gene must have one.

    Notes
    -----
    For the set :math:`K` of genes with a vector, :math:`e_g = v_g - \frac{1}{|K|} \sum_{h \in K} v_h`, and
    :math:`e_g = 0` for all others, so that a gene without a vector stands where the average gene does. The vectors of a
    text model share a large common direction, beside which their differences would be small.

    Examples
    --------
    >>> source = np.array([[1.0, 0.0], [3.0, 2.0]], dtype=np.float32)
    >>> center_vectors(source, np.array([1, -1, 0])).vectors.tolist()
    [[1.0, 1.0], [0.0, 0.0], [-1.0, -1.0]]
    """
    known = rows >= 0
    vectors = np.zeros((rows.size, source.shape[1]), dtype=np.float32)
    vectors[known] = source[rows[known]]
    center = vectors[known].mean(axis=0, dtype=np.float64).astype(np.float32)
    vectors[known] -= center
    return GeneVectors(vectors, known, center)

"""Several slices in one table: what is computed within each, so that their differences do not count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from semst._sample import chunks

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def members_of(slices: NDArray[np.int64]) -> sparse.csr_matrix:
    """One row for each slice, one where a spot belongs to it: ``(s, n)`` float64 CSR."""
    n = slices.size
    return sparse.csr_matrix((np.ones(n), (slices, np.arange(n))), shape=(int(slices.max()) + 1, n))


def slice_sums(values: Any, slices: NDArray[np.int64]) -> NDArray[np.float64]:  # noqa: ANN401 (dense or sparse)
    """Sum the rows of each slice.

    Parameters
    ----------
    values
        ``(n, g)``, dense or CSR.
    slices
        ``(n,)`` number of each spot's slice, from 0.

    Returns
    -------
    ``(s, g)`` float64.

    Examples
    --------
    >>> slice_sums(np.array([[1.0], [3.0], [5.0]]), np.array([0, 0, 1]))
    array([[4.],
           [5.]])
    """
    total: Any = members_of(slices) @ values
    dense = total if isinstance(total, np.ndarray) else total.toarray()
    return np.asarray(dense, dtype=np.float64)


def slice_means(values: Any, slices: NDArray[np.int64]) -> NDArray[np.float64]:  # noqa: ANN401
    """Average the rows of each slice: ``(s, g)`` float64; zeros for a slice without spots."""
    sizes = np.maximum(np.bincount(slices), 1)
    return slice_sums(values, slices) / sizes[:, None]


def sums_of_slices(values_of: Callable[[slice], Any], slices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum within each slice what is given a piece of the tissue at a time, so that no whole copy is made.

    Parameters
    ----------
    values_of
        Gives the values ``(m, d)`` of a range of spots, dense or CSR.
    slices
        ``(n,)`` number of each spot's slice, from 0.

    Returns
    -------
    ``(s, d)`` float64.
    """
    total: Any = 0.0
    for some in chunks(slices.size):
        present, number = np.unique(slices[some], return_inverse=True)
        sums = slice_sums(values_of(some), number)
        whole = np.zeros((int(slices.max()) + 1, sums.shape[1]))  # all slices get a row, also those that lie elsewhere
        whole[present] = sums
        total = total + whole
    result: NDArray[np.float64] = total
    return result


def means_of_slices(values_of: Callable[[slice], Any], slices: NDArray[np.int64]) -> NDArray[np.float32]:
    """Average within each slice what is given a piece of the tissue at a time, as :func:`sums_of_slices` sums it.

    No slice is empty. Returns ``(s, d)`` float32.

    Examples
    --------
    >>> values = np.array([[1.0], [3.0], [8.0]], dtype=np.float32)
    >>> means_of_slices(lambda spots: values[spots], np.array([0, 0, 1])).ravel().tolist()
    [2.0, 8.0]
    """
    means: NDArray[np.float32] = (sums_of_slices(values_of, slices) / np.bincount(slices)[:, None]).astype(np.float32)
    return means


def centred(values: NDArray[np.float32], slices: NDArray[np.int64]) -> NDArray[np.float32]:
    """Subtract from each row the mean of its slice: ``(n, d)`` float32."""
    means = slice_means(values, slices).astype(np.float32)
    result: NDArray[np.float32] = (values - means[slices]).astype(np.float32, copy=False)
    return result


def less_mean(
    values: NDArray[np.float32], *, slices: NDArray[np.int64] | None, known: NDArray[Any] | None = None
) -> NDArray[np.float32]:
    """Subtract from each row the mean of its slice, of all rows where there is one slice, or a mean that is known.

    Examples
    --------
    >>> values = np.array([[1.0], [3.0], [8.0]], dtype=np.float32)
    >>> [less_mean(values, slices=each).ravel().tolist() for each in (None, np.array([0, 0, 1]))]
    [[-3.0, -1.0, 4.0], [-1.0, 1.0, 0.0]]
    """
    if known is None and slices is not None:
        return centred(values, slices)
    mean = values.mean(axis=0, dtype=np.float64) if known is None else known
    result: NDArray[np.float32] = (values - mean).astype(np.float32, copy=False)
    return result


def side_by_side(places: NDArray[np.float64], slices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Lay slices in a row, each in a square of its own whose area is its number of spots.

    Slices have coordinates of their own, which overlap and may be in different units; a tissue can only be cut into
    patches where each place is taken once. Distances are not compared anywhere else.

    Returns
    -------
    ``(n, 2)`` float64.

    Examples
    --------
    >>> side_by_side(np.array([[0.0, 0.0], [0.0, 9.0], [0.0, 0.0]]), np.array([0, 0, 1]))[:, 0].round(2)
    array([0.  , 0.  , 1.41])
    """
    laid = np.empty_like(places)
    start = 0.0
    order = np.argsort(slices, kind="stable")
    for spots in np.split(order, np.cumsum(np.bincount(slices))[:-1]):
        here = places[spots] - places[spots].min(axis=0)
        side = np.sqrt(len(spots))
        laid[spots] = here * (side / max(float(here.max()), 1e-12)) + (start, 0.0)
        start += side
    return laid


class WithinSlices:
    r"""Sparse values minus the mean of each slice, as a product with vectors: nothing becomes dense.

    With the values :math:`X`, the indicator :math:`H` of the slices ``(n, s)`` and their means :math:`M` ``(s, g)``,

    .. math::

        (X - H M) v = X v - H (M v), \qquad (X - H M)^\top u = X^\top u - M^\top (H^\top u)

    Parameters
    ----------
    values
        ``(n, g)`` CSR.
    slices
        ``(n,)`` from 0.
    """

    def __init__(self, values: sparse.csr_matrix, slices: NDArray[np.int64]) -> None:
        self.values, self.slices = values, slices
        self.means = slice_means(values, slices)
        self._members: Any = members_of(slices)

    def times(self, right: NDArray[np.float64]) -> NDArray[np.float64]:
        """Multiply from the right: ``(g, d)`` to ``(n, d)``."""
        product: NDArray[np.float64] = self.values @ right - (self.means @ right)[self.slices]
        return product

    def transposed_times(self, left: NDArray[np.float64]) -> NDArray[np.float64]:
        """Multiply the transpose from the right: ``(n, d)`` to ``(g, d)``."""
        product: NDArray[np.float64] = self.values.T @ left - self.means.T @ (self._members @ left)
        return product

    def principal_axes(self, n_components: int, *, random_state: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Give scores ``(n, d)`` float32 and axes ``(d, g)`` float64 of the leading components, the largest first.

        The sign of an axis is such that its largest loading is positive.
        """
        from scipy.sparse.linalg import LinearOperator, svds

        shape = self.values.shape
        if min(shape) <= max(n_components + 1, 100):  # the solver cannot give all of them
            vectors = np.linalg.svd(self.times(np.eye(shape[1])), full_matrices=False)[2][:n_components]
        else:
            operator = LinearOperator(
                shape,
                matvec=self.times,
                rmatvec=self.transposed_times,
                matmat=self.times,
                rmatmat=self.transposed_times,
                dtype=np.float64,
            )
            start = np.random.default_rng(random_state).uniform(-1, 1, min(shape))
            _, strengths, vectors = svds(operator, k=n_components, v0=start)
            vectors = vectors[np.argsort(-strengths)]
        largest = np.abs(vectors).argmax(axis=1)
        axes = vectors * np.sign(vectors[np.arange(len(vectors)), largest])[:, None]
        return self.times(axes.T).astype(np.float32), axes

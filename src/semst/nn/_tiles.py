"""Cutting a large tissue into tiles, each with the spots around it that its own spots hear of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def cut(places: NDArray[np.float64], n_patches: int) -> list[NDArray[np.int64]]:
    """Cut a tissue into patches of equal numbers of spots, halving again and again across the longer side.

    Parameters
    ----------
    places
        ``(n, 2)``.
    n_patches
        At least 1, at most ``n``.

    Returns
    -------
    Disjoint indices of spots; patches that follow each other lie near each other. Sizes differ by one at most for each
    of the about ``log2(n_patches)`` cuts.

    Examples
    --------
    >>> import numpy as np
    >>> cut(np.array([[0.0, 0.0], [9.0, 0.0], [1.0, 0.0], [8.0, 0.0]]), 2)
    [array([0, 2]), array([1, 3])]
    """
    patches = []
    waiting = [(np.arange(len(places)), n_patches)]
    while waiting:
        spots, parts = waiting.pop()
        if parts == 1:
            patches.append(np.sort(spots))
            continue
        here = places[spots]
        along = here[:, int(np.argmax(np.ptp(here, axis=0)))]
        left = parts // 2
        at = len(spots) * left // parts
        order = np.argpartition(along, at)
        waiting += [(spots[order[at:]], parts - left), (spots[order[:at]], left)]  # the left one is taken next
    return patches


def deal(
    patches: Sequence[NDArray[np.int64]], n_tiles: int, *, generator: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Make up tiles of patches from all over the tissue, so that each is a sample of the whole.

    Patches in the order of :func:`cut` form strata of ``n_tiles`` neighbours each; every tile gets one of each.

    Parameters
    ----------
    patches
        A multiple of ``n_tiles``.
    n_tiles
        At least 1.
    generator
        Says which.

    Returns
    -------
    Sorted indices of the spots of each tile.
    """
    strata = [generator.permutation(n_tiles) + start for start in range(0, len(patches), n_tiles)]
    return [np.sort(np.concatenate([patches[order[tile]] for order in strata])) for tile in range(n_tiles)]


def halo(adjacency: sparse.csr_matrix, spots: NDArray[np.int64], hops: int) -> NDArray[np.int64]:
    """Find all spots at most so many steps away from some, themselves included.

    A network of two graph convolutions gives a spot what it gives it on the whole graph if it reads the spots two steps
    around it, and if the entries of the adjacency are those of the whole graph.

    Parameters
    ----------
    adjacency
        ``(n, n)`` CSR with self loops.
    spots
        Sorted indices.
    hops
        At least 0.

    Returns
    -------
    Sorted indices.
    """
    for _ in range(hops):
        # Steps from the spots that were added last would do; the self loops keep the others, and it is cheap.
        spots = np.unique(adjacency[spots].indices).astype(np.int64)
    return spots


def part(matrix: sparse.csr_matrix, spots: NDArray[np.int64]) -> sparse.csr_matrix:
    """Cut rows and columns out of a CSR matrix, at a cost that does not depend on its size.

    Parameters
    ----------
    matrix
        ``(n, n)`` CSR with sorted indices.
    spots
        Sorted indices.

    Returns
    -------
    ``(len(spots), len(spots))`` CSR with sorted indices.
    """
    rows = matrix[spots]
    column = np.searchsorted(spots, rows.indices)
    inside = spots[np.minimum(column, len(spots) - 1)] == rows.indices
    before = np.concatenate([[0], np.cumsum(inside)])
    return sparse.csr_matrix((rows.data[inside], column[inside], before[rows.indptr]), shape=(len(spots), len(spots)))

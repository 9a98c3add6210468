"""Partitions side by side: their groups as columns, and how much they agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def indicator(labels: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """One column for each group, one where a spot belongs to it: ``(n, k)`` float32."""
    columns: NDArray[np.float32] = np.eye(int(labels.max()) + 1, dtype=np.float32)[labels]
    return columns


def similarity(partitions: Sequence[NDArray[np.integer[Any]]]) -> NDArray[np.float64]:
    """Adjusted Rand index of every pair of partitions, ``(m, m)``, from the products of their indicators.

    The groups of one partition are met with those of all others at a time: memory grows with the number of groups, not
    with its square.

    References
    ----------
    Hubert & Arabie, *Journal of Classification* 2, 1985.
    """
    columns = [indicator(labels) for labels in partitions]
    start = np.cumsum([0] + [each.shape[1] for each in columns[:-1]])
    together = np.concatenate(columns, axis=1)
    both = np.empty((len(columns), len(columns)))
    for row, own in zip(both, columns, strict=True):
        overlap = (own.T @ together).astype(np.float64)  # exact: whole numbers below 2**24 in float32
        row[:] = np.add.reduceat(_choose_two(overlap).sum(axis=0), start)
    one = np.diag(both)
    expected = np.outer(one, one) / _choose_two(np.float64(together.shape[0]))
    highest = (one[:, None] + one[None, :]) / 2
    spread = highest - expected
    # Two partitions into a single group, or into single spots, agree fully though nothing is left to agree on.
    index: NDArray[np.float64] = np.where(spread > 0, (both - expected) / np.where(spread > 0, spread, 1), 1.0)
    return index


def _choose_two(n: Any) -> Any:  # noqa: ANN401 (a number or an array of them)
    return n * (n - 1) / 2

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from semst.partitions._similarity import indicator

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy import sparse


def majority(
    labels: NDArray[np.integer[Any]], graph: sparse.csr_matrix, spots: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Give each spot the label most frequent among its neighbours and itself; its own where it is tied for first.

    Parameters
    ----------
    labels
        ``(n,)``.
    graph
        ``(n, n)`` CSR of ones without self loops; ``(m, n)`` where ``spots`` are given.
    spots
        ``(m,)`` spots whose rows the graph has; the default is all of them.
    """
    members = indicator(labels)
    own = labels if spots is None else labels[spots]
    votes = graph @ members + (members if spots is None else members[spots])
    votes[np.arange(own.size), own] += 0.5
    chosen: NDArray[np.int64] = votes.argmax(axis=1).astype(np.int64)
    return chosen

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from semst.partitions._majority import majority

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy import sparse


def refine(labels: NDArray[np.int64], graph: sparse.csr_matrix) -> NDArray[np.int64]:
    """Give each spot the label most frequent around it, but let no domain vanish.

    Parameters
    ----------
    labels
        ``(n,)`` int64 from 0.
    graph
        ``(n, n)`` CSR of ones without self loops.

    Returns
    -------
    ``(n,)`` int64; the spots of a domain that would have vanished keep their label.
    """
    smoothed = majority(labels, graph)
    refined, kept = smoothed, np.array([], dtype=np.int64)
    # A domain that gets its spots back may take the last ones of another.
    while (vanished := np.setdiff1d(labels, refined)).size:
        kept = np.union1d(kept, vanished)
        refined = np.where(np.isin(labels, kept), labels, smoothed)
    return refined

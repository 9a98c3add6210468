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
    refined = majority(labels, graph)
    vanished = np.setdiff1d(labels, refined)
    return np.where(np.isin(labels, vanished), labels, refined)

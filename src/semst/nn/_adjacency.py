from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse

if TYPE_CHECKING:
    from torch import Tensor


def normalised_adjacency(graph: Any) -> Tensor:  # noqa: ANN401 (scipy publishes no common type of its sparse matrices)
    r"""Turn a graph into the matrix that graph convolutions multiply with.

    .. math::

        \hat A = D^{-1/2} (A + I) D^{-1/2}, \qquad D_{ii} = \sum_j (A + I)_{ij}

    Parameters
    ----------
    graph
        ``(n, n)`` SciPy sparse matrix or array; any non-zero entry is an edge. It is made symmetric.

    Returns
    -------
    ``(n, n)`` float32 torch CSR tensor, symmetric, with self loops, spectral radius 1.

    References
    ----------
    Kipf & Welling, *Semi-Supervised Classification with Graph Convolutional Networks*, ICLR 2017, eq. 2. The paper of
    SemST normalises rows; the symmetric form has the same neighbours and makes the backward pass the forward product.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> normalised_adjacency(sparse.csr_matrix(np.array([[0, 1], [1, 0]]))).to_dense()
    tensor([[0.5000, 0.5000],
            [0.5000, 0.5000]])
    """
    return as_tensor(normalise(graph))


def normalise(graph: Any) -> sparse.csr_matrix:  # noqa: ANN401
    """Do what :func:`normalised_adjacency` does, and stay in SciPy: a part of a matrix is cut out there."""
    edges: Any = sparse.csr_matrix(graph, dtype=bool)
    loops = sparse.identity(edges.shape[0], dtype=bool, format="csr")
    edges = sparse.csr_matrix(edges + edges.T + loops, dtype=np.float32)
    edges.sort_indices()
    degrees = np.diff(edges.indptr)
    scale = 1 / np.sqrt(degrees)
    edges.data = (np.repeat(scale, degrees) * scale[edges.indices]).astype(np.float32)
    result: sparse.csr_matrix = edges
    return result


def as_tensor(matrix: sparse.csr_matrix) -> Tensor:
    """Turn a SciPy CSR matrix with sorted indices into a torch CSR tensor of the same entries."""
    with warnings.catch_warnings():
        # torch calls its CSR tensors a beta feature, once per process; nothing for the user to act upon.
        warnings.filterwarnings("ignore", "Sparse CSR tensor support", UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)),
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data),
            size=matrix.shape,
            check_invariants=True,
        )


def edge_pairs(graph: Any) -> Tensor:  # noqa: ANN401
    """List each undirected edge once.

    Parameters
    ----------
    graph
        ``(n, n)`` SciPy sparse matrix or array; any non-zero entry is an edge.

    Returns
    -------
    ``(2, n_edges)`` int64, the lower spot first; self loops are left out.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> edge_pairs(sparse.csr_matrix(np.array([[1, 1, 0], [0, 0, 1], [0, 1, 0]])))
    tensor([[0, 1],
            [1, 2]])
    """
    edges = sparse.csr_matrix(graph, dtype=bool)
    upper = sparse.triu(edges + edges.T, k=1).tocsr().tocoo()
    return torch.from_numpy(np.stack([upper.row, upper.col]).astype(np.int64))

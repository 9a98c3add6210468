"""Matrices that lie on disk or are not computed yet, brought into memory as sparse float32, a piece at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROWS = 20_000  # spots of a matrix on disk that are read at a time


def is_on_disk(matrix: Any) -> bool:  # noqa: ANN401
    """Tell a dask array, and what a backed AnnData holds, from a matrix in memory."""
    from anndata.abc import CSCDataset, CSRDataset

    dense = type(matrix).__module__.split(".")[0] in {"h5py", "zarr"}
    return dense or hasattr(matrix, "dask") or isinstance(matrix, CSRDataset | CSCDataset)


def load(matrix: Any) -> sparse.csr_matrix:  # noqa: ANN401
    """Read a matrix as CSR in single precision; of its dense or double form only a piece is in memory at a time.

    Parameters
    ----------
    matrix
        ``(n, g)``: a dask array with dense or sparse chunks, an HDF5 or zarr array, or the sparse matrix of a backed
        AnnData.

    Returns
    -------
    ``(n, g)`` float32 CSR.

    Examples
    --------
    >>> import dask.array
    >>> load(dask.array.eye(4, chunks=2)).toarray()[3].tolist()
    [0.0, 0.0, 0.0, 1.0]
    """
    if getattr(matrix, "format", None) == "csc":
        # Stored by genes: any piece of rows would mean to read it all. It is sparse, so it is read whole.
        return sparse.csr_matrix(matrix.to_memory(), dtype=np.float32)
    lengths, columns, values = [], [], []
    for piece in _pieces(matrix):
        rows = sparse.csr_matrix(piece, dtype=np.float32)
        lengths.append(np.diff(rows.indptr))
        columns.append(rows.indices)
        values.append(rows.data)
    ends = np.concatenate([[0], np.cumsum(np.concatenate([*lengths, np.zeros(0, dtype=np.int64)]), dtype=np.int64)])
    index_type = np.int32 if ends[-1] < np.iinfo(np.int32).max else np.int64
    # Each kind of array is let go once it is joined: that way nothing is held twice at the same time.
    data = _joined(values, np.dtype(np.float32))
    indices = _joined(columns, np.dtype(index_type))
    return sparse.csr_matrix((data, indices, ends.astype(index_type)), shape=matrix.shape)


def _pieces(matrix: Any) -> Iterator[Any]:  # noqa: ANN401
    """Walk through the rows; of a dask array in its own chunks, none of which is then computed twice."""
    if hasattr(matrix, "dask"):
        ends = np.cumsum(matrix.chunks[0])
        for start, end in zip(np.concatenate([[0], ends[:-1]]), ends, strict=True):
            yield matrix[start:end].compute()
        return
    for start in range(0, matrix.shape[0], _ROWS):
        yield matrix[start : start + _ROWS]


def _joined(parts: list[Any], dtype: np.dtype[Any]) -> Any:  # noqa: ANN401
    joined = np.concatenate([np.zeros(0, dtype=dtype), *parts]).astype(dtype, copy=False)
    parts.clear()
    return joined

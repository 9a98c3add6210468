"""Readers of the files that a Visium run publishes.

Each refuses, with a ValueError, a file that is cut short or of another kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    import h5py
    import pandas as pd
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

POSITION_COLUMNS = ("barcode", "in_tissue", "array_row", "array_col", "pxl_row", "pxl_col")


class Counts(NamedTuple):
    """A count matrix (spots x genes) and its names."""

    matrix: csr_matrix
    barcodes: list[str]
    gene_ids: list[str]
    symbols: list[str]


def read_counts(path: Path) -> Counts:
    """Read a 10x feature-barcode matrix in HDF5.

    Parameters
    ----------
    path
        File of Cell Ranger 3 or Space Ranger (group ``matrix``) or of Cell Ranger 2 (one group, named by the genome).

    Returns
    -------
    Counts
        Float32 CSR of integer values, spots x genes, in the order of the file.

    Raises
    ------
    ValueError
        The file is no such matrix.
    """
    import h5py

    try:
        with h5py.File(path, "r") as handle:
            return _counts_from(handle)
    except (OSError, KeyError) as error:
        msg = f"it cannot be read as a 10x count matrix ({error})."
        raise ValueError(msg) from error


def _counts_from(handle: h5py.File) -> Counts:
    from scipy.sparse import csr_matrix

    newer = "matrix" in handle
    if not newer and len(handle) != 1:
        msg = f"it holds the groups {sorted(handle)}, where a 10x matrix has either 'matrix' or one genome."
        raise ValueError(msg)
    group = handle["matrix"] if newer else handle[next(iter(handle))]
    ids, symbols = ("features/id", "features/name") if newer else ("genes", "gene_names")
    # On disk the matrix is genes x spots by columns, which is spots x genes by rows.
    n_genes, n_spots = (int(n) for n in group["shape"][:])
    parts = (group["data"][:].astype(np.float32), group["indices"][:], group["indptr"][:])
    matrix = csr_matrix(parts, shape=(n_spots, n_genes))
    matrix.check_format(full_check=True)
    matrix.sort_indices()
    counts = Counts(matrix, *(_strings(group[name]) for name in ("barcodes", ids, symbols)))
    if (len(counts.barcodes), len(counts.gene_ids), len(counts.symbols)) != (n_spots, n_genes, n_genes):
        msg = "its names do not match its shape."
        raise ValueError(msg)
    if matrix.nnz and (matrix.data.min() < 0 or (matrix.data % 1 != 0).any()):
        msg = "it holds values that are not counts."
        raise ValueError(msg)
    return counts


def _strings(values: h5py.Dataset) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values[:]]


def read_positions(path: Path) -> pd.DataFrame:
    """Read Space Ranger's list of spot positions (comma separated, without a header).

    Parameters
    ----------
    path
        The file ``tissue_positions_list``.

    Returns
    -------
    DataFrame indexed by barcode: ``in_tissue`` (0 or 1), ``array_row``, ``array_col``, ``pxl_row``, ``pxl_col`` (pixels
    of the full-resolution image), all int64.

    Raises
    ------
    ValueError
        The file is no such list.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, header=None)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        msg = f"it cannot be read as a list of spot positions ({error})."
        raise ValueError(msg) from error
    numeric = [dtype.kind in "iu" for dtype in table.dtypes[1:]]
    if table.shape[1] != len(POSITION_COLUMNS) or not all(numeric) or table.isna().to_numpy().any():
        msg = f"it does not have the columns {', '.join(POSITION_COLUMNS)}, all but the first whole numbers."
        raise ValueError(msg)
    table.columns = pd.Index(POSITION_COLUMNS)
    if table["barcode"].duplicated().any() or not table["in_tissue"].isin([0, 1]).all():
        msg = "its barcodes are not unique, or in_tissue is neither 0 nor 1."
        raise ValueError(msg)
    return table.set_index("barcode").astype(np.int64)


def read_layers(path: Path) -> pd.DataFrame:
    """Read the experts' layers (tab separated, without a header: barcode, slice, layer).

    Parameters
    ----------
    path
        The file ``barcode_level_layer_map.tsv``.

    Returns
    -------
    DataFrame of str: ``barcode``, ``sample_id``, ``layer`` (``Layer1`` ... ``Layer6`` or ``WM``; the file writes L1 ...
    L6).

    Raises
    ------
    ValueError
        The file is no such table.
    """
    import pandas as pd

    names = {**{f"L{n}": f"Layer{n}" for n in range(1, 7)}, "WM": "WM"}
    try:
        table = pd.read_csv(path, sep="\t", header=None, dtype=str)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        msg = f"it cannot be read as a table of layers ({error})."
        raise ValueError(msg) from error
    if table.shape[1] != 3 or not table[2].isin(list(names)).all() or table.duplicated([0, 1]).any():
        msg = f"it does not have the columns barcode, slice and layer (one of {', '.join(names)}), one row a spot."
        raise ValueError(msg)
    table.columns = pd.Index(["barcode", "sample_id", "layer"])
    return table.assign(layer=table["layer"].map(names))


def read_image(path: Path, *, longest_side: int) -> NDArray[np.float32]:
    """Read a tissue image.

    Parameters
    ----------
    path
        A PNG file.
    longest_side
        Number of pixels that the longer side must have.

    Returns
    -------
    float32 array (height, width, 3), values 0 to 1.

    Raises
    ------
    ValueError
        The file is no PNG, is cut short, or has another size.
    """
    from matplotlib.image import imread

    try:
        pixels = np.asarray(imread(str(path), format="png"), dtype=np.float32)
    except (OSError, SyntaxError, ValueError) as error:
        msg = f"it cannot be read as a PNG image ({error})."
        raise ValueError(msg) from error
    if pixels.ndim != 3 or max(pixels.shape[:2]) != longest_side:
        msg = f"it has the shape {pixels.shape}, where a colour image with a longer side of {longest_side} is expected."
        raise ValueError(msg)
    return pixels[:, :, :3]

"""From what the user has (AnnData or SpatialData) to what semst works on: table, counts, coordinates.

Each reader notes what is wrong in a :class:`semst._problems.Problems` and goes on, so that one error can name it all.
Nothing here changes the user's object.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from semst._chunks import is_on_disk, load
from semst._keys import SPATIAL
from semst._problems import Problems, counted, listed, meant

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray
    from spatialdata import SpatialData


_HIGHEST_LOGGED = 20  # a logarithm above that would be of half a billion molecules


def is_spatialdata(data: object) -> bool:
    """Tell a SpatialData from anything else without importing spatialdata for those who do not use it."""
    import sys

    module = sys.modules.get("spatialdata")
    return module is not None and isinstance(data, module.SpatialData)


def find_table(data: AnnData | SpatialData, *, table_key: str | None = None, where: str) -> AnnData:
    """Find the table that is to be read and written: the AnnData itself, or a table of the SpatialData.

    Parameters
    ----------
    data
        What the user handed in.
    table_key
        Name of the table in ``data.tables``; needed only where there are several.
    where
        Name of the public function, for the error message.

    Returns
    -------
    The table itself, not a copy.

    Raises
    ------
    TypeError
        If ``data`` is neither AnnData nor SpatialData.
    KeyError
        If the table is not there, or there are several and none is named.
    ValueError
        If ``table_key`` is given for an AnnData.
    """
    from anndata import AnnData

    problems = Problems(where)
    if isinstance(data, AnnData):
        if table_key is not None:
            problems.add(f"table_key={table_key!r} only applies to SpatialData; leave it out for an AnnData.")
        problems.raise_if_any()
        return data
    if not is_spatialdata(data):
        unread = isinstance(data, str | os.PathLike)
        way_out = "; read it with `anndata.read_h5ad` or `spatialdata.read_zarr` first" if unread else ""
        message = f"{where}: expected AnnData or SpatialData, got {type(data).__name__}{way_out}."
        raise TypeError(message)
    tables = list(data.tables)
    if table_key is None and len(tables) == 1:
        table_key = tables[0]
    if table_key is None:
        problems.missing(
            "the SpatialData has no table."
            if not tables
            else f"the SpatialData has several tables ({listed(tables)}); name one with `table_key`."
        )
    elif table_key not in tables:
        problems.missing(f"no table {table_key!r} in the SpatialData; there is {listed(tables)}.")
    problems.raise_if_any()
    return data.tables[table_key]


def check_names(table: AnnData, problems: Problems) -> None:
    """Note duplicated spot or gene names, and a table without spots or genes."""
    if table.n_obs == 0 or table.n_vars == 0:
        problems.add(f"the table is empty ({table.n_obs} spots x {table.n_vars} genes).")
    for axis, names in (("obs", table.obs_names), ("var", table.var_names)):
        if not names.is_unique:
            duplicated = names[names.duplicated()].unique()
            problems.add(
                f"{counted(len(duplicated), 'name', 'names')} in {axis}_names "
                f"{'occurs' if len(duplicated) == 1 else 'occur'} more than once ({listed(duplicated, limit=3)}); "
                f"make them unique with `adata.{axis}_names_make_unique()`."
            )


def read_counts(
    table: AnnData,
    problems: Problems,
    *,
    layer: str | None = None,
    integers: bool = True,
    logged: bool = False,
    way_out: str = "",
) -> sparse.csr_matrix | None:
    """Read the expression matrix as float32 CSR and check it.

    Parameters
    ----------
    table
        ``n_spots x n_genes``; a dask array or a matrix on disk is read a piece at a time.
    problems
        Collects: missing layer, NaN or infinite values, negative values, non-integer values where ``integers``, what
        looks like raw counts where ``logged``, spots without a single count.
    layer
        Key in ``table.layers``; the default reads ``table.X``.
    integers
        Whether raw counts are required.
    logged
        Whether expression that is normalised and logged is required.
    way_out
        What the caller takes in place of that, to be said where it is missing: an argument that it has.

    Returns
    -------
    ``(n_spots, n_genes)`` float32 CSR, sharing memory with the table where it can; None if it could not be read.
    Genes that are zero in every spot are allowed: filtered spots leave them behind in ordinary tables.
    """
    if layer is not None and layer not in table.layers:
        near = meant(layer, table.layers)
        hint = f" ({near})" if near else ""
        problems.missing(f"no layer {layer!r}{hint}; {_layers(table)}. Leave `layer` out to read X.")
        return None
    matrix: Any = table.X if layer is None else table.layers[layer]
    source = "X" if layer is None else f"layers[{layer!r}]"
    if matrix is None:
        problems.missing(f"the table has no {source}; name the layer with the counts with `layer=`; {_layers(table)}.")
        return None
    counts = read_sparse(matrix)
    values = counts.data
    if not np.isfinite(values).all():
        problems.add(f"{source} holds NaN or infinite values; set them to 0 or remove their spots.")
    elif values.size and values.min() < 0:
        problems.add(
            f"{source} holds negative values (lowest {values.min():g}), which no counts and no logged counts have; "
            "name the layer that holds the counts with `layer`."
        )
    elif integers and not np.array_equal(values, np.rint(values)):
        named = f"name the layer that holds the raw counts with `layer=` ({_layers(table)})"
        there = named if len(table.layers) else "put the raw counts there, or into a layer and name it with `layer=`"
        problems.add(
            f"{source} does not hold whole numbers (highest {values.max():g}), so it looks normalised or logged; "
            f"{there}{way_out}."
        )
    elif logged and values.size and values.max() > _HIGHEST_LOGGED and np.array_equal(values, np.rint(values)):
        problems.add(
            f"{source} looks like raw counts: all its values are whole, the highest is {values.max():g}; put "
            "expression there that is normalised and logged (`scanpy.pp.normalize_total(adata)`, "
            f"`scanpy.pp.log1p(adata)`){way_out}."
        )
    if table.n_obs and table.n_vars:
        empty = np.flatnonzero(counts.getnnz(axis=1) == 0)
        if empty.size:
            them = "it" if empty.size == 1 else "them"
            problems.add(
                f"{counted(empty.size, 'spot has', 'spots have')} no counts at all "
                f"({listed(table.obs_names[empty], limit=3)}); "
                f"remove {them} with `scanpy.pp.filter_cells(adata, min_counts=1)`."
            )
    return counts


def read_sparse(matrix: Any) -> sparse.csr_matrix:  # noqa: ANN401 (anything that an AnnData holds)
    """Read a matrix as float32 CSR in canonical form and without stored zeros, which would count as seen.

    Parameters
    ----------
    matrix
        ``(n, g)``: dense, sparse, dask or on disk. It stays as it is; memory is shared where nothing needs a change.
    """
    read = load(matrix) if is_on_disk(matrix) else sparse.csr_matrix(matrix, dtype=np.float32)
    if not read.has_canonical_format or (read.data == 0).any():
        read = read.copy()
        read.sum_duplicates()
        read.eliminate_zeros()
    return read


def _layers(table: AnnData) -> str:
    return f"layers has {listed(table.layers)}" if len(table.layers) else "the table has no layers"


def read_matrix(
    table: AnnData,
    slot: Literal["obsm", "varm"],
    key: str,
    problems: Problems,
    *,
    dtype: type[np.floating[Any]] = np.float32,
    width: int | None = None,
    gaps: bool = False,
    way_out: str = "",
) -> NDArray[Any] | None:
    """Read vectors of spots or genes, and check that they are finite numbers.

    Parameters
    ----------
    table
        With ``key`` in the slot: who reads it says what to do where it is missing.
    slot, key
        Where; a dense or sparse matrix, or a DataFrame.
    problems
        Collects: another shape than that of a matrix, what are no numbers, NaN or infinite values.
    dtype
        Of the result; its largest number is the largest that counts as finite.
    width
        How many columns there must be; the default takes any number of them.
    gaps
        Whether NaN is allowed.
    way_out
        What to do, for the error message.

    Returns
    -------
    ``(n_spots, d)`` or ``(n_genes, d)``, dense; None if it could not be read.
    """
    stored = dense(getattr(table, slot)[key])
    good = stored.ndim == 2 and stored.dtype.kind in "fiu" and stored.shape[1] == (width or max(stored.shape[1], 1))
    if good:
        with np.errstate(over="ignore"):
            values = stored.astype(dtype, copy=False)
        if not (np.isinf(values).any() if gaps else not np.isfinite(values).all()):
            return values
    rows = "n_spots" if slot == "obsm" else "n_genes"
    spoilt = " with NaN or infinite values" if good and not gaps else " with infinite values" if good else ""
    allowed = " (NaN is allowed in a row without a vector)" if gaps else ""
    problems.add(
        f"{slot}[{key!r}] must be a finite matrix ({rows}, {width or 'd'}){allowed}, "
        f"got {stored.dtype} {stored.shape}{spoilt}{way_out}."
    )
    return None


def as_numbers(values: object) -> NDArray[np.float64] | None:
    """Give values as an array of numbers; None where they are none, or ragged."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None


def dense(stored: Any) -> NDArray[Any]:  # noqa: ANN401
    """Give as an array what ``obsm`` and ``varm`` may hold: one of numpy or dask, a sparse matrix, a DataFrame."""
    if isinstance(stored, pd.DataFrame) and all(map(pd.api.types.is_numeric_dtype, stored.dtypes)):
        return stored.to_numpy(dtype=np.float64, na_value=np.nan)  # else numbers that may be missing come as objects
    computed = stored.compute() if hasattr(stored, "dask") else stored
    return np.asarray(computed.toarray() if hasattr(computed, "toarray") else computed)


def read_coordinates(
    data: AnnData | SpatialData,
    table: AnnData,
    problems: Problems,
    *,
    spatial_key: str = SPATIAL.coordinates,
    coordinate_system: str | None = None,
    slices: NDArray[np.int64] | None = None,
) -> NDArray[np.float64] | None:
    """Read where the spots are.

    For a SpatialData these are the centroids of the element that the table annotates, in ``coordinate_system``; a table
    that annotates nothing, or an AnnData, must carry them in ``obsm[spatial_key]``.

    Parameters
    ----------
    data, table
        What the user handed in, and its table.
    problems
        Collects: no coordinates, wrong shape, NaN or infinite values, one place for all spots, a table that does not
        match its element, a ``spatial_key`` that would not be read.
    spatial_key
        Key in ``table.obsm``.
    coordinate_system
        Name of a coordinate system of the SpatialData; the default takes ``"global"``, or the only one there is.
    slices
        ``(n_spots,)`` number of each spot's slice, from 0, where there are several; each may then have a coordinate
        system of its own.

    Returns
    -------
    ``(n_spots, 2)`` float64 in the unit of the coordinates; None if they could not be read.
    """
    if is_spatialdata(data) and table.uns.get(SPATIAL.attributes):
        from semst._spatialdata import annotated_centroids, annotated_regions, check_annotating, the_table_itself

        if not check_annotating(data, table, problems):
            return None
        if spatial_key != SPATIAL.coordinates:
            problems.add(
                f"spatial_key={spatial_key!r} is not read: spots lie at the centroids of what the table annotates, "
                f"{listed(annotated_regions(table))}. Leave it out, or {the_table_itself(data, table)}, for "
                f"obsm[{spatial_key!r}]."
            )
        coordinates = annotated_centroids(data, table, problems, coordinate_system=coordinate_system, slices=slices)
        source = "the centroids of the annotated element"
    else:
        if coordinate_system is not None:
            problems.add(
                f"coordinate_system={coordinate_system!r} only applies to a table that annotates a SpatialData element."
            )
        source = f"obsm[{spatial_key!r}]"
        if spatial_key not in table.obsm:
            problems.missing(
                f"no coordinates: {source} is missing; obsm has {listed(table.obsm)}. "
                "Put the spots' x and y there, or name another key with `spatial_key`."
            )
            return None
        coordinates = dense(table.obsm[spatial_key])
    if coordinates is None:
        return None
    if coordinates.ndim == 2 and coordinates.shape[1] == 3 and np.issubdtype(coordinates.dtype, np.number):
        columns = ".iloc[:, :2]" if hasattr(table.obsm[spatial_key], "iloc") else "[:, :2]"
        problems.add(
            f"{source} must be numbers of shape (n_spots, 2), got {coordinates.dtype} {coordinates.shape}. Keep x and "
            f"y under another key, `adata.obsm['xy'] = adata.{source}{columns}`, and name it with `spatial_key='xy'`; "
            "sections at different z are slices, which `batch_key` tells apart."
        )
        return None
    if coordinates.ndim != 2 or coordinates.shape[1] != 2 or not np.issubdtype(coordinates.dtype, np.number):
        problems.add(f"{source} must be numbers of shape (n_spots, 2), got {coordinates.dtype} {coordinates.shape}.")
        return None
    coordinates = coordinates.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(coordinates).all(axis=1))
    if bad.size:
        problems.add(
            f"{counted(bad.size, 'spot has', 'spots have')} NaN or infinite coordinates "
            f"({listed(table.obs_names[bad], limit=3)}); "
            f"{'remove it or mend its' if bad.size == 1 else 'remove them or mend their'} coordinates."
        )
    elif len(coordinates) > 1 and not np.ptp(coordinates, axis=0).any():
        problems.add(f"all spots lie in one place in {source}; domains need to know which spots lie beside each other.")
    return coordinates

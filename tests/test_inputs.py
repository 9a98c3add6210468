from __future__ import annotations

import re
import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from semst._inputs import check_names, find_table, is_spatialdata, read_coordinates, read_counts, read_matrix
from semst._problems import InputError, MissingKeyError, Problems

COUNTS = np.array([[1, 0, 2, 0], [0, 3, 0, 0], [5, 0, 1, 0]], dtype=np.float64)  # the last gene is empty
PLACES = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])


@pytest.fixture
def adata():
    return make()


def make(counts=COUNTS, places=PLACES, **layers):
    adata = AnnData(
        sparse.csr_matrix(counts),
        obs=pd.DataFrame({"batch": ["a", "b", "b"]}, index=["s1", "s2", "s3"]),
        var=pd.DataFrame(index=["g1", "g2", "g3", "g4"]),
        layers={name: sparse.csr_matrix(values) for name, values in layers.items()},
        uns={"nested": {"list": [1, 2], "array": np.arange(3)}},
    )
    if places is not None:
        adata.obsm["spatial"] = places
    return adata


def message(problems):
    with pytest.raises(InputError) as caught:
        problems.raise_if_any()
    return str(caught.value)


def read(adata, **options):
    """Read everything; give what came out and the text of the error, or None."""
    problems = Problems("f")
    check_names(adata, problems)
    counts = read_counts(adata, problems, layer=options.pop("layer", None), integers=options.pop("integers", True))
    coordinates = read_coordinates(adata, adata, problems, **options)
    return counts, coordinates, message(problems) if problems else None


def test_good_input_is_read(adata):
    counts, coordinates, error = read(adata)
    assert error is None
    assert sparse.issparse(counts)
    assert counts.format == "csr"
    assert counts.dtype == np.float32
    np.testing.assert_array_equal(counts.toarray(), COUNTS)
    assert coordinates.dtype == np.float64
    np.testing.assert_array_equal(coordinates, PLACES)


@pytest.mark.parametrize("dtype", [np.int32, np.uint16, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, sparse.csc_array])
def test_counts_of_every_form_and_type(form, dtype):
    adata = AnnData(form(COUNTS.astype(dtype)), obsm={"spatial": PLACES})
    counts, _, error = read(adata)
    assert error is None
    assert counts.dtype == np.float32
    np.testing.assert_array_equal(counts.toarray(), COUNTS)


def test_stored_zeros_and_duplicate_entries_are_read_right_and_left_alone():
    stored = sparse.csr_matrix(
        (np.array([1.0, 1.0, 0.0, 2.0], dtype=np.float32), np.array([0, 0, 1, 1]), np.array([0, 3, 4])), shape=(2, 2)
    )
    before = stored.copy()
    adata = AnnData(stored, obsm={"spatial": PLACES[:2]})
    counts, _, error = read(adata)
    assert error is None
    np.testing.assert_array_equal(counts.toarray(), [[2, 0], [0, 2]])
    assert counts.has_canonical_format
    np.testing.assert_array_equal(adata.X.data, before.data)
    np.testing.assert_array_equal(adata.X.indices, before.indices)


def test_a_layer_is_read_instead_of_x():
    adata = make(np.log1p(COUNTS), raw=COUNTS)
    assert "X does not hold whole numbers" in read(adata)[2]
    counts, _, error = read(adata, layer="raw")
    assert error is None
    np.testing.assert_array_equal(counts.toarray(), COUNTS)


def with_value(value):
    counts = COUNTS.copy()
    counts[1, 1] = value
    return counts


def with_rows_of_zeros(*rows):
    counts = COUNTS.copy()
    counts[list(rows)] = 0
    return counts


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (with_value(np.nan), "X holds NaN or infinite values"),
        (with_value(np.inf), "X holds NaN or infinite values"),
        (with_value(-np.inf), "X holds NaN or infinite values"),
        (with_value(-2), r"X holds negative values (lowest -2), which no counts"),
        (with_value(2.5), r"X does not hold whole numbers (highest 5), so it looks normalised or logged"),
        (with_rows_of_zeros(0, 2), "2 spots have no counts at all ('s1', 's3'); remove them with `scanpy.pp.filter"),
        (with_value(0), "1 spot has no counts at all ('s2'); remove it with `scanpy.pp.filter_cells"),
    ],
)
@pytest.mark.parametrize("dense", [False, True])
def test_bad_counts(counts, expected, dense):
    adata = make(counts)
    if dense:
        adata.X = counts
    error = read(adata)[2]
    assert expected in error
    assert "\n" not in error  # one problem and no other


def test_normalised_values_are_accepted_where_no_counts_are_needed():
    adata = make(np.log1p(COUNTS))
    assert read(adata)[2] is not None
    counts, _, error = read(adata, integers=False)
    assert error is None
    np.testing.assert_allclose(counts.toarray(), np.log1p(COUNTS), rtol=1e-6)


def test_the_way_out_of_normalised_values_is_one_that_the_caller_has():
    for table, there in (
        (
            make(np.log1p(COUNTS), raw=COUNTS),
            "name the layer that holds the raw counts with `layer=` (layers has 'raw')",
        ),
        (make(np.log1p(COUNTS)), "put the raw counts there, or into a layer and name it with `layer=`"),
    ):
        for way_out in ("", ", or do without"):
            problems = Problems("f")
            read_counts(table, problems, way_out=way_out)
            assert message(problems).endswith(f"looks normalised or logged; {there}{way_out}.")


def test_empty_genes_are_allowed(adata):
    assert (adata.X.toarray()[:, 3] == 0).all()
    assert read(adata)[2] is None


def test_missing_layer_and_missing_x():
    adata = make(raw=COUNTS)
    problems = Problems("f")
    assert read_counts(adata, problems, layer="counts") is None
    assert message(problems) == "f: no layer 'counts'; layers has 'raw'. Leave `layer` out to read X."
    problems = Problems("f")
    assert read_counts(make(), problems, layer="counts") is None
    assert message(problems) == "f: no layer 'counts'; the table has no layers. Leave `layer` out to read X."
    problems = Problems("f")
    assert read_counts(adata, problems, layer="Raw") is None
    assert "no layer 'Raw' (did you mean 'raw'?); layers has 'raw'." in message(problems)
    del adata.X
    problems = Problems("f")
    assert read_counts(adata, problems) is None
    assert message(problems) == (
        "f: the table has no X; name the layer with the counts with `layer=`; layers has 'raw'."
    )


def test_stored_zeros_are_no_counts():
    """Thresholds and ambient-RNA removal leave them behind; a gene that has nothing else is zero in every spot."""
    matrix = sparse.csr_matrix(np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32))
    matrix.data[[1, 4]] = 0
    table = AnnData(matrix)
    problems = Problems("here")
    read = read_counts(table, problems)
    assert not problems
    np.testing.assert_array_equal(read.getnnz(axis=0), [2, 0, 2])
    assert table.X.nnz == 6


def test_a_dask_array_is_read_and_checked():
    import dask.array as da

    lazy = AnnData(da.from_array(COUNTS, chunks=(2, 3)), obsm={"spatial": PLACES})
    lazy.layers["lazy"] = da.from_array(2 * COUNTS, chunks=2)
    counts, _, error = read(lazy)
    assert error is None
    np.testing.assert_array_equal(counts.toarray(), COUNTS)
    np.testing.assert_array_equal(read(lazy, layer="lazy")[0].toarray(), 2 * COUNTS)
    assert hasattr(lazy.X, "dask")  # the user's object is as it was
    lazy.X = da.from_array(with_value(-2))
    assert "X holds negative values (lowest -2)" in read(lazy)[2]


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (None, "no coordinates: obsm['spatial'] is missing; obsm has none."),
        (np.array([[0, 1], [np.nan, 3], [4, 5]]), "1 spot has NaN or infinite coordinates ('s2')"),
        (np.array([[np.inf, 1], [0, 3], [4, -np.inf]]), "2 spots have NaN or infinite coordinates ('s1', 's3')"),
        (np.zeros((3, 3)), "obsm['spatial'] must be numbers of shape (n_spots, 2), got float64 (3, 3)"),
        (np.zeros((3, 1)), "got float64 (3, 1)"),
        (np.zeros((3, 2, 1)), "got float64 (3, 2, 1)"),
        (np.array([["a", "b"]] * 3), "must be numbers of shape (n_spots, 2), got <U1 (3, 2)"),
        (np.zeros((3, 2), dtype=bool), "got bool (3, 2)"),
    ],
)
def test_bad_coordinates(places, expected):
    error = read(make(places=places))[2]
    assert expected in error
    assert "\n" not in error


def test_the_way_out_of_three_columns_is_one_that_works(adata):
    adata.obsm["spatial"] = np.column_stack([PLACES, [7.0, 7.0, 8.0]])
    adata.obsm["frame"] = pd.DataFrame(adata.obsm["spatial"], index=adata.obs_names, columns=list("xyz"))
    for key in ("spatial", "frame"):
        error = read(adata, spatial_key=key)[2]
        assert "`batch_key`" in error
        assert "`spatial_key='xy'`" in error
        exec(re.search("`(adata.obsm.*?)`", error)[1], {"adata": adata})
        np.testing.assert_array_equal(read(adata, spatial_key="xy")[1], PLACES)


def test_coordinates_under_another_key_as_integers_or_data_frame(adata):
    adata.obsm["pixels"] = PLACES.astype(int) + 7
    adata.obsm["frame"] = pd.DataFrame(PLACES, index=adata.obs_names, columns=["x", "y"])
    np.testing.assert_array_equal(read(adata, spatial_key="pixels")[1], PLACES + 7)
    np.testing.assert_array_equal(read(adata, spatial_key="frame")[1], PLACES)
    error = read(adata, spatial_key="nowhere")[2]
    assert "obsm['nowhere'] is missing; obsm has 'spatial', 'pixels', 'frame'" in error
    assert "`spatial_key`" in error


def test_coordinates_are_a_copy(adata):
    read(adata)[1][:] = -1
    np.testing.assert_array_equal(adata.obsm["spatial"], PLACES)


def test_a_coordinate_system_needs_spatialdata(adata):
    assert (
        "coordinate_system='global' only applies to a table that annotates"
        in read(adata, coordinate_system="global")[2]
    )


@pytest.mark.parametrize("axis", ["obs", "var"])
def test_duplicated_names(adata, axis):
    names = ["x", "y", "x"] if axis == "obs" else ["x", "y", "x", "x"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata's own
        setattr(adata, f"{axis}_names", names)
    error = read(adata)[2]
    assert f"1 name in {axis}_names occurs more than once ('x')" in error
    assert f"adata.{axis}_names_make_unique()" in error


@pytest.mark.parametrize(("rows", "columns"), [(0, 4), (3, 0), (0, 0)])
def test_an_empty_table(adata, rows, columns):
    assert f"the table is empty ({rows} spots x {columns} genes)" in read(adata[:rows, :columns].copy())[2]


def test_everything_wrong_is_said_at_once(adata):
    adata.X = with_value(-1)
    adata.obsm["spatial"] = np.full((3, 2), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata.obs_names, adata.var_names = ["s"] * 3, ["g"] * 4
    lines = read(adata)[2].splitlines()
    assert lines[0] == "f: 4 problems with the input."
    for number, (line, part) in enumerate(
        zip(lines[1:], ["obs_names", "var_names", "negative", "NaN or infinite coordinates"], strict=True), start=1
    ):
        assert line.startswith(f"  {number}. ")
        assert part in line


def fingerprint(adata):
    """Hash all that an AnnData holds, to the byte."""
    matrices = {"X": adata.X, **adata.layers}
    parts = {name: (m.dtype.str, m.data, m.indices, m.indptr, m.shape) for name, m in matrices.items()}
    return joblib.hash([parts, adata.obs, adata.var, dict(adata.obsm), dict(adata.uns)])


@pytest.mark.parametrize("counts", [COUNTS, with_value(-1), with_value(0.5), with_value(np.nan), with_value(0)])
@pytest.mark.parametrize("places", [PLACES, None, PLACES * np.nan])
def test_reading_changes_nothing(counts, places):
    adata = make(counts, places, raw=COUNTS)
    before = fingerprint(adata)
    read(adata)
    read(adata, layer="absent", spatial_key="absent", coordinate_system="absent")
    assert fingerprint(adata) == before
    adata.uns["nested"]["list"][0] += 1  # the fingerprint would have seen it
    assert fingerprint(adata) != before


def test_the_table_of_an_anndata_is_itself(adata):
    assert find_table(adata, where="f") is adata
    assert not is_spatialdata(adata)
    with pytest.raises(ValueError, match=r"f: table_key='t' only applies to SpatialData"):
        find_table(adata, table_key="t", where="f")


@pytest.mark.parametrize("wrong", [None, "path.h5ad", COUNTS, pd.DataFrame(COUNTS), {"table": 1}])
def test_other_types_are_refused(wrong):
    with pytest.raises(TypeError, match=f"f: expected AnnData or SpatialData, got {type(wrong).__name__}"):
        find_table(wrong, where="f")


@pytest.mark.parametrize("path", ["tissue.h5ad", Path("tissue.h5ad")])
def test_a_path_is_to_be_read_first(path):
    with pytest.raises(TypeError, match=rf"got {type(path).__name__}; read it with `anndata\.read_h5ad` or"):
        find_table(path, where="f")
    with pytest.raises(TypeError, match=r"got dict\.$"):
        find_table({}, where="f")


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_a_backed_table_is_read(form, tmp_path):
    import anndata

    AnnData(form(COUNTS), obsm={"spatial": PLACES}).write_h5ad(tmp_path / "a.h5ad")
    backed = anndata.read_h5ad(tmp_path / "a.h5ad", backed="r")
    assert find_table(backed, where="f") is backed
    counts, coordinates, error = read(backed)
    assert error is None
    assert counts.dtype == np.float32
    np.testing.assert_array_equal(counts.toarray(), COUNTS)
    np.testing.assert_array_equal(coordinates, PLACES)
    assert backed.isbacked
    backed.file.close()


def test_the_table_of_a_spatialdata():
    from spatialdata import SpatialData

    one, other = make(), make()
    single = SpatialData(tables={"table": one})
    assert is_spatialdata(single)
    assert find_table(single, where="f") is single.tables["table"]
    with pytest.raises(KeyError, match="no table 'cells' in the SpatialData; there is 'table'"):
        find_table(single, table_key="cells", where="f")
    several = SpatialData(tables={"a": one, "b": other})
    with pytest.raises(MissingKeyError, match=r"several tables \('a', 'b'\); name one with `table_key`"):
        find_table(several, where="f")
    assert find_table(several, table_key="b", where="f") is several.tables["b"]
    with pytest.raises(KeyError, match="the SpatialData has no table"):
        find_table(SpatialData(), where="f")


# Vectors of spots and genes

VECTORS = np.array([[1.0, 0.0], [0.0, -2.5], [0.5, 4.0]])


def _frame(values):
    return pd.DataFrame(values, index=["s1", "s2", "s3"], columns=["x", "y"])


def _nullable(values):
    return _frame(values).astype("Float32").mask(_frame(np.isnan(values)))


def _dask(values):
    return pytest.importorskip("dask.array").from_array(values, chunks=2)


FORMS = [np.asarray, sparse.csr_matrix, sparse.csc_array, _frame, _nullable, _dask]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vectors_are_read_whatever_they_are_held_in(adata, form, dtype):
    adata.obsm["own"] = form(VECTORS)
    problems = Problems("f")
    found = read_matrix(adata, "obsm", "own", problems, dtype=dtype, width=2)
    assert not problems
    assert type(found) is np.ndarray
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, VECTORS)


@pytest.mark.parametrize("form", FORMS)
def test_gaps_in_vectors_are_read_where_they_are_allowed(adata, form):
    holes = np.where(VECTORS == 4, np.nan, VECTORS)
    adata.obsm["own"] = form(holes)
    problems = Problems("f")
    np.testing.assert_array_equal(read_matrix(adata, "obsm", "own", problems, gaps=True), holes)
    assert not problems
    assert read_matrix(adata, "obsm", "own", problems, way_out="; mend it") is None
    assert "f: obsm['own'] must be a finite matrix (n_spots, d), got float" in message(problems)
    assert message(problems).endswith("(3, 2) with NaN or infinite values; mend it.")


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        (np.zeros((3, 2, 2)), {}, "(n_spots, d), got float64 (3, 2, 2)."),
        (np.zeros((3, 0)), {}, "(n_spots, d), got float64 (3, 0)."),
        (np.full((3, 2), "a"), {}, "(n_spots, d), got <U1 (3, 2)."),
        (pd.DataFrame({"x": [1, 2, 3], "y": list("abc")}, index=["s1", "s2", "s3"]), {}, "got object (3, 2)."),
        (VECTORS, {"width": 5}, "(n_spots, 5), got float64 (3, 2)."),
        (
            np.full((3, 2), np.inf),
            {"gaps": True},
            "(n_spots, d) (NaN is allowed in a row without a vector), got",
        ),
        (VECTORS * 1e300, {}, "got float64 (3, 2) with NaN or infinite values."),
    ],
)
def test_what_are_no_vectors_is_told(adata, values, options, expected):
    adata.obsm["own"] = values
    problems = Problems("f")
    assert read_matrix(adata, "obsm", "own", problems, **options) is None
    assert expected in message(problems)


def test_coordinates_may_be_a_frame_of_numbers_that_could_be_missing():
    adata = make(places=_nullable(PLACES))
    np.testing.assert_array_equal(read(adata)[1], PLACES)

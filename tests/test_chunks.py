"""Tables on disk and dask arrays: read a piece at a time, with the results of the same table in memory."""

from __future__ import annotations

import anndata as ad
import dask.array as da
import numpy as np
import pytest
from anndata.experimental import read_elem_lazy
from scipy import sparse

import semst
from semst import _chunks
from semst._chunks import is_on_disk, load


@pytest.fixture(scope="module")
def tissue():
    return semst.datasets.simulated(n_spots=300, n_genes=120, n_domains=3, platform="cells", progress=False)


def run(adata, **options):
    semst.pp.gene_semantics(adata)
    return semst.tl.cluster(adata, n_clusters=3, epochs=2, progress=False, **options)


@pytest.fixture(scope="module")
def expected(tissue):
    adata = tissue.copy()
    run(adata)
    return adata


def same(found, expected):
    assert found.obsm["X_semst"].tobytes() == expected.obsm["X_semst"].tobytes()
    assert list(found.obs["semst"]) == list(expected.obs["semst"])
    np.testing.assert_array_equal(found.obsm["gene_semantics"], expected.obsm["gene_semantics"])


def in_form(tissue, form):
    adata = tissue.copy()
    adata.X = {"csr": adata.X, "csc": adata.X.tocsc(), "dense": adata.X.toarray()}[form]
    return adata


@pytest.mark.parametrize("form", ["csr", "csc", "dense"])
def test_a_backed_table_gives_what_it_gives_in_memory(tissue, expected, form, tmp_path, monkeypatch):
    monkeypatch.setattr(_chunks, "_ROWS", 70)
    in_form(tissue, form).write_h5ad(tmp_path / "a.h5ad")
    before = (tmp_path / "a.h5ad").read_bytes()
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    run(backed)
    same(backed, expected)
    assert backed.isbacked
    backed.write_h5ad(tmp_path / "b.h5ad")  # results lie in memory; this is how they get to disk
    backed.file.close()
    assert (tmp_path / "a.h5ad").read_bytes() == before
    same(ad.read_h5ad(tmp_path / "b.h5ad"), expected)


def test_results_get_into_a_file_that_is_open_for_writing(tissue, expected, tmp_path):
    tissue.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r+")
    run(backed)
    assert "semst" not in ad.read_h5ad(tmp_path / "a.h5ad", backed="r").obs
    backed.write()
    backed.file.close()
    same(ad.read_h5ad(tmp_path / "a.h5ad"), expected)


def test_the_copy_of_a_backed_table_is_in_memory(tissue, expected, tmp_path):
    tissue.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    copied = run(backed, copy=True)
    assert not copied.isbacked
    assert "semst" not in backed.obs
    same(copied, expected)
    backed.file.close()


@pytest.mark.parametrize("form", ["csr", "dense"])
def test_zarr_by_dask_gives_what_it_gives_in_memory(tissue, expected, form, tmp_path):
    import zarr

    in_form(tissue, form).write_zarr(tmp_path / "a.zarr")
    lazy = tissue.copy()
    lazy.X = read_elem_lazy(zarr.open_group(tmp_path / "a.zarr", mode="r")["X"])
    assert is_on_disk(lazy.X)
    run(lazy)
    assert hasattr(lazy.X, "dask")
    same(lazy, expected)


def test_semantics_may_come_from_another_matrix_on_disk_than_the_counts(tissue, tmp_path):
    """What meaning did is told from the matrix that the semantics were made of, after all has been trained."""
    import zarr

    tissue.write_zarr(tmp_path / "a.zarr")
    found = []
    for lazy in (False, True):
        adata = tissue.copy()
        adata.layers["counts"] = adata.X.copy()
        if lazy:
            adata.X = read_elem_lazy(zarr.open_group(tmp_path / "a.zarr", mode="r")["X"])
        run(adata, layer="counts")
        found.append(adata.uns["semst"]["modulation"]["influence"])
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("chunks", [(1, 2), (2, 4), (5, 4), (3, 1)])
@pytest.mark.parametrize("to", [np.asarray, sparse.csr_matrix])
def test_chunks_of_every_shape(chunks, to):
    values = np.random.default_rng(0).poisson(0.7, size=(5, 4)).astype(np.int64)
    if to is sparse.csr_matrix:
        chunks = (chunks[0], 4)  # dask joins no sparse chunks of other columns
    lazy = da.from_array(values, chunks=chunks).map_blocks(to)
    found = load(lazy)
    assert found.dtype == np.float32
    assert found.has_canonical_format
    np.testing.assert_array_equal(found.toarray(), values)


def test_each_chunk_is_computed_once():
    seen = []

    def look(block):
        seen.append(block.shape)
        return block

    lazy = da.ones((10, 3), chunks=(4, 3)).map_blocks(look, dtype=float, meta=np.empty((0, 0)))
    load(lazy)
    assert sorted(seen) == [(2, 3), (4, 3), (4, 3)]


def test_views_of_tables_in_memory_are_not_on_disk(tissue):
    view = tissue[:10]
    assert not is_on_disk(view.X)
    dense = in_form(tissue, "dense")
    assert not is_on_disk(dense[:10].X)
    assert not is_on_disk(dense.X)


def test_a_matrix_without_rows():
    assert load(da.zeros((0, 3))).shape == (0, 3)

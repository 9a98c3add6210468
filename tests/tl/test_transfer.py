"""Labels for other tissue: which, how sure, and what becomes of other genes, names, orders and noise."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

import semst


def simulated(seed: int) -> ad.AnnData:
    return semst.datasets.simulated(n_spots=500, n_genes=400, n_domains=4, random_state=seed, progress=False)


@pytest.fixture(scope="module")
def trained():
    table = simulated(1)
    return table, semst.SemST.train(table, n_clusters=4, epochs=6, progress=False)


@pytest.fixture(scope="module")
def model(trained):
    return trained[1]


@pytest.fixture(scope="module")
def other() -> ad.AnnData:
    return simulated(2)


@pytest.fixture(scope="module")
def labelled(model, other) -> ad.AnnData:
    return semst.tl.transfer(model, other, copy=True)


def agreement(first, second):
    return adjusted_rand_score(first.obs["semst"], second.obs["semst"])


def test_it_writes_what_it_says(model, other, labelled):
    assert set(labelled.obs) - set(other.obs) == {"semst", "semst_confidence"}
    assert set(labelled.obsm) == set(other.obsm)
    assert list(labelled.obs["semst"].cat.categories) == list(model.domains)
    assert labelled.obs["semst"].notna().all()
    assert labelled.obs["semst_confidence"].dtype == np.float32
    assert labelled.obs["semst_confidence"].between(0, 1).all()
    facts = labelled.uns["semst"]
    assert facts["params"]["center"] is True
    assert facts["coverage"]["genes"] == 1
    assert facts["coverage"]["n_found"] == facts["coverage"]["n_genes"] == len(model.genes)
    assert facts["coverage"]["missing"].size == 0
    assert facts["model"]["params"]["n_clusters"] == 4
    assert {"semst", "torch"} <= set(facts["versions"])
    assert "semst_colors" not in labelled.uns


def test_results_survive_the_disk(labelled, tmp_path):
    labelled.write_h5ad(tmp_path / "labelled.h5ad")
    again = ad.read_h5ad(tmp_path / "labelled.h5ad")
    pd.testing.assert_series_equal(again.obs["semst"], labelled.obs["semst"])
    assert again.uns["semst"]["coverage"]["n_found"] == 400


def test_training_tissue_gets_its_labels_back(trained):
    table, model = trained
    for center in (True, False):
        assert agreement(semst.tl.transfer(model, table, center=center, copy=True), table) > 0.9


def test_planted_domains_are_found_in_other_tissue(labelled):
    assert adjusted_rand_score(labelled.obs["ground_truth"], labelled.obs["semst"]) > 0.6


def test_domains_have_the_names_of_the_training(trained, labelled):
    """Not only the same partition: label 1 here is what label 1 is there."""
    there = trained[0].obs.groupby("semst", observed=True)["ground_truth"].agg(lambda each: each.mode()[0])
    named = labelled.obs["semst"].astype(str).map({str(key): str(value) for key, value in there.items()})
    assert (named == labelled.obs["ground_truth"].astype(str)).mean() > 0.7


def test_order_of_spots_and_genes_does_not_matter(model, other, labelled):
    generator = np.random.default_rng(0)
    spots, genes = generator.permutation(other.n_obs), generator.permutation(other.n_vars)
    mixed = semst.tl.transfer(model, other[spots, genes].copy(), copy=True)
    assert (mixed.obs["semst"] == labelled.obs["semst"].iloc[spots]).mean() > 0.995  # sums in another order
    np.testing.assert_allclose(mixed.obs["semst_confidence"], labelled.obs["semst_confidence"].iloc[spots], atol=0.05)


def test_turned_tissue_has_the_same_labels(model, other, labelled):
    turned = other.copy()
    turned.obsm["spatial"] = turned.obsm["spatial"] @ np.array([[0.6, -0.8], [0.8, 0.6]]) * 3 + 100
    pd.testing.assert_series_equal(semst.tl.transfer(model, turned, copy=True).obs["semst"], labelled.obs["semst"])


def test_deeper_sequencing_changes_little(model, other, labelled):
    deeper = other.copy()
    deeper.X = deeper.X * 3
    assert agreement(semst.tl.transfer(model, deeper, copy=True), labelled) > 0.95


def test_half_of_the_genes_do(model, other, labelled):
    half = semst.tl.transfer(model, other[:, ::2].copy(), copy=True)
    assert agreement(half, labelled) > 0.6
    coverage = half.uns["semst"]["coverage"]
    assert coverage["genes"] == 0.5
    assert sorted(coverage["missing"]) == sorted(other.var_names[1::2])


def test_genes_that_the_model_does_not_know_change_nothing(model, other, labelled):
    noise = ad.AnnData(np.full((other.n_obs, 30), 50.0, dtype=np.float32))
    noise.obs_names, noise.var_names = other.obs_names, [f"unheard-of {number}" for number in range(30)]
    wider = ad.concat([other, noise], axis=1, merge="first")
    assert agreement(semst.tl.transfer(model, wider, copy=True), labelled) > 0.98


def test_other_names_of_the_same_genes_are_understood(model, other, labelled):
    renamed = other.copy()
    aliases = {"SNAP25": "ENSG00000132639", "MBP": "ENSG00000197971.16", "GFAP": "Gfap"}
    renamed.var_names = [aliases.get(name, name) for name in other.var_names]
    found = semst.tl.transfer(model, renamed, copy=True)
    assert found.uns["semst"]["coverage"]["genes"] == 1
    assert sum(found.uns["semst"]["coverage"]["how"].values()) == 400
    assert found.uns["semst"]["coverage"]["how"]["exact"] < 400
    assert agreement(found, labelled) > 0.98


def test_confidence_drops_on_tissue_that_the_model_has_not_seen(trained, other, labelled):
    table, model = trained
    own = semst.tl.transfer(model, table, copy=True).obs["semst_confidence"].median()
    shuffled = other.copy()
    shuffled.var_names = np.random.default_rng(0).permutation(other.var_names)
    strange = semst.tl.transfer(model, shuffled, copy=True).obs["semst_confidence"].median()
    flat = other.copy()
    flat.X = np.asarray(np.random.default_rng(0).poisson(2, other.shape), dtype=np.float32)
    noise = semst.tl.transfer(model, flat, copy=True).obs["semst_confidence"].median()
    assert own > 0.2
    assert max(strange, noise) < min(0.1 * own, 0.5 * labelled.obs["semst_confidence"].median())


def test_a_piece_of_the_tissue_without_centring_keeps_its_labels(trained):
    table, model = trained
    piece = table[table.obs["semst"].isin(["1", "2"])].copy()
    there = piece.obs["semst"].astype(str)
    found = {center: semst.tl.transfer(model, piece, center=center, copy=True) for center in (True, False)}
    right = {center: (each.obs["semst"].astype(str) == there).mean() for center, each in found.items()}
    assert right[False] > 0.9
    assert right[False] > right[True]


def test_semantics_in_the_table_are_used_if_they_are_of_the_same_kind(model, other, labelled):
    given = other.copy()
    semst.pp.gene_semantics(given)
    pd.testing.assert_series_equal(semst.tl.transfer(model, given, copy=True).obs["semst"], labelled.obs["semst"])
    given.obsm["gene_semantics"] = sparse.csr_matrix(given.obsm["gene_semantics"])
    pd.testing.assert_series_equal(semst.tl.transfer(model, given, copy=True).obs["semst"], labelled.obs["semst"])
    given.uns["gene_semantics"]["params"]["source"] = "another model"
    with pytest.raises(ValueError, match="source 'another model' instead of 'packaged'"):
        semst.tl.transfer(model, given)
    given.obsm["gene_semantics"] = given.obsm["gene_semantics"][:, :5]
    with pytest.raises(ValueError, match="n_spots, 128"):
        semst.tl.transfer(model, given)


def test_semantics_of_ones_own_have_to_be_there(other):
    table = other[:250].copy()
    table.obsm["mine"] = np.random.default_rng(0).normal(size=(table.n_obs, 5)).astype(np.float32)
    mine = semst.SemST.train(table, n_clusters=3, epochs=2, semantics_key="mine", progress=False)
    with pytest.raises(KeyError, match="no semantics: obsm\\['mine'\\] is missing"):
        semst.tl.transfer(mine, other)
    semst.tl.transfer(mine, table)


def test_colours_come_along(trained, other):
    table = trained[0]
    model = semst.SemST(trained[1]._kept, colors=["#ff0000", "#00ff00", "#0000ff", "#000000"])
    assert semst.tl.transfer(model, other, copy=True).uns["semst_colors"] == model.colors
    table = other.copy()
    semst.tl.transfer(model, table)
    assert "semst_colors" not in semst.tl.transfer(trained[1], table, copy=True).uns


def _earlier_run(table: ad.AnnData) -> None:
    """Leave in a table what cluster and describe leave, of domains unlike those of the model."""
    semst.tl.cluster(table, n_clusters=5, epochs=2, progress=False)
    semst.tl.describe(table, n_permutations=9)
    table.uns["semst_colors"] = ["red"] * 5
    assert {"semst_alpha", "semst_beta"} <= set(table.obs)
    assert "modulation" in table.uns["semst"]


def test_nothing_of_an_earlier_run_stays(model, other, labelled):
    """Else the new domains would bear the names of the old ones."""
    table = other.copy()
    _earlier_run(table)
    semst.tl.transfer(model, table)
    assert set(table.obs) == set(labelled.obs)
    assert set(table.obsm) == {*labelled.obsm, "gene_semantics"}  # semantics are of the tissue, not of its domains
    assert set(table.uns) == {*labelled.uns, "gene_semantics"}
    assert set(table.uns["semst"]) == set(labelled.uns["semst"])
    pd.testing.assert_series_equal(table.obs["semst"], labelled.obs["semst"])
    with pytest.raises(KeyError, match="describe"):
        semst.pl.domains(table, names=True)


def test_nothing_of_an_earlier_run_stays_where_uns_is_lost(model, other, labelled):
    """As anndata.concat leaves it."""
    table = other.copy()
    _earlier_run(table)
    del table.uns["semst"]
    semst.tl.transfer(model, table)
    assert set(table.obs) == set(labelled.obs)
    assert "X_semst" not in table.obsm


def test_a_latent_that_was_embedded_before_stays(model, other):
    table = model.embed(other, copy=True)
    semst.tl.transfer(model, table)
    assert "X_semst" in table.obsm


def test_a_latent_may_be_embedded_beside_the_domains_of_transfer_and_again(model, labelled):
    table = labelled.copy()
    for _ in range(2):
        model.embed(table)
    assert table.uns["X_semst"]["model"]["params"] == model.params
    assert table.uns["X_semst"]["params"]["center"] is True
    pd.testing.assert_series_equal(table.obs["semst"], labelled.obs["semst"])
    assert set(table.uns["semst"]) == set(labelled.uns["semst"])
    semst.tl.transfer(model, table)
    assert not {"X_semst"} & {*table.obsm, *table.uns}  # of the earlier domains


def test_a_latent_may_be_embedded_again_also_under_another_name(model, other, tmp_path):
    table = model.embed(other, key_added="mine", copy=True)
    table.write_h5ad(tmp_path / "tissue.h5ad")
    again = ad.read_h5ad(tmp_path / "tissue.h5ad")
    model.embed(again, key_added="mine", center=False)
    assert not again.uns["X_mine"]["params"]["center"]
    assert not np.array_equal(again.obsm["X_mine"], table.obsm["X_mine"])


def test_what_semst_did_not_write_is_not_replaced_by_a_latent(model, other):
    table = other.copy()
    table.obsm["X_pca"] = np.ones((table.n_obs, 2))
    with pytest.raises(ValueError, match=r"SemST.embed: .* take the place of obsm\['X_pca'\]"):
        model.embed(table, key_added="pca")
    assert (table.obsm["X_pca"] == 1).all()
    assert "X_pca" not in table.uns


def test_the_latent_of_domains_found_here_is_not_replaced(trained):
    table, model = trained
    before = table.obsm["X_semst"].copy()
    with pytest.raises(ValueError, match=r"the name of domains that `semst.tl.cluster` found here"):
        model.embed(table)
    np.testing.assert_array_equal(table.obsm["X_semst"], before)


def test_domains_of_transfer_may_be_replaced(model, labelled):
    table = labelled.copy()
    semst.tl.transfer(model, table)
    semst.tl.transfer(model, table, key_added="mine")
    semst.tl.transfer(model, table, key_added="mine", center=False)
    assert table.uns["mine"]["params"]["center"] is False
    semst.tl.cluster(table, n_clusters=3, epochs=1, progress=False, key_added="mine")
    assert table.obs["mine"].cat.categories.size == 3
    assert "model" not in table.uns["mine"]


@pytest.mark.parametrize("key", ["ground_truth", "spatial", "gene_semantics", "array_row", "notes"])
def test_what_semst_did_not_write_is_not_replaced(model, other, key):
    before = other.copy()
    with pytest.raises(ValueError, match=f"key_added='{key}' .* choose another name"):
        semst.tl.transfer(model, other, key_added=key)
    pd.testing.assert_frame_equal(other.obs, before.obs)
    assert list(other.uns) == list(before.uns)


def test_a_share_may_be_numpys(model, other):
    found = semst.tl.transfer(model, other, min_coverage=np.float32(0.5), copy=True)
    assert found.uns["semst"]["params"]["min_coverage"] == 0.5
    model.embed(other, min_coverage=np.int64(1), copy=True)


@pytest.mark.parametrize("share", [True, -0.1, 1.1, np.nan, "all", None])
def test_what_is_no_share_is_told_beside_other_problems(model, other, share):
    with pytest.raises(ValueError, match="(?s)2 problems.*min_coverage must lie between 0 and 1.*no layer 'raw'"):
        semst.tl.transfer(model, other, min_coverage=share, layer="raw")


def test_a_view_of_a_file_is_refused_with_all_other_problems(model, other, tmp_path):
    other.write_h5ad(tmp_path / "tissue.h5ad")
    part = ad.read_h5ad(tmp_path / "tissue.h5ad", backed="r")[:300]
    for verb in (
        lambda **options: semst.tl.transfer(model, part, **options),
        lambda **options: model.embed(part, **options),
    ):
        with pytest.raises(
            ValueError, match="(?s)2 problems.*written into a view of a backed AnnData.*to_memory.*layer"
        ):
            verb(layer="raw")
        assert verb(copy=True).n_obs == 300
    assert part.is_view


def test_one_spot_is_too_few(model, other):
    for verb in (lambda spot: semst.tl.transfer(model, spot), model.embed):
        with pytest.raises(ValueError, match="a tissue needs at least 2 spots, got 1"):
            verb(other[:1].copy())


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_values_that_are_not_finite_are_told_and_nothing_is_written(model, other):
    table = other.copy()
    semst.pp.gene_semantics(table)
    table.obsm["gene_semantics"] = table.obsm["gene_semantics"] * np.float32(1e38)
    before = table.copy()
    for verb in (semst.tl.transfer, semst.SemST.embed):
        assert "FloatingPointError" in verb.__doc__
        with pytest.raises(FloatingPointError, match="not finite on this tissue"):
            verb(model, table)
    pd.testing.assert_frame_equal(table.obs, before.obs)
    assert set(table.uns) == set(before.uns)


def test_a_model_that_cannot_tell_how_it_was_trained_takes_nothing_away(model, labelled, monkeypatch):
    def fail(_):
        raise TypeError

    table = labelled.copy()
    table.uns["semst_colors"] = ["red"] * 4
    monkeypatch.setattr(semst.SemST, "versions", property(fail))
    for verb in (semst.tl.transfer, semst.SemST.embed):
        with pytest.raises(TypeError):
            verb(model, table)
    assert set(table.uns) == {*labelled.uns, "semst_colors"}
    assert set(table.obsm) == set(labelled.obsm)


def test_spatialdata_is_labelled_in_its_table(model, other, labelled, as_spatialdata):
    sdata = as_spatialdata(other)
    semst.tl.transfer(model, sdata)
    assert agreement(sdata.tables["table"], labelled) == 1


def test_tiles_of_a_large_tissue_give_nearly_what_the_whole_gives(model, other, labelled, monkeypatch):
    import semst.model._new_tissue as new_tissue
    import semst.training._tissue_tiles as tissue_tiles

    monkeypatch.setattr(new_tissue, "is_large", lambda _: True)
    monkeypatch.setattr(tissue_tiles, "TILE", 250)
    tiled = semst.tl.transfer(model, other, copy=True)
    assert agreement(tiled, labelled) > 0.9
    assert not tiled.obs["semst_confidence"].equals(labelled.obs["semst_confidence"])  # they were tiles


@pytest.mark.parametrize(
    ("options", "spoil", "error", "message"),
    [
        ({"min_coverage": 2}, None, ValueError, "min_coverage must lie between 0 and 1"),
        ({"key_added": "a/b"}, None, ValueError, "key_added"),
        ({"layer": "counts"}, None, KeyError, "no layer 'counts'"),
        ({"device": "abacus"}, None, ValueError, "device 'abacus'"),
        ({"device": None}, None, ValueError, "device None cannot be used here"),
        ({}, lambda table: table.obsm.pop("spatial"), KeyError, "no coordinates"),
        ({}, lambda table: setattr(table, "X", table.X * 0.5), ValueError, "whole numbers"),
        (
            {},
            lambda table: setattr(table, "var_names", [f"unheard-of {number}" for number in range(table.n_vars)]),
            ValueError,
            "0 of the 400 genes that the model reads are there",
        ),
    ],
    ids=["coverage", "key", "layer", "device", "no device", "coordinates", "counts", "genes"],
)
def test_what_is_wrong_is_told_and_nothing_is_written(model, other, options, spoil, error, message):
    table = other.copy()
    if spoil is not None:
        spoil(table)
    before = set(table.obs), set(table.obsm), set(table.uns)
    with pytest.raises(error, match=message):
        semst.tl.transfer(model, table, **options)
    assert (set(table.obs), set(table.obsm), set(table.uns)) == before


def test_all_problems_come_at_once(model, other):
    table = other.copy()
    del table.obsm["spatial"]
    with pytest.raises(ValueError, match="(?s)2 problems.*min_coverage.*no coordinates"):
        semst.tl.transfer(model, table, min_coverage=-1)


def test_only_models_and_tissue_are_taken(model, other, tmp_path):
    with pytest.raises(TypeError, match="must be a semst.SemST or the folder of one, got int"):
        semst.tl.transfer(3, other)
    with pytest.raises(TypeError, match="expected AnnData or SpatialData"):
        semst.tl.transfer(model, "tissue.h5ad")
    with pytest.raises(FileNotFoundError, match="is missing"):
        semst.tl.transfer(tmp_path / "nowhere", other)


def test_what_is_made_on_the_way_is_announced(model, other, caplog):
    with caplog.at_level(logging.INFO, logger="semst"):
        semst.tl.transfer(model, other, copy=True)
    assert "pooling the packaged gene vectors" in caplog.text
    assert "400 of the 400 genes" in caplog.text


def test_spots_without_a_gene_of_the_model_are_told_and_trusted_by_nobody(model, other, caplog):
    bare = 60
    known = other.X.toarray()
    known[:bare] = 0
    table = ad.AnnData(np.hstack([known, np.ones((other.n_obs, 1))]).astype(np.float32), obs=other.obs.copy())
    table.var_names = [*other.var_names, "unheard-of"]
    table.obsm["spatial"] = other.obsm["spatial"].copy()
    table.obsm["spatial"][:bare] += 1e6
    for column in ("array_row", "array_col"):  # else Visium's grid would say who lies beside whom
        del table.obs[column]
    semst.tl.transfer(model, table)
    assert f"{bare} spots have no counts of any gene that the model knows" in caplog.text
    assert (table.obs["semst_confidence"].iloc[:bare] < 0.05).all()


@pytest.mark.parametrize(("share", "level"), [(0.5, logging.INFO), (0.2, logging.WARNING)])
def test_how_many_genes_are_there_is_told_and_a_thin_panel_warned_of(model, other, caplog, share, level):
    part = other[:, : int(share * other.n_vars)].copy()
    part = part[np.asarray(part.X.sum(axis=1)).ravel() > 0].copy()
    with caplog.at_level(logging.INFO, logger="semst"):
        semst.tl.transfer(model, part)
    told = [record for record in caplog.records if "genes that the model reads are there" in record.getMessage()]
    assert [record.levelno for record in told] == [level]
    assert told[0].getMessage().startswith("transfer: ")
    assert f"({round(100 * part.uns['semst']['coverage']['genes'])} %)" in told[0].getMessage()
    assert ("too few to trust" in told[0].getMessage()) == (level == logging.WARNING)


def test_slices_that_are_joined_are_told(model, other, caplog):
    both = ad.concat({"a": simulated(1), "b": other}, label="slice", index_unique="-", merge="same")
    with caplog.at_level(logging.WARNING, logger="semst"):
        semst.tl.transfer(model, both, batch_key="slice")
    assert "several slices" not in caplog.text
    with caplog.at_level(logging.WARNING, logger="semst"):
        semst.tl.transfer(model, both)
    assert "several slices, joined as if one; pass 'slice' as `batch_key`" in caplog.text

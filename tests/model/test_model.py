"""Training is that of cluster, byte for byte; a model that was kept does what it did before."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import semst

FEW = {"n_clusters": 4, "epochs": 6, "progress": False}


def same(first, second):
    """Compare the results of two runs in every byte."""
    pd.testing.assert_frame_equal(first.obs, second.obs, check_exact=True)
    for key in ("X_semst", "gene_semantics"):
        assert first.obsm[key].tobytes() == second.obsm[key].tobytes()
    assert first.uns["semst"]["score"] == second.uns["semst"]["score"]
    assert first.uns["semst"]["params"] == second.uns["semst"]["params"]


def alike(first, second, *, atol):
    """Compare latents; rounding may swap a neighbour of like expression here and there."""
    assert first.shape == second.shape
    assert np.isclose(first, second, atol=atol).mean() > 0.99


def test_training_is_that_of_cluster(tissue, trained):
    table, model = trained
    same(semst.tl.cluster(tissue, copy=True, **FEW), table)
    assert model.domains == ("1", "2", "3", "4")
    assert model.params["epochs"] == 6
    assert set(model.genes) <= set(tissue.var_names)
    assert repr(model) == "SemST: 4 domains, 8 networks, 400 genes (human), trained on 500 spots"


def test_its_latent_of_the_training_tissue_is_that_of_the_training(tissue, trained):
    table, model = trained
    for center in (True, False):
        again = model.embed(tissue, center=center, key_added="again", copy=True)
        alike(again.obsm["X_again"], table.obsm["X_semst"], atol=1e-4)
    assert "X_again" not in tissue.obsm


def test_a_model_that_was_saved_is_the_same(tissue, trained, folder):
    model, other = trained[1], semst.SemST.load(folder)
    assert repr(other) == repr(model)
    assert other.params == model.params
    assert other.versions == model.versions
    assert other.genes == model.genes
    first, second = model.embed(tissue, copy=True), other.embed(tissue, copy=True)
    assert first.obsm["X_semst"].tobytes() == second.obsm["X_semst"].tobytes()
    first, second = semst.tl.transfer(model, tissue, copy=True), semst.tl.transfer(folder, tissue, copy=True)
    pd.testing.assert_frame_equal(first.obs, second.obs, check_exact=True)


def test_loading_leaves_the_random_state_of_torch_alone(folder):
    import torch

    before = torch.random.get_rng_state()
    semst.SemST.load(folder)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "published"},
        {"semantics_key": None, "convolution": "sage"},
        {"convolution": "gat", "partition": "kmeans", "likelihood": "nb"},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_other_ways_to_train_are_kept_as_well(tissue, tmp_path, options):
    small = tissue[:250].copy()
    model = semst.SemST.train(small, n_clusters=3, epochs=2, progress=False, **options)
    model.save(tmp_path / "model")
    again = semst.SemST.load(tmp_path / "model").embed(small, key_added="again", copy=True)
    alike(again.obsm["X_again"], small.obsm["X_semst"], atol=1e-3)


def test_a_published_model_scales_spots_by_the_genes_that_it_reads(tissue):
    """Most genes are not chosen; counts of those must not change what is read of the others."""
    small = tissue[:250].copy()
    chosen = {"preset": "published", "n_top_genes": small.n_vars // 3, "epochs": 2, "semantics_key": None}
    model = semst.SemST.train(small, n_clusters=3, progress=False, **chosen)
    again = model.embed(small, key_added="again", copy=True)
    alike(again.obsm["X_again"], small.obsm["X_semst"], atol=1e-4)
    loud = small.copy()
    others = [name for name in small.var_names if name not in set(model.genes)]
    assert len(others) > small.n_vars // 2
    loud.X = sparse.csr_matrix(loud.X.multiply(np.where(loud.var_names.isin(others), 5, 1)))
    alike(model.embed(loud, key_added="again", copy=True).obsm["X_again"], small.obsm["X_semst"], atol=1e-4)


def test_gaussian_models_read_expression_that_is_normalised(tissue):
    small = tissue[:250].copy()
    library = np.asarray(small.X.sum(axis=1))
    small.X = (small.X.multiply(1e4 / library)).tocsr().log1p()
    model = semst.SemST.train(small, n_clusters=3, epochs=2, likelihood="gaussian", progress=False)
    again = model.embed(small, key_added="again", copy=True)
    alike(again.obsm["X_again"], small.obsm["X_semst"], atol=1e-3)
    assert tissue.X.max() > 20
    with pytest.raises(ValueError, match="embed: X looks like raw counts.*, as for the training"):
        model.embed(tissue, copy=True)


def test_the_number_of_domains_may_be_found(tissue):
    small = tissue[:250].copy()
    model = semst.SemST.train(small, epochs=2, progress=False)
    assert len(model.domains) == small.uns["semst"]["n_clusters"]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"copy": True}, "writes into `data`"), ({"n_domains": 4}, "arguments of semst.tl.cluster.*n_domains")],
)
def test_what_cluster_does_not_take_or_would_not_write_is_refused(tissue, options, message):
    with pytest.raises(TypeError, match=message):
        semst.SemST.train(tissue, **options)


def test_colours_are_one_for_each_domain(trained):
    model = semst.SemST(trained[1]._kept)
    assert model.colors is None
    with pytest.raises(ValueError, match="one for each of the 4 domains"):
        model.colors = ["red"]
    with pytest.raises(ValueError, match="one for each of the 4 domains"):
        model.colors = "blue"
    for wrong in (5, {"1": "red", "2": "red", "3": "red", "4": "red"}, {"red", "green", "blue", "black"}):
        with pytest.raises(ValueError, match="one for each of the 4 domains, in a list, got"):
            model.colors = wrong
    assert model.colors is None


def test_colours_may_be_numbers_and_are_kept_as_hex(trained):
    model = semst.SemST(trained[1]._kept, colors=["red", (0, 1, 0), [0, 0, 1, 0.5], "0"])
    assert model.colors == ["#ff0000", "#00ff00", "#0000ff", "#000000"]
    model.colors = np.eye(4, 3)
    assert model.colors == ["#ff0000", "#00ff00", "#0000ff", "#000000"]


def test_training_that_fails_leaves_the_tissue_as_it_was(tissue):
    table = tissue.copy()
    with pytest.raises(ValueError, match="n_clusters must be"):
        semst.SemST.train(table, n_clusters=1)
    assert set(table.obs) == set(tissue.obs)
    assert not table.obsm.keys() ^ tissue.obsm.keys()


def test_colours_that_matplotlib_does_not_know_are_refused(trained):
    model = semst.SemST(trained[1]._kept)
    with pytest.raises(ValueError, match="such as matplotlib knows.*got 'redd'"):
        model.colors = ["redd", "#4477aa", "C1", "redd"]
    with pytest.raises(ValueError, match=r"such as matplotlib knows.*got '\(2, 0, 0\)', '5', 'None'"):
        model.colors = [(2, 0, 0), 5, None, (1, 0, 0)]
    assert model.colors is None

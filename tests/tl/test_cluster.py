"""The verb itself: what it writes, that it is the same twice, and that order and names do not matter."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

import semst

FEW = {"epochs": 6, "progress": False}


@pytest.fixture(scope="module")
def tissue() -> ad.AnnData:
    return semst.datasets.simulated(n_spots=500, n_genes=400, n_domains=4, random_state=1, progress=False)


@pytest.fixture(scope="module")
def clustered(tissue) -> ad.AnnData:
    return semst.tl.cluster(tissue, n_clusters=4, copy=True, **FEW)


def test_it_writes_what_it_says(clustered):
    labels = clustered.obs["semst"]
    assert list(labels.cat.categories) == ["1", "2", "3", "4"]
    sizes = labels.value_counts()[labels.cat.categories]
    assert sizes.is_monotonic_decreasing
    assert sizes.min() > 0
    confidence = clustered.obs["semst_confidence"]
    assert confidence.dtype == np.float32
    assert confidence.between(0, 1).all()
    assert clustered.obsm["X_semst"].shape == (clustered.n_obs, 8 * 32)
    assert clustered.obsm["X_semst"].dtype == np.float32
    facts = clustered.uns["semst"]
    assert facts["n_partitions"] == 8 * 2 * 4 * 8  # views, before and after training, widths, starts
    assert facts["score"] > 0
    assert facts["params"]["n_clusters"] == 4
    assert facts["params"]["random_state"] == 0
    assert {"semst", "torch"} <= set(facts["versions"])
    history = facts["history"]
    assert {values.shape for values in history.values()} == {(6,)}
    parts = history["reconstruction"] + history["spatial"] + history["dicr"]
    np.testing.assert_allclose(history["total"], parts, rtol=1e-5)


def test_domains_are_those_of_the_simulation(clustered):
    """A broken graph, network or consensus would not find planted layers; this is no claim about real tissue."""
    assert adjusted_rand_score(clustered.obs["ground_truth"], clustered.obs["semst"]) > 0.6


def test_missing_semantics_are_made_and_announced(tissue, caplog):
    with caplog.at_level(logging.INFO, logger="semst"):
        result = semst.tl.cluster(tissue, n_clusters=3, copy=True, **FEW)
    assert "running semst.pp.gene_semantics" in caplog.text
    assert result.obsm["gene_semantics"].shape == (tissue.n_obs, 128)
    assert "gene_semantics" not in tissue.obsm


def test_semantics_that_are_there_are_used_and_kept(tissue):
    given = tissue.copy()
    semst.pp.gene_semantics(given)
    kept = given.obsm["gene_semantics"].copy()
    given.obsm["gene_semantics"] = sparse.csr_matrix(kept)
    first = semst.tl.cluster(given, n_clusters=3, copy=True, **FEW)
    np.testing.assert_array_equal(first.obsm["gene_semantics"].toarray(), kept)
    given.obsm["gene_semantics"] = kept[::-1].copy()
    other = semst.tl.cluster(given, n_clusters=3, copy=True, **FEW)
    assert not np.array_equal(first.obsm["X_semst"], other.obsm["X_semst"])


def test_without_semantics_none_are_made(tissue):
    result = semst.tl.cluster(tissue, n_clusters=3, semantics_key=None, copy=True, **FEW)
    assert "gene_semantics" not in result.obsm


def test_same_seed_same_bytes_other_seed_other_latent(tissue, clustered):
    again = semst.tl.cluster(tissue, n_clusters=4, copy=True, **FEW)
    assert again.obsm["X_semst"].tobytes() == clustered.obsm["X_semst"].tobytes()
    pd.testing.assert_series_equal(again.obs["semst"], clustered.obs["semst"])
    other = semst.tl.cluster(tissue, n_clusters=4, random_state=1, copy=True, **FEW)
    assert not np.array_equal(other.obsm["X_semst"], clustered.obsm["X_semst"])


def test_global_random_state_is_left_alone(tissue):
    import torch

    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 (the legacy state is what must not move)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    semst.tl.cluster(tissue, n_clusters=3, copy=True, **FEW)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_order_of_spots_does_not_matter(tissue, clustered):
    order = np.random.default_rng(0).permutation(tissue.n_obs)
    shuffled = semst.tl.cluster(tissue[order].copy(), n_clusters=4, copy=True, **FEW)
    agreement = adjusted_rand_score(clustered.obs["semst"].to_numpy()[order], shuffled.obs["semst"])
    assert agreement > 0.8  # other spots are sampled in each step, so not the same bytes


@pytest.mark.parametrize("angle", [0.3, 1.2])
def test_turned_tissue_has_the_same_domains(tissue, clustered, angle):
    turned = tissue.copy()
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned.obsm["spatial"] = turned.obsm["spatial"] @ matrix
    semst.tl.cluster(turned, n_clusters=4, **FEW)
    np.testing.assert_array_equal(turned.obs["semst"], clustered.obs["semst"])


def test_published_preset_is_one_network_and_kmeans(tissue):
    result = semst.tl.cluster(tissue, n_clusters=4, preset="published", copy=True, **FEW)
    assert result.obsm["X_semst"].shape == (tissue.n_obs, 128)
    assert result.uns["semst"]["n_partitions"] == 10
    assert result.obs["semst"].nunique() == 4


@pytest.mark.parametrize("option", [{"convolution": "gat"}, {"convolution": "sage"}, {"likelihood": "nb"}])
def test_options_change_the_result(tissue, clustered, option):
    result = semst.tl.cluster(tissue, n_clusters=4, copy=True, **option, **FEW)
    assert not np.array_equal(result.obsm["X_semst"], clustered.obsm["X_semst"])
    assert result.obs["semst"].nunique() == 4


@pytest.mark.parametrize("partition", ["kmeans", "leiden"])
def test_partitions(tissue, partition):
    result = semst.tl.cluster(tissue, n_clusters=3, partition=partition, copy=True, **FEW)
    assert result.obs["semst"].nunique() == 3


def test_refine_smooths_and_keeps_every_domain(tissue, clustered):
    refined = semst.tl.cluster(tissue, n_clusters=4, refine=True, copy=True, **FEW)
    assert refined.obs["semst"].nunique() == 4
    places = tissue.obsm["spatial"]
    assert semst.metrics.pas(places, refined.obs["semst"]) <= semst.metrics.pas(places, clustered.obs["semst"])


def test_gaussian_takes_log_normalised_expression(tissue):
    import scanpy as sc

    logged = tissue.copy()
    sc.pp.normalize_total(logged)
    sc.pp.log1p(logged)
    with pytest.raises(ValueError, match="does not hold whole numbers.*likelihood='gaussian'"):
        semst.tl.cluster(logged, n_clusters=4, **FEW)
    semst.tl.cluster(logged, n_clusters=4, likelihood="gaussian", **FEW)
    assert adjusted_rand_score(logged.obs["ground_truth"], logged.obs["semst"]) > 0.5


def test_counts_from_a_layer(tissue, clustered):
    moved = tissue.copy()
    moved.layers["counts"] = moved.X.copy()
    moved.X = moved.X * 0.5
    semst.tl.cluster(moved, n_clusters=4, layer="counts", **FEW)
    np.testing.assert_array_equal(moved.obs["semst"], clustered.obs["semst"])


def test_the_graph_of_the_user_is_used(tissue, clustered):
    """Without the edges of one half of the tissue, smoothing there is gone and latents differ."""
    own = tissue.copy()
    full = own.obsp.setdefault("spatial_connectivities", _grid(own))
    np.testing.assert_array_equal(
        semst.tl.cluster(own, n_clusters=4, copy=True, **FEW).obs["semst"], clustered.obs["semst"]
    )
    half = full.tolil()
    half[: own.n_obs // 2] = 0
    own.obsp["spatial_connectivities"] = half.tocsr()
    semst.tl.cluster(own, n_clusters=4, **FEW)
    assert not np.array_equal(own.obsm["X_semst"], clustered.obsm["X_semst"])


def _grid(table):
    from semst.pp._graphs import spatial_graph

    return spatial_graph(table, table.obsm["spatial"])


def test_old_colours_do_not_outlive_their_domains(clustered):
    recoloured = clustered.copy()
    recoloured.uns["semst_colors"] = ["#000000"] * 4
    semst.tl.cluster(recoloured, n_clusters=3, **FEW)
    assert "semst_colors" not in recoloured.uns


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_results_can_be_written_and_read(clustered, tmp_path, form):
    path = tmp_path / f"result.{form}"
    getattr(clustered, f"write_{form}")(path)
    back = getattr(ad, f"read_{form}")(path)
    pd.testing.assert_series_equal(back.obs["semst"], clustered.obs["semst"])
    np.testing.assert_array_equal(back.uns["semst"]["history"]["total"], clustered.uns["semst"]["history"]["total"])


def test_tiny_tissue():
    tiny = semst.datasets.simulated(n_spots=300, n_genes=200, n_domains=3, progress=False)[:12].copy()
    tiny = tiny[:, np.asarray(tiny.X.sum(axis=0)).ravel() > 0].copy()
    semst.tl.cluster(tiny, n_clusters=3, **FEW)
    assert tiny.obs["semst"].nunique() == 3


def test_a_view_becomes_a_table_of_its_own_in_silence_and_the_whole_stays(tissue):
    whole = tissue.copy()
    part = whole[:300]
    semst.tl.cluster(part, n_clusters=3, **FEW)  # anndata's ImplicitModificationWarning would be an error
    assert not part.is_view
    assert part.obs["semst"].nunique() == 3
    assert "semst" not in whole.obs
    assert set(whole.uns) == set(tissue.uns)
    assert set(whole.obsm) == set(tissue.obsm)
    expected = semst.tl.cluster(whole[:300].copy(), n_clusters=3, copy=True, **FEW)
    pd.testing.assert_series_equal(part.obs["semst"], expected.obs["semst"])


def test_a_view_that_is_copied_stays_one(tissue):
    part = tissue[:300]
    assert "semst" in semst.tl.cluster(part, n_clusters=3, copy=True, **FEW).obs
    assert part.is_view


def test_what_follows_on_views_is_silent_too(tissue):
    whole = tissue.copy()
    semst.pp.gene_semantics(whole)
    for ask in (
        lambda part: semst.tl.query(part, {"glia": ["MBP", "PLP1"]}, n_permutations=19),
        lambda part: semst.tl.describe(part, key="ground_truth", n_permutations=19),
    ):
        part = whole[:300]
        ask(part)
        assert not part.is_view
    assert not {"query", "ground_truth_description"} & set(whole.uns)


@pytest.mark.parametrize("verb", [semst.pp.gene_semantics, lambda data: semst.tl.cluster(data, n_clusters=3)])
def test_a_view_of_a_file_is_refused_before_any_work(tissue, tmp_path, verb):
    tissue.write_h5ad(tmp_path / "tissue.h5ad")
    part = ad.read_h5ad(tmp_path / "tissue.h5ad", backed="r")[:300]
    with pytest.raises(ValueError, match="nothing can be written into a view of a backed AnnData; pass its"):
        verb(part)


def test_numbers_of_numpy_and_devices_of_torch_are_what_they_stand_for(tissue, tmp_path):
    import torch

    plain = semst.tl.cluster(tissue, n_clusters=4, copy=True, checkpoint=tmp_path / "run", **FEW)
    other = {**FEW, "random_state": np.int64(FEW.get("random_state", 0)), "device": torch.device("cpu")}
    found = semst.tl.cluster(tissue, n_clusters=np.int32(4), copy=True, **other)
    np.testing.assert_array_equal(found.obs["semst"], plain.obs["semst"])
    found.write_h5ad(tmp_path / "found.h5ad")
    del other["device"]
    semst.tl.cluster(tissue, n_clusters=np.int32(4), copy=True, checkpoint=tmp_path / "run", **other)

"""Tissue with more spots than are fitted at once; here that many is made small."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

import semst
from semst.nn import Plan, normalised_adjacency
from semst.nn._adjacency import normalise
from semst.partitions._select import Bench, judge
from semst.partitions._stability import stability
from semst.pp._expression import morans_i, principal_components, select_genes, stabilise, unit_variance
from semst.pp._graphs import spatial_graph, steps_around, widen
from semst.pp._reader import reader
from semst.training._how import How
from semst.training._large_features import LargeFeatures
from semst.training._recipe import DEFAULT, View
from semst.training._sections import Tissue, features, rings, section
from semst.training._tissue_tiles import TissueTiles, dealt, extract
from semst.training._train import train

K = 4


@pytest.fixture(scope="module")
def adata():
    adata = semst.datasets.simulated(
        n_spots=1200, n_genes=200, n_domains=K, platform="cells", random_state=1, progress=False
    )
    semst.pp.gene_semantics(adata, progress=False)
    return adata


@pytest.fixture
def large(large_above):
    large_above(600, tile=300)


@pytest.fixture
def tissue(adata):
    graph = spatial_graph(adata, adata.obsm["spatial"])
    counts = sparse.csr_matrix(adata.X, dtype=np.float32)
    return Tissue(counts, graph, adata.obsm["gene_semantics"], np.arange(150), adata.obsm["spatial"])


def make_tiles(tissue, view, **options):
    options = {"likelihood": "zinb", "convolution": "gcn", **options}
    adjacency = normalise(rings(tissue.graph, view.rings))
    read = LargeFeatures(tissue, view.transform, DEFAULT, likelihood=options["likelihood"], random_state=0)
    return TissueTiles(tissue, read, DEFAULT, tiles=dealt(tissue, 0), adjacency=adjacency, random_state=0, **options)


def test_one_tile_is_the_section_itself(tissue):
    """With no other tile nothing is cut: the two ways of preparing a tissue agree."""
    for view in (View("scaled", 2), View("sqrt", 1)):
        read = features(tissue, view.transform, DEFAULT, likelihood="zinb", random_state=0)
        expected = section(tissue, view, read, DEFAULT, likelihood="zinb")
        (found,) = make_tiles(tissue, view)
        torch.testing.assert_close(found.features, expected.features, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(found.semantics, expected.semantics, rtol=1e-3, atol=1e-4)
        assert torch.equal(found.spatial.to_dense(), expected.spatial.to_dense())
        assert torch.equal(found.neighbours, expected.neighbours)
        different = (found.expression.to_dense() > 0) != (expected.expression.to_dense() > 0)
        assert different.sum() <= 1e-5 * different.numel()  # neighbours that are tied up to rounding
        assert (found.counts != expected.counts).nnz == 0
        torch.testing.assert_close(make_tiles(tissue, view).share(), expected.share())


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("convolution", ["gcn", "gat", "sage"])
def test_tiles_give_what_the_whole_tissue_gives(tissue, convolution):
    view = View("log", 2)
    tiles = make_tiles(tissue, view, convolution=convolution)
    assert len(tiles) == 4
    n = tissue.counts.shape[0]
    parts = [tiles[number] for number in range(4)]
    alike, read, told = sparse.lil_matrix((n, n)), torch.empty(n, 50), torch.empty(n, 128)
    for spots, tile in zip(tiles.spots, parts, strict=True):
        alike[np.ix_(spots, spots)] = tile.expression.to_dense().numpy()
        read[spots], told[spots] = tile.own(tile.features), tile.semantics
    whole = section(tissue, view, read.numpy(), DEFAULT, likelihood="zinb")
    whole = whole.__class__(read, whole.spatial, normalised_adjacency(alike), whole.neighbours, whole.counts, told)
    how = How(likelihood="zinb", convolution=convolution, device=torch.device("cpu"), random_state=0, progress=False)
    network = how.network(50, tissue, DEFAULT, seed=0).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    with torch.no_grad():
        expected = network.encode(whole).latent
        for spots, tile in zip(tiles.spots, parts, strict=True):
            torch.testing.assert_close(network.encode(tile).latent, expected[spots], rtol=1e-3, atol=1e-3)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("options", [{}, {"preset": "published", "epochs": 20}, {"refine": True, "epochs": 5}])
def test_large_tissue_falls_into_its_domains(adata, options):
    found = semst.tl.cluster(adata, n_clusters=K, progress=False, copy=True, **options)
    labels = found.obs["semst"]
    assert sorted(labels.unique()) == ["1", "2", "3", "4"]
    assert found.obsm["X_semst"].shape[0] == adata.n_obs
    assert np.isfinite(found.obsm["X_semst"]).all()
    assert found.obs["semst_confidence"].between(0, 1).all()
    if not options:
        monolith = 0.55  # of the planted domains
        assert adjusted_rand_score(adata.obs["ground_truth"], labels) > monolith


@pytest.mark.usefixtures("large")
def test_large_tissue_and_small_agree(adata, monkeypatch):
    tiled = semst.tl.cluster(adata, n_clusters=K, progress=False, copy=True)
    again = semst.tl.cluster(adata, n_clusters=K, progress=False, copy=True)
    assert tiled.obsm["X_semst"].tobytes() == again.obsm["X_semst"].tobytes()
    assert list(tiled.obs["semst"]) == list(again.obs["semst"])
    monkeypatch.undo()
    whole = semst.tl.cluster(adata, n_clusters=K, progress=False, copy=True)
    truth = adata.obs["ground_truth"]
    first, second = (adjusted_rand_score(truth, each.obs["semst"]) for each in (whole, tiled))
    assert adjusted_rand_score(whole.obs["semst"], tiled.obs["semst"]) > 0.6
    assert second > first - 0.1


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("likelihood", ["gaussian", "nb"])
def test_other_likelihoods_on_large_tissue(adata, likelihood):
    values = adata.copy()
    if likelihood == "gaussian":
        values.X = stabilise(sparse.csr_matrix(adata.X, dtype=np.float32), "log")
    semst.tl.cluster(values, n_clusters=K, likelihood=likelihood, semantics_key=None, epochs=5, progress=False)
    assert values.obs["semst"].nunique() == K


def test_a_judge_on_a_sample_sees_what_one_on_all_sees(tissue, adata, large_above):
    truth = adata.obs["ground_truth"].cat.codes.to_numpy().astype(np.int64)
    shuffled = np.random.default_rng(0).permutation(truth)
    whole = vars(Bench.of(tissue.counts, tissue.graph, random_state=0))
    assert whole["spots"] is None
    large_above(1000)
    some = vars(Bench.of(tissue.counts, tissue.graph, random_state=0))
    assert some["counts"].shape[0] == some["graph"].shape[0] == some["spots"].size == 1000
    np.testing.assert_array_equal(some["graph"].toarray(), whole["graph"][some["spots"]].toarray())
    assert judge(truth, **some) == pytest.approx(judge(truth, **whole), rel=0.1)
    assert judge(shuffled, **some) < 0.3 * judge(truth, **some)


def test_steps_around_are_rows_of_the_widened_graph(tissue):
    spots = np.array([5, 0, 77, 1199])
    for steps, expected in ((1, tissue.graph), (2, widen(tissue.graph)), (4, widen(widen(tissue.graph)))):
        np.testing.assert_array_equal(steps_around(tissue.graph, spots, steps).toarray(), expected[spots].toarray())


@pytest.mark.parametrize("transform", ["log", "log10k", "sqrt", "scaled", "none"])
def test_the_reader_gives_principal_components(tissue, transform):
    read = reader(tissue.counts, tissue.genes, transform=transform, n_components=20, normalise=True, random_state=0)
    expected = principal_components(
        sparse.csr_matrix(stabilise(tissue.counts, transform)[:, tissue.genes]), 20, random_state=0
    )
    np.testing.assert_allclose(read(tissue.counts), expected, atol=1e-4)
    np.testing.assert_allclose(read(tissue.counts[7:9]), expected[7:9], atol=1e-4)


def test_the_reader_of_the_published_recipe_scales_genes(tissue):
    read = reader(tissue.counts, tissue.genes, transform="log", n_components=0, normalise=True, random_state=0)
    counts = tissue.counts[:, tissue.genes]
    share = sparse.diags(1e4 / np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1)) @ counts
    expected = unit_variance(sparse.csr_matrix(share)).toarray()
    np.testing.assert_allclose(read(tissue.counts), expected, rtol=1e-3, atol=1e-4)


def test_genes_chosen_by_a_sample_are_those_chosen_by_all(tissue, large_above):
    index = morans_i(stabilise(tissue.counts, "log"), tissue.graph)
    best = set(np.argsort(-index)[:40])
    large_above(1100)
    found = select_genes(tissue.counts, tissue.graph, n_top_genes=40, transform="log")
    assert found.size == 40
    assert len(best & set(found)) >= 34


@pytest.mark.usefixtures("large")
def test_an_extract_is_a_smaller_tissue(tissue):
    small = extract(tissue, 0)
    n = small.counts.shape[0]
    assert n == small.graph.shape[0] == len(small.places) == len(small.semantics)
    assert abs(n - 600) < 20
    assert small.graph.nnz > 0.6 * tissue.graph.nnz / 2  # patches, not single spots
    where = [np.flatnonzero((tissue.places == place).all(axis=1))[0] for place in small.places]
    np.testing.assert_array_equal(small.counts.toarray(), tissue.counts[where].toarray())


@pytest.mark.usefixtures("large")
def test_the_number_of_domains_of_large_tissue(tissue, monkeypatch):
    from semst.partitions import _stability

    monkeypatch.setattr(_stability, "_MOST", 4)
    curve = stability(tissue, partition="mixture", random_state=0)
    np.testing.assert_array_equal(curve.n_clusters, [2, 3, 4])
    assert np.isfinite(curve.values).all()


def run(tissue, recipe):
    return train(
        tissue,
        recipe,
        likelihood="zinb",
        convolution="gcn",
        device=torch.device("cpu"),
        random_state=0,
        progress=False,
    )


@pytest.mark.usefixtures("large")
def test_steps_do_not_grow_with_the_tissue(tissue, monkeypatch):
    """A view of four tiles looks at one to start from, takes its steps, and reads every tile once."""
    asked = []
    prepare = TissueTiles.__getitem__
    monkeypatch.setattr(TissueTiles, "__getitem__", lambda self, i: asked.append(i) or prepare(self, i))
    trained = run(tissue, replace(DEFAULT, views=(View("log", 1),), plan=Plan(epochs=2)))
    assert asked == [0, 0, 1, 0, 0, 1, 2, 3]  # for its width and components; two steps; for the axes; all
    assert [values.shape for values in trained.latents] == [(1200, 20), (1200, 32)]
    assert trained.latent.shape == (1200, 32)
    assert trained.history["total"].shape == (2,)


@pytest.mark.usefixtures("large")
def test_training_that_diverges_on_large_tissue_is_an_error(tissue):
    threads = torch.get_num_threads()
    with pytest.raises(FloatingPointError, match="look for extreme values"):
        run(tissue, replace(DEFAULT, plan=Plan(epochs=2, learning_rate=1e38)))
    assert torch.get_num_threads() == threads

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from semst import _semantic_drift
from semst._semantic_drift import _averages, _nearest
from semst.metrics import semantic_drift

STEP = 2 * np.pi / 60


def chain(n, *, closed):
    """Each spot beside the next."""
    first = np.arange(n if closed else n - 1)
    edges = sparse.coo_matrix((np.ones(first.size), (first, (first + 1) % n)), shape=(n, n))
    return (edges + edges.T).tocsr()


def tissue(embeddings, graph):
    n = len(embeddings)
    adata = AnnData(np.ones((n, 1), dtype=np.float32), obsm={"spatial": np.c_[np.arange(n), np.zeros(n)]})
    adata.obs_names = [f"spot {number}" for number in range(n)]
    adata.obsm["gene_semantics"] = np.asarray(embeddings)
    adata.obsp["spatial_connectivities"] = graph
    return adata


@pytest.fixture
def circle():
    """Sixty embeddings on a circle, neighbours on it are neighbours in space."""
    angle = STEP * np.arange(60)
    return tissue(np.c_[np.cos(angle), np.sin(angle)], chain(60, closed=True))


@pytest.fixture
def cloud():
    rng = np.random.default_rng(0)
    n = 80
    graph = chain(n, closed=False) + sparse.random(n, n, 0.02, random_state=1, format="csr")
    graph = ((graph + graph.T) > 0).astype(float)
    graph.setdiag(0)
    return tissue(rng.normal(size=(n, 3)) @ rng.normal(size=(3, 6)) + 0.2 * rng.normal(size=(n, 6)), graph.tocsr())


def test_a_circle_by_hand(circle):
    # The neighbours in embedding are the two on either side; their mean lies inside, and so do averages over rings.
    # The subspace is the tangent, so what lies off it is the difference of the radii.
    centre = (np.cos(STEP) + np.cos(2 * STEP)) / 2
    spread = np.sqrt(1 - centre**2)
    radius = {0: 1, 1: (1 + 2 * np.cos(STEP)) / 3, 4: (1 + 2 * np.cos(STEP * np.arange(1, 5)).sum()) / 9}
    drift = semantic_drift(circle, rings=(0, 1, 4), n_neighbors=4, n_components=1)
    for rings, value in radius.items():
        np.testing.assert_allclose(drift[rings], abs(value - centre) / spread, rtol=1e-9)
    curve = drift.mean()
    assert curve[1] < curve[0] < curve[4]  # a little averaging comes nearer, much of it leaves the circle


def test_on_a_plane_nothing_leaves_it():
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(50, 2)) @ rng.normal(size=(2, 7)) + rng.normal(size=7)
    adata = tissue(plane, chain(50, closed=False))
    assert semantic_drift(adata, n_neighbors=10, n_components=2).to_numpy().max() < 1e-7
    assert semantic_drift(adata, n_neighbors=10, n_components=5).to_numpy().max() < 1e-7  # more than there are
    assert semantic_drift(adata, n_neighbors=10, n_components=1).to_numpy().min() > 0


def test_two_lines_in_one_tissue_by_hand():
    # Two straight lines of embeddings 10 apart; in space spots of the one alternate with spots of the other.
    # One ring takes a spot and one of the other line on each side: 2 / 3 of the way across.
    n = 12
    line = np.zeros((2 * n, 3))
    line[:, 0] = np.repeat(np.arange(n), 2)
    line[1::2, 1] = 10
    drift = semantic_drift(tissue(line, chain(2 * n, closed=True)), rings=[0, 1], n_neighbors=2, n_components=1)
    inner = slice(2, -2)  # neighbours in embedding on either side, one step away: a spread of 1
    np.testing.assert_allclose(drift[0], 0, atol=1e-9)
    np.testing.assert_allclose(drift[1].iloc[inner], 10 * 2 / 3, rtol=1e-9)


def naive(adata, rings, n_neighbors, n_components):
    """The definition, spot by spot."""
    embeddings, graph = adata.obsm["gene_semantics"], adata.obsp["spatial_connectivities"].toarray()
    step = (graph + np.eye(len(graph))) > 0
    reached = np.linalg.matrix_power(step.astype(float), rings) > 0
    found = []
    for spot, own in enumerate(embeddings):
        away = np.linalg.norm(embeddings - own, axis=1)
        away[spot] = np.inf
        around = embeddings[np.argsort(away)[:n_neighbors]]
        centre = around.mean(axis=0)
        components = np.linalg.svd(around - centre, full_matrices=False)[2][:n_components]
        moved = embeddings[reached[spot]].mean(axis=0) - centre
        outside = moved - components.T @ (components @ moved)
        spread = np.sqrt(((around - centre) ** 2).sum(axis=1).mean())
        found.append(np.linalg.norm(outside) / spread)
    return np.array(found)


@pytest.mark.parametrize(("n_neighbors", "n_components"), [(12, 3), (5, 4), (30, 1)])
def test_it_is_its_definition(cloud, n_neighbors, n_components):
    drift = semantic_drift(cloud, rings=(0, 1, 3), n_neighbors=n_neighbors, n_components=n_components)
    assert list(drift.index) == list(cloud.obs_names)
    assert drift.columns.name == "rings"
    for rings in (0, 1, 3):
        np.testing.assert_allclose(drift[rings], naive(cloud, rings, n_neighbors, n_components), rtol=1e-8)


def test_chunks_change_nothing(cloud, monkeypatch):
    whole = semantic_drift(cloud, n_neighbors=8, n_components=2)
    monkeypatch.setattr(_semantic_drift, "_NUMBERS_IN_MEMORY", 8 * 6 * 9)
    np.testing.assert_allclose(semantic_drift(cloud, n_neighbors=8, n_components=2), whole, rtol=1e-10)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000), st.sampled_from([1e-4, 1.0, 300.0]))
def test_neither_unit_nor_place_nor_orientation_nor_order_matter(seed, unit):
    rng = np.random.default_rng(seed)
    n = 40
    graph = chain(n, closed=True)
    embeddings = rng.normal(size=(n, 5))
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    order = rng.permutation(n)
    options = {"rings": (0, 1, 2), "n_neighbors": 9, "n_components": 2}
    plain = semantic_drift(tissue(embeddings, graph), **options).to_numpy()
    moved = tissue((unit * (embeddings @ turn + 3))[order], graph[order][:, order])
    np.testing.assert_allclose(semantic_drift(moved, **options), plain[order], rtol=1e-6, atol=1e-9)


def test_rings_are_steps_of_the_graph():
    graph = chain(9, closed=False)
    where = np.eye(9)
    averaged = dict(_averages(where, graph, 3))
    assert list(averaged) == [0, 1, 2, 3]
    np.testing.assert_allclose(averaged[2][4], [0, 0, 0.2, 0.2, 0.2, 0.2, 0.2, 0, 0])
    np.testing.assert_allclose(averaged[3][0], [0.25] * 4 + [0] * 5)


def test_where_all_neighbours_are_one_there_is_no_measure():
    embeddings = np.zeros((20, 3))
    embeddings[0] = [5, 0, 0]
    drift = semantic_drift(tissue(embeddings, chain(20, closed=False)), rings=1, n_neighbors=4, n_components=1)
    assert drift[1].isna().all()


def test_nearest_embeddings_are_never_the_spot_itself(monkeypatch):
    rng = np.random.default_rng(0)
    embeddings = np.repeat(rng.normal(size=(100, 8)), 2, axis=0)  # each twice
    exact = _nearest(embeddings, 5, random_state=0)
    monkeypatch.setattr(_semantic_drift, "_EXACT_UP_TO", 10)
    about, again = (_nearest(embeddings, 5, random_state=0) for _ in range(2))
    np.testing.assert_array_equal(about, again)
    for found in (exact, about):
        assert found.shape == (200, 5)
        assert not (found == np.arange(200)[:, None]).any()
    shared = np.mean([len(set(first) & set(second)) / 5 for first, second in zip(exact, about, strict=True)])
    assert shared > 0.8


def test_other_embeddings_one_number_and_no_graph():
    rng = np.random.default_rng(0)
    adata = AnnData(np.ones((70, 1), dtype=np.float32), obsm={"spatial": rng.random((70, 2))})
    adata.obsm["mine"] = rng.normal(size=(70, 20)).astype(np.float32)
    drift = semantic_drift(adata, key="mine", rings=1)
    assert drift.shape == (70, 1)
    assert list(adata.obsm) == ["spatial", "mine"]
    assert not adata.obsp
    assert not adata.uns


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rings": -1}, "rings must be whole numbers of at least 0"),
        ({"rings": (1, 1)}, "each once"),
        ({"rings": []}, "rings must be"),
        ({"rings": 1.5}, "rings must be"),
        ({"n_neighbors": 1}, "n_neighbors must be a whole number of at least 2, got 1"),
        ({"n_neighbors": 80}, r"below the number of spots \(80\), got 80"),
        ({"n_components": 0}, "n_components must be a whole number of at least 1, got 0"),
        ({"n_components": 6}, r"below n_neighbors \(50\) and the width of the embeddings \(6\), got 6"),
        ({"random_state": -1, "n_components": 3}, "random_state must be"),
    ],
)
def test_bad_options(cloud, options, message):
    with pytest.raises(ValueError, match=message):
        semantic_drift(cloud, **options)


def test_embeddings_may_be_sparse_or_a_frame(cloud):
    expected = semantic_drift(cloud, n_components=3)
    embeddings = cloud.obsm["gene_semantics"]
    for form in (sparse.csr_matrix(embeddings), pd.DataFrame(embeddings, index=cloud.obs_names)):
        cloud.obsm["other"] = form
        pd.testing.assert_frame_equal(semantic_drift(cloud, key="other", n_components=3), expected)


def test_bad_input(cloud):
    with pytest.raises(KeyError, match=r"no embeddings: obsm\['other'\] is missing.*semst.pp.gene_semantics\(adata\)"):
        semantic_drift(cloud, key="other", n_components=3)
    cloud.obsm["gene_semantics"][3, 2] = np.nan
    with pytest.raises(ValueError, match="must be a finite matrix"):
        semantic_drift(cloud, n_components=3)
    with pytest.raises(TypeError, match="expected AnnData or SpatialData"):
        semantic_drift(np.ones((3, 3)))


def test_spatialdata_gives_the_same(as_spatialdata):
    rng = np.random.default_rng(0)
    adata = AnnData(np.ones((60, 2), dtype=np.float32), obsm={"spatial": rng.random((60, 2)) * 100})
    adata.obsm["gene_semantics"] = rng.normal(size=(60, 5))
    options = {"rings": (1, 2), "n_neighbors": 10, "n_components": 2}
    np.testing.assert_allclose(
        semantic_drift(as_spatialdata(adata), **options), semantic_drift(adata, **options), rtol=1e-9
    )


def test_averaging_takes_noise_away_on_real_tissue(real_file):
    import anndata as ad

    import semst

    adata = ad.read_h5ad(real_file("starmap_mvc"))
    semst.pp.gene_semantics(adata)
    curve = semantic_drift(adata).mean()
    assert list(curve.index) == [0, 1, 2, 4]
    assert (curve.diff().dropna() < 0).all()
    assert curve[1] < 0.6 * curve[0]


def test_rings_stay_within_slices():
    """Two slices at the same places, with embeddings of their own: each keeps to its line while it is averaged."""
    n = 20
    lines = np.zeros((2 * n, 3))
    lines[:, 0] = np.tile(np.arange(n), 2)
    lines[n:, 1] = 10
    adata = AnnData(np.ones((2 * n, 1), dtype=np.float32))
    adata.obsm["spatial"] = np.tile(np.c_[np.arange(n), np.zeros(n)], (2, 1))
    adata.obsm["gene_semantics"] = lines
    adata.obs["slice"] = np.repeat(["a", "b"], n)
    options = {"rings": [1, 2], "n_neighbors": 4, "n_components": 1}
    assert semantic_drift(adata, batch_key="slice", **options).to_numpy().max() < 1e-7
    assert semantic_drift(adata, **options).to_numpy().mean() > 1
    with pytest.raises(KeyError, match="which `batch_key` names"):
        semantic_drift(adata, batch_key="sample", **options)
    adata.obsp["spatial_connectivities"] = chain(2 * n, closed=True)
    with pytest.raises(ValueError, match="4 edges between slices"):
        semantic_drift(adata, batch_key="slice", **options)


def test_a_graph_without_edges_averages_nothing_and_is_refused(circle):
    circle.obsp["spatial_connectivities"] = sparse.csr_matrix((60, 60))
    circle.obs["slice"] = np.repeat(["a", "b"], 30)
    for key in (None, "slice"):
        with pytest.raises(ValueError, match="no edges between spots"):
            semantic_drift(circle, rings=[0, 2], n_neighbors=4, n_components=1, batch_key=key)


def test_equal_neighbours_that_round_otherwise_have_no_measure():
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(60, 3))
    embeddings[:30] = [0.1, 0.7, 0.3]
    drift = semantic_drift(tissue(embeddings, chain(60, closed=False)), rings=1, n_neighbors=10, n_components=2)
    assert drift[1][:30].isna().all()
    assert drift[1].max() < 100

"""Several slices in one run: nothing crosses between them but what a domain is."""

from __future__ import annotations

from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

import semst
from semst._slices import WithinSlices, centred, side_by_side, slice_means
from semst.clustering._modulation import Smoother, influence
from semst.clustering._pooled import pooling_of
from semst.nn import Decoder
from semst.nn._adjacency import normalise
from semst.partitions._judges import explained
from semst.partitions._stability import stability
from semst.pp._expression import morans_i, principal_components
from semst.pp._graphs import spatial_graph
from semst.training import _tissue_tiles
from semst.training._large_features import LargeFeatures
from semst.training._modulated import Modulated
from semst.training._recipe import DEFAULT, View
from semst.training._sections import Tissue, features, rings, section
from semst.training._tissue_tiles import TissueTiles, dealt

K = 4
QUICK = {"n_clusters": K, "epochs": 5, "semantics_key": None, "progress": False}


def two_slices(*, effect, platform="visium", n_spots=400):
    """Two simulated slices; with the effect the second has half the depth and a factor of its own for each gene."""
    rng = np.random.default_rng(5)
    tables = {}
    for number, name in enumerate(("left", "right")):
        table = semst.datasets.simulated(
            n_spots=n_spots, n_genes=200, n_domains=K, platform=platform, random_state=number, progress=False
        )
        if effect and number == 1:
            kept = rng.beta(1.5, 1.5, size=table.n_vars)  # half of the molecules in the mean, by gene
            counts = sparse.csr_matrix(table.X)
            counts.data = rng.binomial(counts.data.astype(int), kept[counts.indices]).astype(np.float32)
            counts.eliminate_zeros()
            table.X = counts
            table = table[np.asarray(counts.sum(axis=1)).ravel() > 0].copy()
        tables[name] = table
    return ad.concat(tables, label="slice", index_unique="-", merge="same")


@pytest.fixture(scope="module")
def pair():
    return two_slices(effect=True)


@pytest.fixture(scope="module")
def slices(pair):
    return (pair.obs["slice"] == "right").to_numpy().astype(np.int64)


def ari_by_slice(table, key="semst"):
    parts = table.obs.groupby("slice", observed=True)
    return [adjusted_rand_score(part["ground_truth"], part[key]) for _, part in parts]


def test_no_edge_crosses(pair, slices):
    """Both slices use the same positions of the array and the same coordinates."""
    graph = spatial_graph(pair, pair.obsm["spatial"], slices=slices).tocoo()
    assert (slices[graph.row] == slices[graph.col]).all()
    for number in (0, 1):
        spots = np.flatnonzero(slices == number)
        alone = spatial_graph(pair[spots], pair.obsm["spatial"][spots])
        np.testing.assert_array_equal(graph.tocsr()[spots][:, spots].toarray(), alone.toarray())
    assert np.bincount(graph.row).max() == 6  # hexagons, in each


def test_components_are_those_of_centred_values(pair, slices):
    values = sparse.csr_matrix(np.log1p(pair.X.toarray()), dtype=np.float32)
    dense = centred(values.toarray(), slices)
    expected = PCA(5, svd_solver="full").fit_transform(dense)
    found = principal_components(values, 5, random_state=0, slices=slices)
    for component in range(5):
        assert abs(np.corrcoef(found[:, component], expected[:, component])[0, 1]) > 0.999
    assert found[:, 0].std() == pytest.approx(1, rel=1e-4)
    np.testing.assert_allclose(slice_means(found, slices), 0, atol=1e-4)


@pytest.mark.parametrize("n_genes", [200, 60])  # by the sparse solver and by the dense one
def test_products_with_centred_values(pair, slices, n_genes):
    values = sparse.csr_matrix(pair.X[:, :n_genes], dtype=np.float64)
    within, dense = WithinSlices(values, slices), values.toarray() - slice_means(values, slices)[slices]
    right, left = np.random.default_rng(0).normal(size=(n_genes, 2)), np.ones((values.shape[0], 1))
    np.testing.assert_allclose(within.times(right), dense @ right)
    np.testing.assert_allclose(within.transposed_times(left), dense.T @ left, atol=1e-8)
    scores, axes = within.principal_axes(3, random_state=0)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-8)
    strengths = np.linalg.svd(dense, compute_uv=False)[:3]
    np.testing.assert_allclose(np.linalg.norm(scores, axis=0), strengths, rtol=1e-4)


def test_a_gene_that_only_tells_slices_apart_is_not_spatial(pair, slices):
    graph = spatial_graph(pair, pair.obsm["spatial"], slices=slices)
    noise = np.random.default_rng(0).normal(size=slices.size)
    values = sparse.csr_matrix(np.column_stack([5 + slices + 0.1 * noise, 5 + noise]))
    assert morans_i(values, graph)[0] > 0.9
    assert np.abs(morans_i(values, graph, slices=slices)).max() < 0.2


def test_explained_by_hand():
    """Two genes, two slices of different taste, two domains: what is explained is what domains do in both alike."""
    counts = sparse.csr_matrix(np.array([[900, 100], [800, 200], [300, 700], [200, 800]], dtype=np.float32))
    slices = np.array([0, 0, 1, 1])
    by_slice, by_domain, against = (np.array(each) for each in ([0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 0]))
    assert explained(by_slice, counts) > 0.1
    assert explained(by_slice, counts, slices) == pytest.approx(0, abs=1e-6)
    observed = np.array([[1200, 800], [1000, 1000]])
    expected = np.array([[0.85 + 0.25, 0.15 + 0.75]] * 2) * 1000
    by_hand = (observed * np.log(observed / expected)).sum() / 4000
    assert explained(by_domain, counts, slices) == pytest.approx(by_hand, rel=1e-2)
    assert explained(against, counts, slices) < 0.1 * explained(by_domain, counts, slices)


def test_one_slice_explains_what_a_tissue_does(pair):
    labels = pair.obs["ground_truth"].cat.codes.to_numpy().astype(np.int64)
    counts = sparse.csr_matrix(pair.X)
    one = np.zeros(pair.n_obs, dtype=np.int64)
    assert explained(labels, counts, one) == pytest.approx(explained(labels, counts), rel=1e-3)


def test_the_decoder_takes_a_share_for_each_spot():
    torch.manual_seed(0)
    decoder = Decoder(3, 5).eval()
    latent, observed, genes = torch.randn(4, 3), torch.ones(4, 5), torch.arange(5)
    library, share = torch.full((4,), 5.0), torch.rand(2, 5)
    together = decoder(latent, observed, library, share[torch.tensor([0, 0, 1, 1])], genes)
    apart = [decoder(latent[i : i + 2], observed[:2], library[:2], share[i // 2], genes) for i in (0, 2)]
    torch.testing.assert_close(together, torch.stack(apart).mean())


def test_a_planted_batch_effect_is_taken_out(pair):
    """Separate runs and the joint one find the same; without the key the slices are what is found."""
    alone = [semst.tl.cluster(pair[pair.obs["slice"] == name].copy(), copy=True, **QUICK) for name in ("left", "right")]
    separate = np.mean([adjusted_rand_score(each.obs["ground_truth"], each.obs["semst"]) for each in alone])
    joint = semst.tl.cluster(pair, batch_key="slice", copy=True, **QUICK)
    assert joint.uns["semst"]["params"]["batch_key"] == "slice"
    assert np.mean(ari_by_slice(joint)) > separate - 0.05
    # Under one set of names: a domain is the same layer in both.
    assert adjusted_rand_score(joint.obs["ground_truth"], joint.obs["semst"]) > separate - 0.05
    assert adjusted_rand_score(joint.obs["slice"], joint.obs["semst"]) < 0.05
    pooled = pair.copy()
    pooled.obsm["spatial"] = pooled.obsm["spatial"] + 1e6 * (pooled.obs["slice"] == "right").to_numpy()[:, None]
    semst.tl.cluster(pooled, **QUICK)
    assert adjusted_rand_score(pooled.obs["slice"], pooled.obs["semst"]) > 0.3


def test_names_of_slices_do_not_matter(pair):
    first = semst.tl.cluster(pair, batch_key="slice", copy=True, **QUICK)
    named = pair.copy()
    named.obs["sample"] = named.obs["slice"].map({"left": 9, "right": 1}).astype(int)
    semst.tl.cluster(named, batch_key="sample", **QUICK)
    assert first.obsm["X_semst"].tobytes() == named.obsm["X_semst"].tobytes()
    assert list(first.obs["semst"]) == list(named.obs["semst"])
    turned = pair[np.argsort(pair.obs["slice"] == "left", kind="stable")].copy()
    semst.tl.cluster(turned, batch_key="slice", **QUICK)
    assert adjusted_rand_score(turned.obs["semst"], first.obs["semst"][turned.obs_names]) > 0.8


def test_places_of_a_slice_do_not_matter(pair):
    """Each slice has coordinates of its own, in a unit of its own."""
    moved = pair.copy()
    right = (moved.obs["slice"] == "right").to_numpy()
    moved.obsm["spatial"][right] = moved.obsm["spatial"][right] * 0.01 - 7
    first, second = (semst.tl.cluster(each, batch_key="slice", copy=True, **QUICK) for each in (pair, moved))
    assert first.obsm["X_semst"].tobytes() == second.obsm["X_semst"].tobytes()


def test_one_slice_is_a_plain_run(pair):
    one = pair[pair.obs["slice"] == "left"].copy()
    plain = semst.tl.cluster(one, copy=True, **QUICK)
    keyed = semst.tl.cluster(one, batch_key="slice", copy=True, **QUICK)
    assert plain.obsm["X_semst"].tobytes() == keyed.obsm["X_semst"].tobytes()
    assert list(plain.obs["semst"]) == list(keyed.obs["semst"])


@pytest.mark.parametrize(
    "options", [{"preset": "published", "epochs": 10}, {"likelihood": "gaussian"}, {"likelihood": "nb", "refine": True}]
)
def test_other_choices(pair, options):
    table = pair.copy()
    if options.get("likelihood") == "gaussian":
        table.X = np.log1p(table.X)
    semst.tl.cluster(table, batch_key="slice", **{**QUICK, **options})
    assert table.obs["semst"].nunique() == K
    assert adjusted_rand_score(table.obs["slice"], table.obs["semst"]) < 0.15


def test_what_meaning_did_is_told_within_slices(pair, slices):
    table = pair.copy()
    semst.pp.gene_semantics(table, progress=False)
    semst.tl.cluster(table, batch_key="slice", **{**QUICK, "semantics_key": "gene_semantics"})
    told = table.uns["semst"]["modulation"]
    assert told["genes"].shape == (K, 20)
    assert np.isfinite(told["influence"]).all()
    tissue = _tissue(table, slices)
    # The way from semantics to what networks read, and its unit, are those of a section.
    read = section(
        tissue, View("log", 1), np.zeros((table.n_obs, 50), np.float32), DEFAULT, likelihood="zinb"
    ).semantics.numpy()
    smoother = Smoother.of(tissue, 1)
    by_hand = centred(smoother.matrix @ centred(tissue.semantics, slices), slices) / smoother.unit
    np.testing.assert_allclose(read, by_hand, rtol=1e-3, atol=1e-4)


def test_influence_is_the_gradient_through_centring_within_slices(pair, slices):
    """Against torch's own derivative, for a modulation whose square is that of one direction of the semantics."""
    table = pair.copy()
    semst.pp.gene_semantics(table, progress=False)
    tissue = _tissue(table, slices)
    found = pooling_of(table, tissue.counts, tissue.semantics, key="gene_semantics", layer=None, fresh=None)
    direction = torch.randn(tissue.semantics.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    smoothers = {n_rings: Smoother.of(tissue, n_rings) for n_rings in (1, 2)}
    labels = pair.obs["ground_truth"].cat.codes.to_numpy().astype(np.int64)
    members = torch.from_numpy(np.eye(2)[slices])
    vectors = torch.from_numpy(found.vectors.astype(np.float64)).requires_grad_()
    semantics = torch.from_numpy(found.shares(np.arange(labels.size)).toarray().astype(np.float64)) @ vectors

    def within(values):
        return values - members @ ((members.T @ values) / members.sum(dim=0)[:, None])

    squared, gradients = torch.zeros(labels.size, dtype=torch.float64), {}
    for n_rings, smoother in smoothers.items():
        read = within(torch.from_numpy(smoother.matrix.toarray().astype(np.float64)) @ within(semantics))
        along = read / smoother.unit @ direction
        squared = squared + along.square()
        gradients[n_rings] = (2 * along[:, None] * direction).detach().numpy().astype(np.float32)
    size = squared.detach().sqrt().numpy().astype(np.float32)
    told = influence(Modulated(size, size, size, 0.0, 0.0, gradients), labels, tissue, found)
    for domain in range(K):
        total = squared[torch.from_numpy(labels == domain)].sum()
        (slope,) = torch.autograd.grad(total, vectors, retain_graph=True)
        expected = ((slope * vectors).sum(dim=1) / total).detach().numpy()
        np.testing.assert_allclose(told[domain], expected, atol=1e-3 * np.abs(expected).max())


def test_the_number_of_domains_of_several_slices(pair, slices, monkeypatch):
    from semst.partitions import _stability

    monkeypatch.setattr(_stability, "_MOST", 5)
    monkeypatch.setattr(_stability, "_SPLITS", 1)
    curve = stability(_tissue(pair, slices), partition="mixture", random_state=0)
    np.testing.assert_array_equal(curve.n_clusters, [2, 3, 4, 5])
    assert curve.values.max() > 0.3


def test_all_that_is_wrong_is_said_at_once(pair):
    with pytest.raises(KeyError, match=r"no obs\['donor'\], which `batch_key` names"):
        semst.tl.cluster(pair, batch_key="donor", **QUICK)
    wrong = pair.copy()
    wrong.obs["slice"] = wrong.obs["slice"].astype(object)
    wrong.obs.loc[wrong.obs_names[:3], "slice"] = np.nan
    with pytest.raises(ValueError, match=r"(?s)n_clusters must be.*3 spots have no slice in obs\['slice'\]"):
        semst.tl.cluster(wrong, batch_key="slice", **{**QUICK, "n_clusters": 1})
    wrong.obs["slice"] = pd.Categorical(["a"] * 5 + ["b"] * (wrong.n_obs - 5))
    with pytest.raises(ValueError, match=r"1 of 2 slices .* fewer than 10 spots \(.*a: 5"):
        semst.tl.cluster(wrong, batch_key="slice", **QUICK)
    wrong = pair.copy()
    wrong.obsp["spatial_connectivities"] = spatial_graph(pair[:, :1], pair.obsm["spatial"])
    with pytest.raises(ValueError, match=r"edges between slices; .*`library_key`"):
        semst.tl.cluster(wrong, batch_key="slice", **QUICK)
    assert "semst" not in wrong.obs


def test_a_graph_of_squidpy_is_used(pair, slices):
    given = pair.copy()
    graph = spatial_graph(pair, pair.obsm["spatial"], slices=slices)
    given.obsp["spatial_connectivities"] = graph
    ours, theirs = (semst.tl.cluster(each, batch_key="slice", copy=True, **QUICK) for each in (pair, given))
    assert ours.obsm["X_semst"].tobytes() == theirs.obsm["X_semst"].tobytes()


def test_regions_of_spatialdata_are_slices(as_spatialdata):
    cells = two_slices(effect=False, platform="cells", n_spots=200)
    sdata = as_spatialdata(cells)
    semst.tl.cluster(sdata, batch_key="slice", **QUICK)
    found = sdata.tables["table"].obs["semst"]
    semst.tl.cluster(cells, batch_key="slice", **QUICK)
    assert list(found) == list(cells.obs["semst"])


HOW = {"likelihood": "zinb", "random_state": 0}


def _tissue(table, slices):
    graph = spatial_graph(table, table.obsm["spatial"], slices=slices)
    counts = sparse.csr_matrix(table.X, dtype=np.float32)
    semantics = np.asarray(table.obsm["gene_semantics"]) if "gene_semantics" in table.obsm else None
    places = side_by_side(table.obsm["spatial"], slices)
    return Tissue(counts, graph, semantics, np.arange(150), places, slices)


def test_slices_lie_side_by_side(pair, slices):
    places = side_by_side(pair.obsm["spatial"], slices)
    left, right = places[slices == 0], places[slices == 1]
    assert left[:, 0].max() <= right[:, 0].min()
    # Shapes stay.
    own = pair.obsm["spatial"][slices == 1]
    assert np.ptp(right, axis=0)[0] / np.ptp(right, axis=0)[1] == pytest.approx(np.ptp(own, 0)[0] / np.ptp(own, 0)[1])


@pytest.fixture
def large(large_above):
    large_above(400, tile=200)


@pytest.mark.parametrize("likelihood", ["zinb", "gaussian"])
def test_one_tile_of_several_slices_is_their_section(pair, slices, likelihood):
    table = pair.copy()
    semst.pp.gene_semantics(table, progress=False)
    tissue, how = _tissue(table, slices), {**HOW, "likelihood": likelihood}
    view = View("sqrt", 1)
    read = features(tissue, view.transform, DEFAULT, **how)
    expected = section(tissue, view, read, DEFAULT, likelihood=likelihood)
    tiles = TissueTiles(
        tissue,
        LargeFeatures(tissue, view.transform, DEFAULT, **how),
        DEFAULT,
        tiles=dealt(tissue, 0),
        adjacency=normalise(rings(tissue.graph, 1)),
        convolution="gcn",
        **how,
    )
    (found,) = tiles
    torch.testing.assert_close(found.features, expected.features, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.semantics, expected.semantics, rtol=1e-3, atol=1e-3)
    assert torch.equal(found.slices, expected.slices)
    told = expected.share() if likelihood == "zinb" else expected.averages()
    assert told.shape == (2, 150)
    torch.testing.assert_close(tiles.share(), told)


@pytest.mark.usefixtures("large")
def test_many_slices_that_are_large(pair):
    found = semst.tl.cluster(pair, batch_key="slice", copy=True, **{**QUICK, "epochs": 10})
    assert np.isfinite(found.obsm["X_semst"]).all()
    assert adjusted_rand_score(found.obs["slice"], found.obs["semst"]) < 0.1
    whole = np.mean(ari_by_slice(found))
    assert whole > 0.4
    assert adjusted_rand_score(found.obs["ground_truth"], found.obs["semst"]) > 0.4


@pytest.mark.usefixtures("large")
def test_an_extract_of_large_slices_numbers_its_own(pair, slices):
    tissue = replace(_tissue(pair, slices))
    small = _tissue_tiles.extract(tissue, 0)
    assert set(small.slices) == {0, 1}
    assert small.slices.size == small.counts.shape[0]

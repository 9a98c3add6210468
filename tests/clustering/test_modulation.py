"""What FSM did: the gradient against taking genes out in earnest, and what is written where."""

from __future__ import annotations

from dataclasses import replace

import anndata as ad
import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.stats import spearmanr

import semst
from semst.clustering import _modulation
from semst.clustering._modulation import Smoother, influence
from semst.clustering._pooled import Pooled, pooling_of
from semst.nn import Plan
from semst.nn._modulation import Modulation
from semst.nn._processes import ALONE
from semst.pp._graphs import spatial_graph
from semst.pp._pool import Pooling, pool
from semst.training import _train_tiles, _train_whole, _workers
from semst.training._modulated import Collected, InTiles
from semst.training._recipe import DEFAULT, View
from semst.training._sections import Tissue, _smooth
from semst.training._train import train

RECIPE = replace(DEFAULT, views=(View("log", 1), View("sqrt", 2), View("log10k", 2)), plan=Plan(epochs=20))
FEW = {"epochs": 4, "progress": False}


@pytest.fixture(scope="module")
def table():
    adata = semst.datasets.simulated(n_spots=300, n_genes=200, n_domains=4, random_state=3, progress=False)
    adata.var_names = ["no such gene", *adata.var_names[1:]]
    semst.pp.gene_semantics(adata)
    return adata


@pytest.fixture(scope="module")
def tissue(table):
    graph = spatial_graph(table, table.obsm["spatial"])
    counts = sparse.csr_matrix(table.X, dtype=np.float32)
    return Tissue(counts, graph, table.obsm["gene_semantics"], np.arange(table.n_vars))


def run(tissue, recipe=RECIPE):
    options = {"likelihood": "zinb", "convolution": "gcn", "device": torch.device("cpu")}
    return train(tissue, recipe, random_state=0, progress=False, **options)


def test_tiles_are_put_together():
    first = Modulation(*torch.tensor([[1.0, 2], [3, 4], [5, 6]]), torch.tensor([[1.0], [2]]), 3.0, 1.0)
    second = Modulation(*torch.tensor([[7.0], [8], [9]]), torch.tensor([[3.0]]), 6.0, 4.0)
    tiles = InTiles(3, 1)
    tiles.add(np.array([0, 2]), first)
    tiles.add(np.array([1]), second)
    whole = tiles.whole(ALONE)
    assert whole.alpha.tolist() == [1, 7, 2]
    assert whole.beta.tolist() == [3, 8, 4]
    assert whole.size.tolist() == [5, 9, 6]
    assert whole.gradient.tolist() == [[1], [3], [2]]
    # Root mean squares over spots: (2 * 9 + 36) / 3 and (2 * 1 + 16) / 3.
    assert whole.constant_alpha == pytest.approx(18**0.5)
    assert whole.constant_beta == pytest.approx(6**0.5)


def test_large_tissue_is_told_what_small_is_told(table, large_above, monkeypatch):
    options = {"n_clusters": 4, "copy": True, "progress": False}
    whole = semst.tl.cluster(table, **options)
    large_above(200, tile=150)
    tiled = semst.tl.cluster(table, **options)
    for name in ("semst_alpha", "semst_beta"):
        assert spearmanr(whole.obs[name], tiled.obs[name]).statistic > 0.5
        assert tiled.obs[name].median() == pytest.approx(whole.obs[name].median(), rel=0.5)
    assert tiled.uns["semst"]["modulation"]["influence"].shape == (4, 20)

    monkeypatch.setattr(_train_tiles, "_MODULATED", 250)
    larger = semst.tl.cluster(table, epochs=1, **options)
    assert "semst_alpha" not in larger.obs
    assert "modulation" not in larger.uns["semst"]


class Watched:
    """A training whose networks were kept, so that a gene can be taken out in earnest."""

    def __init__(self, tissue):
        self.tissue, self.networks = tissue, []
        fit = _train_whole.fit

        def keep(network, section, plan, **options):
            fitted = fit(network, section, plan, **options)
            self.networks.append((network, section))
            return fitted

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_train_whole, "fit", keep)
            patch.setattr(_workers, "cores", lambda: 1)
            self.modulated = run(tissue).modulated
        self.parts = [self._unaltered(*each) for each in self.networks]

    @staticmethod
    @torch.no_grad()
    def _unaltered(network, section):
        encoding = network.encode(section)
        z = torch.cat([encoding.spatial_view, encoding.expression_view], dim=1)
        alpha, beta = network.fsm.coefficients(section.semantics)
        return z, alpha.mean(dim=0), beta.mean(dim=0), z.square().mean(dim=0).sum()

    def squared(self, semantics):
        """Squared modulation of each spot under other semantics, smoothed, centred and in the unit of the training."""
        total = 0
        first = torch.from_numpy(self.tissue.semantics)
        for (network, section), (z, mean_alpha, mean_beta, size) in zip(self.networks, self.parts, strict=True):

            def smooth(values, section=section):
                values = section.spatial @ (values - values.mean(dim=0))
                return values - values.mean(dim=0)

            alpha, beta = network.fsm.coefficients(smooth(semantics) / smooth(first).std(dim=0).mean())
            change = (alpha - mean_alpha) * z + beta - mean_beta
            total = total + change.square().sum(dim=1) / size / len(self.networks)
        return total


@pytest.fixture(scope="module")
def watched(tissue):
    return Watched(tissue)


@pytest.fixture(scope="module")
def pooled(table, tissue):
    return Pooled(tissue.counts, Pooling(table.varm["gene_semantics"]))


@pytest.fixture(scope="module")
def labels(table):
    return np.unique(table.obs["ground_truth"].astype(str), return_inverse=True)[1]


@pytest.fixture(scope="module")
def told(watched, labels, tissue, pooled):
    return influence(watched.modulated, labels, tissue, pooled)


def by_domain(squared, labels):
    return np.bincount(labels, np.asarray(squared))


@torch.no_grad()
def without(gene, watched, labels, tissue, pooled):
    """Share of each domain's squared modulation that goes with a gene: its vector zero, all the way again."""
    vectors = pooled.vectors.copy()
    vectors[gene] = 0
    semantics = pool(tissue.counts, vectors, pooled.pooling.known)
    before, after = (
        by_domain(watched.squared(torch.from_numpy(each)), labels) for each in (tissue.semantics, semantics)
    )
    return 1 - after / before


def test_sizes_are_those_of_the_trained_networks(watched, tissue):
    with torch.no_grad():
        again = watched.squared(torch.from_numpy(tissue.semantics))
    assert watched.modulated.size.min() > 0
    np.testing.assert_allclose(watched.modulated.size**2, again, rtol=1e-4)


def test_influence_is_what_taking_a_gene_out_does(watched, labels, tissue, pooled, told):
    strongest = np.argsort(-np.abs(told).max(axis=0))[:12]
    others = np.random.default_rng(0).choice(np.flatnonzero(pooled.pooling.known), 25, replace=False)
    genes = np.unique(np.concatenate([strongest, others]))
    true = np.array([without(gene, watched, labels, tissue, pooled) for gene in genes])
    guessed = told[:, genes].T
    assert np.abs(guessed).max() > 0.02  # else there would be nothing to compare
    for domain in range(guessed.shape[1]):
        assert spearmanr(guessed[:, domain], true[:, domain])[0] > 0.95
    small = (np.abs(true) > 1e-4) & (np.abs(true) < 0.02)
    assert small.sum() > 30
    assert np.median(np.abs(guessed - true)[small] / np.abs(true)[small]) < 0.1


def test_influence_is_the_gradient_through_every_step(watched, labels, tissue, pooled, told):
    """Against torch's own derivative of pooling, centring, smoothing and FSM, for all genes at once."""
    vectors = torch.from_numpy(pooled.vectors).requires_grad_()
    shares = torch.from_numpy(pooled.shares(np.arange(labels.size)).toarray())
    squared = watched.squared(shares @ vectors)
    for domain, found in enumerate(told):
        total = squared[torch.from_numpy(labels == domain)].sum()
        (slope,) = torch.autograd.grad(total, vectors, retain_graph=True)
        expected = ((slope * vectors).sum(dim=1) / total).detach()
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(found).max())


@pytest.mark.parametrize(("weights", "n_top"), [("lognorm", None), ("raw", None), ("lognorm", 15)])
def test_shares_are_those_that_pooling_takes(labels, pooled, weights, n_top):
    chosen = replace(pooled, pooling=replace(pooled.pooling, weights=weights, n_top=n_top))
    rows = np.arange(0, labels.size, 3)
    shares = chosen.shares(rows)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(shares @ chosen.vectors, chosen.again(rows), atol=1e-6)
    assert n_top is None or (np.diff(shares.indptr) <= n_top).all()


def test_chunks_change_nothing(watched, labels, tissue, pooled, told, monkeypatch):
    monkeypatch.setattr(_modulation, "_CHUNK", 37)
    np.testing.assert_allclose(influence(watched.modulated, labels, tissue, pooled), told, atol=1e-6)


def test_genes_without_a_vector_have_no_influence(pooled, told):
    assert not pooled.pooling.known[0]
    assert (told[:, ~pooled.pooling.known] == 0).all()
    assert (told[:, pooled.pooling.known] != 0).any(axis=0).mean() > 0.9


def test_nothing_modulated_is_no_influence(watched, labels, tissue, pooled):
    still = replace(watched.modulated, size=np.zeros_like(watched.modulated.size))
    assert (influence(still, labels, tissue, pooled) == 0).all()


@pytest.mark.parametrize("n_rings", [1, 2])
def test_the_smoother_is_that_of_the_sections(tissue, n_rings):
    smoother = Smoother.of(tissue, n_rings)
    smooth = smoother.matrix @ (tissue.semantics - tissue.semantics.mean(axis=0))
    adjacency = torch.from_numpy(smoother.matrix.toarray())
    expected = _smooth(torch.from_numpy(tissue.semantics), adjacency)
    np.testing.assert_allclose((smooth - smooth.mean(axis=0)) / smoother.unit, expected, atol=1e-5)


def test_networks_are_averaged_by_their_squares():
    collected = Collected()
    assert collected.mean() is None
    for rings, factor in ((1, 3.0), (2, 4.0), (2, 5.0)):
        ones = factor * torch.ones(2)
        collected.add(Modulation(ones, 2 * ones, ones, factor * torch.ones(2, 3), factor, 0.0), rings=rings)
    mean = collected.mean()
    root = np.sqrt(50 / 3)
    np.testing.assert_allclose(mean.alpha, [root, root], rtol=1e-6)
    np.testing.assert_allclose(mean.beta, [2 * root, 2 * root], rtol=1e-6)
    assert (mean.constant_alpha, mean.constant_beta) == (pytest.approx(root), 0.0)
    np.testing.assert_allclose(mean.gradients[1], np.full((2, 3), 1.0))
    np.testing.assert_allclose(mean.gradients[2], np.full((2, 3), 3.0))
    assert mean.alpha.dtype == mean.gradients[1].dtype == np.float32


def test_cores_change_no_byte(tissue, monkeypatch):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    recipe = replace(RECIPE, plan=Plan(epochs=3))
    results = []
    for cores in (1, 3):
        monkeypatch.setattr(_workers, "cores", lambda cores=cores: cores)
        results.append(run(tissue, recipe).modulated)
    torch.set_num_threads(threads)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0].alpha, other.alpha)
        np.testing.assert_array_equal(results[0].size, other.size)
        assert list(results[0].gradients) == list(other.gradients)
        for rings, gradient in results[0].gradients.items():
            np.testing.assert_array_equal(gradient, other.gradients[rings])


def test_looking_at_the_modulation_does_not_change_the_training(tissue, monkeypatch):
    recipe = replace(RECIPE, plan=Plan(epochs=3))
    monkeypatch.setattr(_workers, "cores", lambda: 1)
    first = run(tissue, recipe)
    monkeypatch.setattr(_train_whole, "_look", lambda train_one, *_: (train_one(), None))
    second = run(tissue, recipe)
    assert second.modulated is None
    assert first.latent.tobytes() == second.latent.tobytes()


@pytest.fixture(scope="module")
def clustered(table):
    return semst.tl.cluster(table, n_clusters=4, copy=True, **FEW)


def test_it_writes_what_it_says(clustered):
    stored = clustered.uns["semst"]["modulation"]
    assert list(stored["domains"]) == ["1", "2", "3", "4"]
    for name in ("alpha", "beta"):
        values = clustered.obs[f"semst_{name}"]
        assert values.dtype == np.float32
        assert values.min() > 0
        means = values.groupby(clustered.obs["semst"], observed=True).mean()
        np.testing.assert_allclose(stored[name], means, rtol=1e-5)
        assert stored["constant"][name] > 0
    assert stored["genes"].shape == stored["influence"].shape == stored["relative_share"].shape == (4, 20)
    assert set(stored["genes"].ravel()) <= set(clustered.var_names)
    assert (np.diff(np.abs(stored["influence"]), axis=1) <= 0).all()
    assert stored["influence"].dtype == stored["relative_share"].dtype == np.float32
    assert "why_no_genes" not in stored


def test_the_relative_share_is_that_of_the_pooling(clustered, pooled):
    stored = clustered.uns["semst"]["modulation"]
    shares = pooled.shares(np.arange(clustered.n_obs)).toarray()
    for row, domain in enumerate(stored["domains"]):
        inside = (clustered.obs["semst"] == domain).to_numpy()
        gene = clustered.var_names.get_loc(stored["genes"][row, 0])
        expected = shares[inside, gene].mean() / shares[:, gene].mean()
        assert stored["relative_share"][row, 0] == pytest.approx(expected, rel=1e-4)


def test_semantics_made_on_the_way_give_the_same(table, clustered):
    bare = table.copy()
    del bare.obsm["gene_semantics"], bare.varm["gene_semantics"], bare.uns["gene_semantics"]
    semst.tl.cluster(bare, n_clusters=4, **FEW)
    for name in ("genes", "influence"):
        np.testing.assert_array_equal(bare.uns["semst"]["modulation"][name], clustered.uns["semst"]["modulation"][name])


def test_without_semantics_nothing_is_written_and_nothing_old_stays(clustered):
    again = clustered.copy()
    semst.tl.cluster(again, n_clusters=4, key_added="other", **FEW)
    semst.tl.cluster(again, n_clusters=4, semantics_key=None, **FEW)
    assert "modulation" not in again.uns["semst"]
    assert not {"semst_alpha", "semst_beta"} & set(again.obs)
    assert {"other_alpha", "other_beta"} <= set(again.obs)
    assert "modulation" in again.uns["other"]


@pytest.mark.parametrize("options", [{"preset": "published"}, {"likelihood": "gaussian", "layer": "logged"}])
def test_other_recipes_tell_as_much(table, options):
    table = table.copy()
    table.layers["logged"] = table.X.log1p()
    result = semst.tl.cluster(table, n_clusters=4, copy=True, **options, **FEW)
    stored = result.uns["semst"]["modulation"]
    assert np.abs(stored["influence"]).max() > 0
    assert result.obs["semst_beta"].min() > 0


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_it_can_be_written_and_read(clustered, tmp_path, form):
    path = tmp_path / f"result.{form}"
    getattr(clustered, f"write_{form}")(path)
    back, stored = getattr(ad, f"read_{form}")(path), clustered.uns["semst"]["modulation"]
    for name in ("genes", "influence", "domains", "alpha"):
        np.testing.assert_array_equal(back.uns["semst"]["modulation"][name], stored[name])


def reason(table, *, layer=None):
    counts = sparse.csr_matrix(table.X, dtype=np.float32)
    semantics = np.asarray(table.obsm["gene_semantics"])
    return pooling_of(table, counts, semantics, key="gene_semantics", layer=layer, fresh=None)


def test_pooling_is_recognised_with_its_options(table):
    own = table.copy()
    own.layers["counts"], own.X = own.X.copy(), own.X * 0
    semst.pp.gene_semantics(own, layer="counts", weights="raw", n_top=12)
    found = reason(own)
    assert isinstance(found, Pooled)
    assert (found.pooling.weights, found.pooling.n_top) == ("raw", 12)
    assert found.counts.sum() == table.X.sum()
    del own.layers["counts"]
    assert "the counts that obsm['gene_semantics'] was made from are gone" in reason(own)


def test_vectors_of_genes_may_be_sparse(table):
    own = table.copy()
    own.varm["gene_semantics"] = sparse.csr_matrix(own.varm["gene_semantics"])
    found, expected = reason(own), reason(table)
    assert isinstance(found, Pooled)
    np.testing.assert_array_equal(found.vectors, expected.vectors)


def test_own_vectors_of_spots_tell_no_genes(table):
    own = table.copy()
    own.obsm["mine"] = np.random.default_rng(0).normal(size=(own.n_obs, 5)).astype(np.float32)
    semst.tl.cluster(own, n_clusters=4, semantics_key="mine", **FEW)
    stored = own.uns["semst"]["modulation"]
    assert "no record of how obsm['mine'] was made" in stored["why_no_genes"]
    assert not {"genes", "influence"} & set(stored)
    assert own.obs["semst_alpha"].min() > 0


def test_vectors_that_no_longer_belong_together_are_noticed(table):
    assert isinstance(reason(table), Pooled)
    filtered = table[:, ::2].copy()
    assert "no longer what varm['gene_semantics'] and the counts give" in reason(filtered)
    exchanged = table.copy()
    exchanged.obsm["gene_semantics"] = exchanged.obsm["gene_semantics"][::-1].copy()
    assert "no longer" in reason(exchanged)
    narrow = table.copy()
    narrow.varm["gene_semantics"] = narrow.varm["gene_semantics"][:, :7].copy()
    assert "no longer" in reason(narrow)
    forgotten = table.copy()
    forgotten.uns["gene_semantics"] = "lost"
    assert "no record of how obsm['gene_semantics'] was made" in reason(forgotten)
    otherwise = table.copy()
    otherwise.uns["gene_semantics"]["params"]["mode"] = "spots"
    assert "was not made from vectors of genes" in reason(otherwise)

"""Models of several slices: each slice is read relative to its own means, in training and ever after."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

import semst
from semst.model._genes import Overlap
from semst.model._kept import Meaning
from semst.model._latents import _semantics
from semst.model._profiles import _Expression
from semst.model._reading import Reading
from semst.nn._adjacency import normalise
from semst.pp._expression import principal_components, stabilise
from semst.pp._graphs import spatial_graph
from semst.training._recipe import DEFAULT
from semst.training._sections import Tissue, rings, section

K = 4
FEW = {"n_clusters": K, "epochs": 5, "batch_key": "slice", "progress": False}
NAMES = ("left", "middle")


def one_slice(number: int, **options) -> ad.AnnData:
    """Simulate a slice; of all but the first, each gene's molecules were caught in another part."""
    sizes = {"n_spots": 300, "n_genes": 200} | options
    table = semst.datasets.simulated(n_domains=K, random_state=number, progress=False, **sizes)
    if number:
        rng = np.random.default_rng(number)
        caught = rng.beta(1.5, 1.5, size=table.n_vars)
        counts = sparse.csr_matrix(table.X)
        counts.data = rng.binomial(counts.data.astype(int), caught[counts.indices]).astype(np.float32)
        counts.eliminate_zeros()
        table.X = counts
        table = table[np.asarray(counts.sum(axis=1)).ravel() > 0].copy()
    return table


def joined(**options) -> ad.AnnData:
    tables = {name: one_slice(number, **options) for number, name in enumerate(NAMES)}
    return ad.concat(tables, label="slice", index_unique="-", merge="same")


@pytest.fixture(scope="module")
def trained():
    table = joined()
    return table, semst.SemST.train(table, **FEW)


def same_label(first, second, *, key="semst") -> float:
    return float((first.obs[key].astype(str) == second.obs["semst"].astype(str)).mean())


# By hand


def everything(n_genes: int) -> Overlap:
    genes = np.arange(n_genes)
    return Overlap(genes, genes, genes, 1.0, 1.0, {})


VALUES = sparse.csr_matrix(np.array([[1, 4], [3, 4], [10, 0], [10, 6]], dtype=np.float32))
SLICES = np.array([0, 0, 1, 1])


def test_reading_by_hand():
    swap = np.array([[0, 2], [1, 0]], dtype=np.float32)  # the second gene, then twice the first
    reading = Reading("none", 0.0, np.ones(2), np.array([6.0, 3.5]), swap)
    relative = reading(VALUES, everything(2), recentre=True, slices=SLICES)
    np.testing.assert_array_equal(relative, [[0, -2], [0, 2], [-3, 0], [3, 0]])
    whole = reading(VALUES, everything(2), recentre=True)
    np.testing.assert_array_equal(whole, [[0.5, -10], [0.5, -6], [-3.5, 8], [2.5, 8]])
    # What is known of the training has no slices.
    np.testing.assert_array_equal(reading(VALUES, everything(2), recentre=False, slices=SLICES), whole)


@pytest.mark.parametrize(("within", "level"), [(True, [0, 0]), (False, [6, 3.5])])
def test_reading_of_genes_themselves_by_hand(within, level):
    """The published preset reads genes as they are, of several slices relative to the slice."""
    reading = Reading("none", 0.0, np.ones(2), np.array([6.0, 3.5]), None, within)
    relative = np.array([[-1, 0], [1, 0], [0, -3], [0, 3]])
    np.testing.assert_array_equal(reading(VALUES, everything(2), recentre=True, slices=SLICES), relative + level)
    first = Overlap(np.array([0]), np.array([0]), np.array([0]), 1.0, 1.0, {})
    lacking = reading(VALUES[:, :1], first, recentre=True, slices=SLICES)
    np.testing.assert_array_equal(lacking, relative * [1, 0] + level)


def test_expression_of_profiles_by_hand():
    reading = Reading("none", 0.0, np.ones(2), np.zeros(2), np.eye(2, dtype=np.float32))
    pairs = sparse.csr_matrix(np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], dtype=np.float32))
    tissue = Tissue(VALUES, pairs, None, np.arange(2), None, SLICES)
    # Both spots of a slice are all of its neighbourhood: relative to its own mean nothing is left.
    told = _Expression(reading, tissue, everything(2), recentre=True)
    np.testing.assert_allclose(told(np.array([3, 0])), 0, atol=1e-6)
    plain = _Expression(reading, tissue, everything(2), recentre=False)
    np.testing.assert_allclose(plain(np.array([3, 0])), [[10, 3], [2, 4]], rtol=1e-6)


@given(shift=st.lists(st.floats(-50, 50, width=32), min_size=6, max_size=6))
@settings(max_examples=25)
def test_what_is_added_to_a_gene_all_over_a_slice_is_not_read(shift):
    values = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    slices = np.repeat([0, 1], 6)
    moved = values + np.array(shift, dtype=np.float32).reshape(2, 3)[slices]
    reading = Reading("none", 0.0, np.ones(3), np.zeros(3), np.eye(3, dtype=np.float32)[:, :2])
    first, second = (
        reading(sparse.csr_matrix(each), everything(3), recentre=True, slices=slices) for each in (values, moved)
    )
    np.testing.assert_allclose(first, second, atol=1e-4)


# Fitted as in the training


@pytest.fixture(scope="module")
def tissue():
    table = joined()
    semst.pp.gene_semantics(table, progress=False)
    slices = (table.obs["slice"] == NAMES[1]).to_numpy().astype(np.int64)
    graph = spatial_graph(table, table.obsm["spatial"], slices=slices)
    counts = sparse.csr_matrix(table.X, dtype=np.float32)
    genes = np.arange(table.n_vars)
    return Tissue(counts, graph, table.obsm["gene_semantics"], genes, table.obsm["spatial"], slices)


@pytest.mark.parametrize("transform", ["log", "scaled"])
def test_what_is_read_of_the_training_is_what_networks_learned_from(tissue, transform):
    reading = Reading.fit(tissue, DEFAULT, transform, counts=True, random_state=0)
    found = reading(tissue.counts, everything(tissue.genes.size), recentre=True, slices=tissue.slices)
    stable = stabilise(tissue.counts, transform)
    expected = principal_components(stable, DEFAULT.n_components, random_state=0, slices=tissue.slices)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(reading.mean, stable.toarray().mean(axis=0), rtol=1e-4)


@pytest.mark.parametrize("number", [0, 1])  # one ring, two rings
def test_semantics_are_those_that_networks_learned_from(tissue, number):
    view = DEFAULT.views[number]
    meaning = Meaning.of(tissue, DEFAULT, {}, random_state=0)
    near = normalise(rings(tissue.graph, view.rings))
    found = _semantics(meaning, view.rings, near, tissue, recentre=True)
    read = np.zeros((tissue.counts.shape[0], 5), dtype=np.float32)
    expected = section(tissue, view, read, DEFAULT, likelihood="zinb").semantics
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)
    # Not centred by slice, they are centred over the training as a whole.
    np.testing.assert_allclose(_semantics(meaning, view.rings, near, tissue, recentre=False).mean(axis=0), 0, atol=1e-4)


# Models


def test_training_is_that_of_cluster(trained):
    table, model = trained
    again = semst.tl.cluster(joined(), copy=True, **FEW)
    assert again.obsm["X_semst"].tobytes() == table.obsm["X_semst"].tobytes()
    pd.testing.assert_series_equal(again.obs["semst"], table.obs["semst"])
    assert model.params["batch_key"] == "slice"
    assert repr(model).endswith("trained on 600 spots of 2 slices")


def test_its_latent_of_the_training_slices_is_that_of_the_training(trained):
    table, model = trained
    again = model.embed(table, batch_key="slice", key_added="again", copy=True)
    # Rounding swaps a neighbour of like expression here and there.
    assert np.isclose(again.obsm["X_again"], table.obsm["X_semst"], atol=1e-4).mean() > 0.99


@pytest.mark.parametrize(
    "options",
    [{}, {"semantics_key": None, "preset": "published", "epochs": 10}, {"likelihood": "gaussian"}],
    ids=["default", "published", "gaussian"],
)
def test_training_slices_get_their_labels_back(trained, options):
    """All at once, and one by one as any new slice would come; also from a model that was saved."""
    table, model = trained
    if options:
        table = joined()
        if options.get("likelihood") == "gaussian":
            table.X = sparse.csr_matrix(table.X.multiply(1e4 / table.X.sum(axis=1))).log1p()
        model = semst.SemST.train(table, **{**FEW, **options})
    together = semst.tl.transfer(model, table, batch_key="slice", key_added="again", copy=True)
    assert same_label(together, table, key="again") > 0.93
    for name in NAMES:
        alone = table[table.obs["slice"] == name].copy()
        found = semst.tl.transfer(model, alone, key_added="again", copy=True)
        assert same_label(found, alone, key="again") > 0.93
        assert (found.obs["again"] == together.obs.loc[found.obs_names, "again"]).mean() > 0.95


def test_a_new_slice_gets_the_domains_by_their_names(trained):
    """Its chemistry is unlike that of the slices of the training; the planted domains are the same layers."""
    table, model = trained
    new = one_slice(2)
    found = semst.tl.transfer(model, new, copy=True)
    name_of = table.obs.groupby("ground_truth", observed=True)["semst"].agg(lambda domain: domain.mode()[0])
    expected = new.obs["ground_truth"].map(name_of.to_dict()).astype(str)
    assert (found.obs["semst"].astype(str) == expected).mean() > 0.8
    # A model that has seen slices differ is surer of one that differs.
    of_one = semst.SemST.train(one_slice(0), n_clusters=K, epochs=5, progress=False)
    unsure = semst.tl.transfer(of_one, new, copy=True)
    assert found.obs["semst_confidence"].median() > 2 * unsure.obs["semst_confidence"].median()


def test_a_model_that_was_saved_is_the_same(trained, tmp_path):
    _, model = trained
    model.save(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["arrays.safetensors", "model.json"]
    other = semst.SemST.load(tmp_path / "model")
    assert repr(other) == repr(model)
    assert other.params == model.params
    new = one_slice(2)
    first, second = (semst.tl.transfer(each, new, copy=True) for each in (model, other))
    pd.testing.assert_frame_equal(first.obs, second.obs, check_exact=True)
    first, second = (each.embed(new, copy=True) for each in (model, other))
    assert first.obsm["X_semst"].tobytes() == second.obsm["X_semst"].tobytes()


def test_that_genes_were_read_within_slices_is_saved(tmp_path):
    """Of the published preset only this tells what the networks read."""
    table = joined()
    model = semst.SemST.train(table, **{**FEW, "preset": "published", "epochs": 3, "semantics_key": None})
    model.save(tmp_path / "model")
    again = semst.SemST.load(tmp_path / "model").embed(table, batch_key="slice", key_added="again", copy=True)
    np.testing.assert_allclose(again.obsm["X_again"], table.obsm["X_semst"], atol=1e-4)


def test_several_new_slices_are_labelled_as_one_by_one():
    """By a model of one slice as well, and under any name of the key."""
    model = semst.SemST.train(one_slice(0), n_clusters=K, epochs=5, semantics_key=None, progress=False)
    new = joined()
    new.obs["sample"] = new.obs.pop("slice")
    together = semst.tl.transfer(model, new, batch_key="sample", copy=True)
    assert together.uns["semst"]["params"]["batch_key"] == "sample"
    for name in NAMES:
        alone = semst.tl.transfer(model, new[new.obs["sample"] == name].copy(), copy=True)
        assert same_label(alone, together[alone.obs_names]) > 0.95
    assert adjusted_rand_score(together.obs["ground_truth"], together.obs["semst"]) > 0.6


def with_edges_across(table):
    n = table.n_obs
    table.obsp["spatial_connectivities"] = sparse.csr_matrix((np.ones(n), (np.arange(n), np.arange(n)[::-1])))
    return table


@pytest.mark.parametrize(
    ("spoil", "key", "error", "message"),
    [
        (lambda table: table, "donor", KeyError, r"no obs\['donor'\], which `batch_key` names"),
        (lambda table: table[:305], "slice", ValueError, "1 of 2 slices in .* has fewer than 10 spots"),
        (with_edges_across, "slice", ValueError, "edges between slices"),
    ],
    ids=["missing key", "small slice", "edges across"],
)
def test_slices_that_cannot_be_are_told_and_nothing_is_written(trained, spoil, key, error, message):
    table = spoil(joined()).copy()
    columns = list(table.obs)
    with pytest.raises(error, match=message):
        semst.tl.transfer(trained[1], table, batch_key=key)
    with pytest.raises(error, match=message):
        trained[1].embed(table, batch_key=key)
    assert list(table.obs) == columns
    assert set(table.obsm) == {"spatial"}


def test_a_model_of_large_slices_gives_latent_and_labels_back(large_above):
    large_above(600, tile=300)
    cells = joined(n_spots=600, platform="cells")
    model = semst.SemST.train(cells, **FEW)
    again = semst.tl.transfer(model, cells, batch_key="slice", key_added="again", copy=True)
    assert adjusted_rand_score(again.obs["semst"], again.obs["again"]) > 0.85
    embedded = model.embed(cells, batch_key="slice", key_added="again", copy=True)
    assert np.isclose(embedded.obsm["X_again"], cells.obsm["X_semst"], atol=1e-3).mean() > 0.99

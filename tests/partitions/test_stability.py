from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

import semst
from semst.partitions import _stability
from semst.partitions._partition import NoPartitionError
from semst.partitions._stability import Stability, _agreement, _split, stability
from semst.pp._graphs import spatial_graph
from semst.training._sections import Tissue

SIDE = 20


@pytest.fixture(scope="module")
def adata():
    """Four stripes, each with ten genes of its own."""
    domain = np.repeat(np.arange(SIDE) // 5, SIDE)
    rate = np.full((SIDE * SIDE, 60), 1.0)
    for name in range(4):
        rate[domain == name, 10 * name : 10 * name + 10] = 4.0
    counts = sparse.csr_matrix(np.random.default_rng(0).poisson(rate).astype(np.float32))
    places = np.stack(np.divmod(np.arange(SIDE * SIDE), SIDE), axis=1).astype(float)
    return AnnData(counts, obsm={"spatial": places})


@pytest.fixture(scope="module")
def tissue(adata):
    return Tissue(adata.X, spatial_graph(adata, adata.obsm["spatial"]), None, np.arange(adata.n_vars))


def test_the_planted_number_is_found(tissue):
    curve = stability(tissue, partition="mixture", random_state=0)
    assert curve.best == 4
    np.testing.assert_array_equal(curve.n_clusters, np.arange(2, 16))
    assert curve.values.shape == (14, 3)
    assert np.isfinite(curve.values).all()
    assert curve.values.max() <= 1


def test_the_same_seed_gives_the_same_curve(tissue):
    few = Tissue(tissue.counts[:80], tissue.graph[:80, :80], None, tissue.genes)
    first, second = (stability(few, partition="kmeans", random_state=1).values for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (7, 3)  # a domain for each ten spots at the most


def test_every_molecule_falls_into_one_half(tissue):
    one, two = _split(tissue, np.random.default_rng(0))
    assert (one.counts + two.counts != tissue.counts).nnz == 0
    assert min(one.counts.data.min(), two.counts.data.min()) >= 1  # nothing stored that is zero
    assert one.counts.sum() == pytest.approx(tissue.counts.sum() / 2, rel=0.02)


def test_agreement_is_between_the_two_lists_alone():
    a, b = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 2, 0, 1, 2])
    assert _agreement([a, a], [a]) == pytest.approx(1)
    assert _agreement([a], [b, b]) == _agreement([b], [a]) == pytest.approx(adjusted_rand_score(a, b))


def test_a_number_that_no_cut_gives_agrees_with_nothing(tissue, monkeypatch):
    few = Tissue(tissue.counts[:60], tissue.graph[:60, :60], None, tissue.genes)
    plain = stability(few, partition="kmeans", random_state=1).values
    cut = _stability.members

    def fails(latents, recipe, n_clusters, *, random_state):
        if n_clusters == 4:
            message = "no resolution"
            raise NoPartitionError(message)
        return cut(latents, recipe, n_clusters, random_state=random_state)

    monkeypatch.setattr(_stability, "members", fails)
    curve = stability(few, partition="kmeans", random_state=1)
    assert (curve.values[2] == 0).all()  # of 4, beside which 3 and 5 agree with it no more
    assert (curve.values[[1, 3]] < plain[[1, 3]]).all()
    np.testing.assert_array_equal(curve.values[0], plain[0])


def test_the_smallest_of_tied_numbers_is_taken():
    assert Stability(np.array([2, 3, 4]), np.array([[0.1, 0.1], [0.5, 0.7], [0.6, 0.6]])).best == 3


def test_cluster_takes_the_most_stable_number(adata):
    semst.tl.cluster(adata, epochs=4, semantics_key=None, progress=False)
    facts = adata.uns["semst"]
    assert facts["n_clusters"] == 4
    assert adata.obs["semst"].nunique() == 4
    assert "n_clusters" not in facts["params"]
    assert set(facts["stability"]) == {"n_clusters", "values"}
    chosen = semst.tl.cluster(adata, n_clusters=4, epochs=4, semantics_key=None, progress=False, copy=True)
    assert (chosen.obs["semst"] == adata.obs["semst"]).all()
    assert "stability" not in chosen.uns["semst"]


def test_a_number_is_needed_where_there_are_no_counts_to_split(adata):
    with pytest.raises(ValueError, match="n_clusters is needed with likelihood='gaussian'"):
        semst.tl.cluster(adata, likelihood="gaussian", progress=False)

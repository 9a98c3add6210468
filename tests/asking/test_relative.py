"""Expression as queries read it, against the same written out with dense arrays and loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from semst.asking import _relative as relative
from semst.asking._relative import like_expression, permuted, relative_expression
from semst.pp._expression import moments


def counts_of(n=30, g=12, *, seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.gamma(2.0, 1.5, size=g), size=(n, g)).astype(np.float32)
    counts[:, 0] += 1  # no spot is empty
    return counts


def path(n):
    """Each spot beside the next."""
    return sparse.csr_matrix(np.eye(n, k=1, dtype=np.float32) + np.eye(n, k=-1, dtype=np.float32))


def by_hand(counts, bins, neighbours):
    """Standardise, average over a spot and its neighbours, subtract the mean of genes of like expression."""
    logged = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float64)
    used = np.concatenate(bins)
    z = np.zeros_like(logged)
    z[:, used] = (logged[:, used] - logged[:, used].mean(axis=0)) / logged[:, used].std(axis=0)
    smooth = np.stack([z[[spot, *neighbours[spot]]].mean(axis=0) for spot in range(len(z))])
    found = np.zeros_like(z)
    for genes in bins:
        found[:, genes] = smooth[:, genes] - smooth[:, genes].mean(axis=1, keepdims=True)
    return found - found.mean(axis=0)


def dense(expression):
    return expression.scores @ expression.loadings


def along_a_path(n):
    return [[other for other in (spot - 1, spot + 1) if 0 <= other < n] for spot in range(n)]


# The whole


@pytest.mark.parametrize(("n", "g", "n_bins"), [(30, 12, 1), (25, 45, 2)])
@pytest.mark.parametrize("smooth", [True, False])
def test_worked_out_by_hand(n, g, n_bins, smooth):
    counts = counts_of(n, g)
    found = relative_expression(sparse.csr_matrix(counts), path(n) if smooth else None, random_state=0)
    assert len(found.bins) == n_bins
    neighbours = along_a_path(n) if smooth else [[]] * n
    expected = by_hand(counts, found.bins, neighbours)
    # As many components as there can be, but for the faintest, which single precision loses.
    assert np.linalg.norm(dense(found) - expected) < 0.01 * np.linalg.norm(expected)
    assert found.scores.dtype == found.loadings.dtype == np.float32


def test_components_are_orthonormal_and_centred():
    counts = counts_of(200, 90)
    found = relative_expression(sparse.csr_matrix(counts), path(200), random_state=0)
    assert found.loadings.shape == (30, 90)
    np.testing.assert_allclose(found.loadings @ found.loadings.T, np.eye(30), atol=1e-5)
    np.testing.assert_allclose(found.scores.mean(axis=0), 0, atol=1e-5)
    for genes in found.bins:
        np.testing.assert_allclose(found.loadings[:, genes].sum(axis=1), 0, atol=1e-4)
    expected = np.cov(found.scores.T.astype(float), bias=True)
    np.testing.assert_allclose(found.covariance(), expected, atol=1e-5)
    # Thirty components leave out the least of what there is.
    whole = by_hand(counts, found.bins, along_a_path(200))
    best = np.linalg.svd(whole, compute_uv=False)
    assert np.square(whole - dense(found)).sum() < 1.1 * np.square(best[30:]).sum()


def test_a_spot_alone_keeps_its_own_expression():
    counts = counts_of(20, 10)
    graph = path(20).tolil()
    graph[4, :] = graph[:, 4] = 0
    found = relative_expression(sparse.csr_matrix(counts), sparse.csr_matrix(graph), random_state=0)
    neighbours = [[other for other in around if other != 4] for around in along_a_path(20)]
    neighbours[4] = []
    np.testing.assert_allclose(dense(found), by_hand(counts, found.bins, neighbours), atol=2e-3)


def test_genes_that_do_not_vary_carry_nothing():
    counts = counts_of(60, 12)
    counts[:, [2, 5, 7]] = 0
    found = relative_expression(sparse.csr_matrix(counts), None, random_state=0)
    assert sorted(found.used) == [0, 1, 3, 4, 6, 8, 9, 10, 11]
    assert not found.loadings[:, [2, 5, 7]].any()
    assert found.loadings[:, found.used].any(axis=0).all()


def test_tissue_in_which_nothing_varies():
    with pytest.raises(ValueError, match="no gene varies"):
        relative_expression(sparse.csr_matrix((5, 4), dtype=np.float32), None, random_state=0)


def test_components_learnt_from_some_spots_hold_for_all(monkeypatch):
    """Above 4000 spots nothing dense is made of the rest; ten genes have no more than nine components."""
    counts = counts_of(120, 10)
    arguments = (sparse.csr_matrix(counts), path(120))
    whole = relative_expression(*arguments, random_state=0)
    monkeypatch.setattr(relative, "_SPOTS", 50)
    sampled = relative_expression(*arguments, random_state=0)
    assert not np.allclose(np.abs(sampled.loadings), np.abs(whole.loadings), atol=1e-3)
    np.testing.assert_allclose(dense(sampled), dense(whole), atol=5e-4)
    again = relative_expression(*arguments, random_state=0)
    np.testing.assert_array_equal(sampled.scores, again.scores)


def test_moments():
    counts = counts_of()
    mean, deviation = moments(sparse.csr_matrix(counts))
    np.testing.assert_allclose(mean, counts.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(deviation, counts.std(axis=0), rtol=1e-4)
    assert moments(sparse.csr_matrix(np.full((7, 2), 3.0, dtype=np.float32)))[1].tolist() == [0, 0]


# What must not matter


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_depth_does_not_matter(seed):
    counts = counts_of(seed=seed)
    depth = np.random.default_rng(seed).integers(1, 9, size=(len(counts), 1)).astype(np.float32)
    one, other = (
        relative_expression(sparse.csr_matrix(each), path(len(counts)), random_state=0)
        for each in (counts, counts * depth)
    )
    np.testing.assert_allclose(dense(one), dense(other), atol=1e-3)


def test_twice_the_counts_give_the_same_bytes():
    counts = counts_of()
    one, other = (
        relative_expression(sparse.csr_matrix(each), path(len(counts)), random_state=0) for each in (counts, counts * 2)
    )
    np.testing.assert_array_equal(one.scores, other.scores)


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_order_of_spots_and_genes_does_not_matter(seed):
    counts = counts_of(seed=seed)
    rng = np.random.default_rng(seed)
    spots, genes = rng.permutation(counts.shape[0]), rng.permutation(counts.shape[1])
    graph = path(len(counts))
    one = relative_expression(sparse.csr_matrix(counts), graph, random_state=0)
    moved = sparse.csr_matrix(counts[spots][:, genes])
    other = relative_expression(moved, graph[spots][:, spots], random_state=0)
    np.testing.assert_allclose(dense(one)[spots][:, genes], dense(other), atol=1e-3)


# Genes of like expression


@given(st.integers(1, 700), st.integers(0, 100))
@settings(max_examples=50)
def test_bins_hold_each_gene_once_in_order_of_expression(g, seed):
    rng = np.random.default_rng(seed)
    mean, usable = rng.exponential(size=g), rng.random(g) < 0.8
    usable[0] = True
    bins = like_expression(mean, usable)
    assert sorted(np.concatenate(bins)) == np.flatnonzero(usable).tolist()
    sizes = [genes.size for genes in bins]
    assert len(bins) <= 25
    assert min(sizes) >= 20 or len(bins) == 1
    assert max(sizes) - min(sizes) <= 1
    for low, high in zip(bins[:-1], bins[1:], strict=True):
        assert mean[low].max() <= mean[high].min()


@given(st.integers(0, 1000), st.integers(1, 6))
@settings(max_examples=30)
def test_dealt_weights_stay_in_their_bin(seed, n):
    rng = np.random.default_rng(seed)
    order = rng.permutation(50)
    bins = (order[:10], order[10:35], order[35:45])  # five genes are in none
    weights = rng.normal(size=50)
    dealt = permuted(weights, bins, n=n, generator=rng)
    assert dealt.shape == (50, n)
    assert not dealt[order[45:]].any()
    for genes in bins:
        for draw in dealt[genes].T:
            np.testing.assert_array_equal(np.sort(draw), np.sort(weights[genes].astype(np.float32)))


def test_every_draw_is_another_and_every_gene_gets_every_weight():
    weights = np.arange(20.0)
    dealt = permuted(weights, (np.arange(20),), n=2000, generator=np.random.default_rng(0))
    assert len({tuple(draw) for draw in dealt.T}) == 2000
    # Each gene holds the mean weight in the mean: within four standard errors.
    assert np.abs(dealt.mean(axis=1) - weights.mean()).max() < 4 * weights.std() / np.sqrt(2000)
    again = permuted(weights, (np.arange(20),), n=2000, generator=np.random.default_rng(0))
    np.testing.assert_array_equal(dealt, again)


@pytest.mark.parametrize("shape", [(30,), (30, 4)])
def test_centred_weights(shape):
    counts = counts_of(40, 30)
    counts[:, :3] = 0
    expression = relative_expression(sparse.csr_matrix(counts), None, random_state=0)
    weights = np.random.default_rng(1).normal(size=shape)
    before = weights.copy()
    centred = expression.centre(weights)
    np.testing.assert_array_equal(weights, before)
    assert not centred[:3].any()
    for genes in expression.bins:
        np.testing.assert_allclose(centred[genes].sum(axis=0), 0, atol=1e-12)
        moved = weights[genes] - centred[genes]
        np.testing.assert_allclose(moved - moved[0], 0, atol=1e-12)
    np.testing.assert_allclose(expression.centre(centred), centred, atol=1e-12)


# Several slices


def within(counts, slices, bins):
    """As ``by_hand``, each slice by its own means and all by the deviation that is left; no neighbours."""
    logged = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float64)
    for each in np.unique(slices):
        logged[slices == each] -= logged[slices == each].mean(axis=0)
    found = np.zeros_like(logged)
    for genes in bins:
        z = logged[:, genes] / logged[:, genes].std(axis=0)
        found[:, genes] = z - z.mean(axis=1, keepdims=True)
    return found


@pytest.mark.parametrize("sampled", [False, True])
def test_slices_are_standardised_each_by_its_own_means(monkeypatch, sampled):
    if sampled:
        monkeypatch.setattr(relative, "_SPOTS", 40)
    counts, slices = counts_of(60, 10), np.repeat([1, 0, 2], [15, 25, 20])
    counts[slices == 2, :4] *= 3  # what a batch does
    found = relative_expression(sparse.csr_matrix(counts), None, random_state=0, slices=slices)
    expected = within(counts, slices, found.bins)
    assert np.linalg.norm(dense(found) - expected) < 0.01 * np.linalg.norm(expected)
    for each in range(3):
        np.testing.assert_allclose(found.scores[slices == each].mean(axis=0), 0, atol=1e-5)


def test_means_are_taken_away_before_or_after_averaging_over_neighbours(monkeypatch):
    counts, slices = counts_of(60, 10), np.repeat([0, 1], 30)
    graph = sparse.block_diag([path(30), path(30)]).tocsr()
    whole = relative_expression(sparse.csr_matrix(counts), graph, random_state=0, slices=slices)
    monkeypatch.setattr(relative, "_SPOTS", 45)
    sampled = relative_expression(sparse.csr_matrix(counts), graph, random_state=0, slices=slices)
    np.testing.assert_allclose(dense(sampled), dense(whole), atol=5e-4)


def test_one_slice_is_no_slice():
    counts = sparse.csr_matrix(counts_of())
    one = relative_expression(counts, path(30), random_state=0, slices=np.zeros(30, dtype=np.int64))
    np.testing.assert_allclose(dense(one), dense(relative_expression(counts, path(30), random_state=0)), atol=1e-4)

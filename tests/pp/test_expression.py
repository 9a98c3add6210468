from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from semst.pp._expression import (
    deviations,
    morans_i,
    principal_components,
    published_genes,
    select_genes,
    stabilise,
)


def csr(values):
    return sparse.csr_matrix(np.asarray(values, dtype=np.float32))


def lattice(side):
    """Squares that share an edge."""
    line = sparse.diags([np.ones(side - 1)] * 2, [-1, 1], shape=(side, side))
    unit = sparse.identity(side)
    return csr((sparse.kron(line, unit) + sparse.kron(unit, line)).toarray())


def direct_moran(values, graph):
    """The formula, entry by entry."""
    weights = graph.toarray().astype(float)
    degree = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, degree, out=np.zeros_like(weights), where=degree > 0)
    n, total = len(values), weights.sum()
    index = []
    for x in values.T.astype(float):
        centred = x - x.mean()
        across = sum(weights[i, k] * centred[i] * centred[k] for i in range(n) for k in range(n))
        index.append(n / total * across / (centred**2).sum())
    return index


@given(seed=st.integers(0, 1000), chunk=st.integers(1, 6))
@settings(max_examples=15)
def test_moran_is_the_formula_on_any_graph_in_any_chunks(seed, chunk):
    generator = np.random.default_rng(seed)
    graph = sparse.triu(sparse.random(12, 12, density=0.25, rng=generator), k=1)
    dense = (graph + graph.T).toarray() > 0  # some spots may have no neighbour
    dense[0, 1] = dense[1, 0] = True
    graph = csr(dense)
    values = generator.poisson(1.5, size=(12, 5)).astype(np.float32)
    values[:, 2] += np.arange(12)
    values = values[:, values.std(axis=0) > 0]
    np.testing.assert_allclose(morans_i(csr(values), graph, chunk=chunk), direct_moran(values, graph), atol=1e-5)


def test_moran_of_patterns_that_are_known():
    side = 10
    row, column = np.divmod(np.arange(side * side), side)
    checkerboard, gradient = (row + column) % 2, row
    noise = np.random.default_rng(0).permutation(row)
    never, constant = np.zeros(side * side), np.full(side * side, 0.1)
    index = morans_i(csr(np.stack([checkerboard, gradient, noise, never, constant], axis=1)), lattice(side))
    assert index.dtype == np.float64
    assert index[0] == pytest.approx(-1)
    assert index[1] > 0.8
    assert abs(index[2]) < 0.25
    assert index[3] == 0
    assert index[4] == 0


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-4, 123.456])
def test_a_constant_gene_has_no_pattern_however_it_rounds(value):
    assert morans_i(csr(np.full((1003, 1), value)), csr(np.eye(1003, k=1) + np.eye(1003, k=-1)))[0] == 0


def test_moran_is_that_of_squidpy():
    from squidpy.gr import spatial_autocorr

    generator = np.random.default_rng(1)
    graph = lattice(6)
    values = generator.poisson(2.0, size=(36, 4)).astype(np.float32)
    values[:, 1] += np.arange(36) / 6
    adata = AnnData(values)
    adata.obsp["spatial_connectivities"] = graph
    theirs = spatial_autocorr(
        adata, mode="moran", transformation=True, n_perms=None, copy=True, show_progress_bar=False
    )
    np.testing.assert_allclose(
        morans_i(csr(values), graph), theirs["I"].loc[adata.var_names].to_numpy(dtype=float), atol=1e-5
    )


def test_stabilise_by_hand():
    counts = csr([[1, 3, 0], [2, 0, 0], [0, 4, 4]])  # library sizes 4, 2, 8: the median is 4
    scaled = np.array([[1, 3, 0], [4, 0, 0], [0, 2, 2]])
    logged, rooted = stabilise(counts, "log"), stabilise(counts, "sqrt")
    assert logged.dtype == rooted.dtype == np.float32
    np.testing.assert_allclose(logged.toarray(), np.log1p(scaled), rtol=1e-6)
    np.testing.assert_allclose(rooted.toarray(), np.sqrt(scaled), rtol=1e-6)
    assert stabilise(counts, "none") is counts
    np.testing.assert_array_equal(counts.toarray(), [[1, 3, 0], [2, 0, 0], [0, 4, 4]])


@pytest.mark.parametrize("transform", ["log", "sqrt"])
def test_stabilise_takes_depth_out(transform):
    counts = np.random.default_rng(0).poisson(2.0, size=(9, 12)) + 1.0
    depth = np.array([1, 1, 1, 1, 1, 2, 4, 8, 16])[:, None]  # the median spot keeps its depth
    profile = np.tile(counts[:1], (9, 1))
    values = stabilise(csr(profile * depth), transform).toarray()
    np.testing.assert_allclose(values, np.tile(values[:1], (9, 1)), rtol=1e-5)


@pytest.fixture
def planted():
    """Six genes that follow the tissue, six that vary more but anywhere, and many that hardly vary."""
    generator = np.random.default_rng(0)
    side = 15
    row, _ = np.divmod(np.arange(side * side), side)
    n = side * side
    smooth = generator.poisson(1 + 8 * (row > 7)[:, None], size=(n, 6))
    noisy = generator.poisson(2.0, size=(n, 6)) * generator.choice([0, 30], size=(n, 6), p=[0.8, 0.2])
    quiet = generator.poisson(5.0, size=(n, 30))
    counts = np.concatenate([noisy, smooth, quiet], axis=1)
    return csr(counts), lattice(side)


@pytest.mark.parametrize("transform", ["log", "sqrt"])
def test_spatial_genes_are_chosen_before_noisy_ones(planted, transform):
    counts, graph = planted
    variance = counts.toarray().var(axis=0)
    assert variance[:6].min() > variance[6:12].max()
    chosen = select_genes(counts, graph, n_top_genes=6, transform=transform)
    np.testing.assert_array_equal(chosen, np.arange(6, 12))


def test_all_genes_that_are_seen_are_taken_where_few_are_left(planted):
    _, graph = planted
    n = graph.shape[0]
    counts = np.zeros((n, 4))
    counts[:, 0] = 1
    counts[:2, 1] = 5  # in two spots only
    counts[:3, 3] = 1
    np.testing.assert_array_equal(select_genes(csr(counts), graph, n_top_genes=3, transform="log"), [0, 3])


def test_ties_are_broken_by_the_order_of_genes(planted):
    counts, graph = planted
    same = counts[:, [6, 6, 6, 20]]
    np.testing.assert_array_equal(select_genes(same, graph, n_top_genes=2, transform="none"), [0, 1])


@pytest.mark.parametrize("shape", [(60, 40), (150, 130)])  # dense below 100, ARPACK above
def test_principal_components_are_those_of_the_dense_matrix(shape):
    generator = np.random.default_rng(0)
    values = generator.poisson(1.0, size=shape) * np.geomspace(8, 1, shape[1])
    got = principal_components(csr(values), 4, random_state=0)
    assert got.dtype == np.float32
    centred = values - values.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    expected = (left * singular)[:, :4]
    expected /= expected[:, 0].std()
    signs = np.sign((got * expected).sum(axis=0))
    np.testing.assert_allclose(got * signs, expected, atol=2e-3)
    assert got[:, 0].std() == pytest.approx(1, rel=1e-4)
    assert got.tobytes() == principal_components(csr(values), 4, random_state=0).tobytes()


def test_no_more_components_than_the_matrix_has():
    generator = np.random.default_rng(0)
    assert principal_components(csr(generator.random((20, 5))), 50, random_state=0).shape == (20, 4)
    assert principal_components(csr(generator.random((6, 30))), 50, random_state=0).shape == (6, 5)
    alone = generator.random((20, 1))
    got = principal_components(csr(alone), 50, random_state=0)
    expected = (alone - alone.mean()) / alone.std()
    np.testing.assert_allclose(got * np.sign((got * expected).sum()), expected, rtol=1e-4)


@pytest.mark.parametrize("value", [0.1, 3.3, 1e4])
def test_what_does_not_vary_has_deviation_one_however_it_rounds(value):
    values = sparse.csr_matrix(np.full((5000, 3), value, dtype=np.float32))
    np.testing.assert_array_equal(deviations(values), 1)


def test_published_genes_are_seen_in_enough_spots_and_highly_variable():
    generator = np.random.default_rng(0)
    n = 300  # a tenth: 30 spots
    counts = generator.poisson(np.linspace(1, 40, 200), size=(n, 200)).astype(float)
    for gene in (50, 90):
        counts[:, gene] *= generator.choice([0.0, 3.0], size=n)
    counts[:, 11] = 0
    counts[:29, 11] = 500  # the most variable of all, in one spot too few
    np.testing.assert_array_equal(published_genes(csr(counts), n_top_genes=2), [50, 90])
    np.testing.assert_array_equal(published_genes(csr(counts), n_top_genes=200), np.delete(np.arange(200), 11))

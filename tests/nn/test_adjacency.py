from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from semst.nn import edge_pairs, normalised_adjacency

PATH = sparse.csr_matrix(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]))


def random_graph(n, density, seed):
    generator = np.random.default_rng(seed)
    return sparse.csr_matrix(generator.random((n, n)) < density)


def test_path_by_hand():
    # With self loops the degrees are 2, 3, 2.
    expected = np.array(
        [[1 / 2, 1 / np.sqrt(6), 0], [1 / np.sqrt(6), 1 / 3, 1 / np.sqrt(6)], [0, 1 / np.sqrt(6), 1 / 2]]
    )
    adjacency = normalised_adjacency(PATH)
    assert adjacency.layout == torch.sparse_csr
    assert adjacency.dtype == torch.float32
    np.testing.assert_allclose(adjacency.to_dense(), expected, rtol=1e-6)


@given(n=st.integers(2, 12), density=st.floats(0, 1), seed=st.integers(0, 2**16))
@settings(max_examples=40)
def test_symmetric_with_spectral_radius_one(n, density, seed):
    graph = random_graph(n, density, seed)
    dense = normalised_adjacency(graph).to_dense().numpy().astype(np.float64)
    np.testing.assert_array_equal(dense, dense.T)
    assert (np.diag(dense) > 0).all()
    edges = graph.toarray() | graph.toarray().T | np.eye(n, dtype=bool)
    np.testing.assert_array_equal(dense > 0, edges)
    assert np.abs(np.linalg.eigvalsh(dense)).max() == pytest.approx(1, abs=1e-5)
    # The vector of that eigenvalue is the square root of the degree.
    root = np.sqrt(edges.sum(axis=1))
    np.testing.assert_allclose(dense @ root, root, rtol=1e-5)


def test_weights_self_loops_direction_and_stored_zeros_do_not_matter():
    weighted = PATH.astype(float) * 7.5
    looped = sparse.csr_matrix(PATH + sparse.identity(3))
    directed = sparse.triu(PATH).tocsr()
    stored_zero = sparse.csr_matrix(
        (np.array([1.0, 1.0, 0.0]), (np.array([0, 1, 0]), np.array([1, 2, 2]))), shape=(3, 3)
    )
    expected = normalised_adjacency(PATH).to_dense()
    for graph in (weighted, looped, directed, stored_zero, sparse.csr_array(PATH), PATH.tocoo()):
        assert torch.equal(normalised_adjacency(graph).to_dense(), expected)


def test_the_graph_is_left_alone():
    graph = PATH.astype(np.float64)
    before = graph.copy()
    normalised_adjacency(graph)
    edge_pairs(graph)
    assert (graph != before).nnz == 0
    assert graph.dtype == before.dtype


@given(n=st.integers(1, 12), density=st.floats(0, 1), seed=st.integers(0, 2**16))
@settings(max_examples=40)
def test_each_edge_once_with_the_lower_spot_first(n, density, seed):
    graph = random_graph(n, density, seed)
    pairs = edge_pairs(graph)
    assert pairs.dtype == torch.int64
    dense = graph.toarray()
    expected = {(i, j) for i in range(n) for j in range(i + 1, n) if dense[i, j] or dense[j, i]}
    listed = list(map(tuple, pairs.T.tolist()))
    assert len(listed) == len(expected)
    assert set(listed) == expected

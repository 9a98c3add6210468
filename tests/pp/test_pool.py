from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from semst.pp._pool import pool, top_entries

COUNTS = np.array([[2, 0, 6, 0], [0, 1, 0, 0], [1, 1, 1, 1]], dtype=np.float32)
VECTORS = np.array([[1, 0], [0, 1], [-1, 2], [0, 0]], dtype=np.float32)  # the last gene has none
KNOWN = np.array([True, True, True, False])


def test_raw_weights_by_hand():
    pooled = pool(sparse.csr_matrix(COUNTS), VECTORS, KNOWN, weights="raw")
    by_hand = [
        [(2 * 1 + 6 * -1) / 8, (6 * 2) / 8],
        [0, 1],
        [(1 + 0 - 1) / 3, (0 + 1 + 2) / 3],  # three known genes of four
    ]
    assert pooled.dtype == np.float32
    np.testing.assert_allclose(pooled, by_hand, atol=1e-6)


def test_lognorm_weights_by_hand():
    pooled = pool(sparse.csr_matrix(COUNTS), VECTORS, KNOWN, weights="lognorm")
    first, third = np.log(1 + 1e4 * 2 / 8), np.log(1 + 1e4 * 6 / 8)
    by_hand = [
        [(first - third) / (first + third), 2 * third / (first + third)],
        [0, 1],
        [0, 1],  # equal weights, the unknown gene is left out of the mean but stays in the library size
    ]
    np.testing.assert_allclose(pooled, by_hand, atol=1e-6)


def test_top_genes_by_hand():
    counts = sparse.csr_matrix(np.array([[2, 0, 6, 9], [1, 1, 1, 1]], dtype=np.float32))
    pooled = pool(counts, VECTORS, KNOWN, weights="raw", n_top=1)
    # The gene with 9 counts has no vector; of equal ones the first is taken.
    np.testing.assert_array_equal(pooled, [VECTORS[2], VECTORS[0]])


def test_more_top_genes_than_there_are_is_all():
    counts = sparse.csr_matrix(COUNTS)
    np.testing.assert_allclose(pool(counts, VECTORS, KNOWN, n_top=99), pool(counts, VECTORS, KNOWN), atol=1e-6)


def test_spot_without_known_gene_is_zero():
    counts = sparse.csr_matrix(np.array([[0, 0, 0, 5], [0, 0, 0, 0]], dtype=np.float32))
    np.testing.assert_array_equal(pool(counts, VECTORS, KNOWN), np.zeros((2, 2)))


def test_input_is_left_alone():
    counts = sparse.csr_matrix(COUNTS)
    before = counts.copy()
    pool(counts, VECTORS, KNOWN, n_top=2)
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(counts, part), getattr(before, part))


@pytest.mark.parametrize("n_top", [1, 2, 3])
def test_top_entries_agree_with_sorting(n_top):
    dense = np.random.default_rng(0).integers(0, 4, size=(30, 12)).astype(np.float32)
    top = top_entries(sparse.csr_matrix(dense), n_top)
    for row in range(30):
        ranked = sorted((-value, column) for column, value in enumerate(dense[row]) if value)[:n_top]
        assert top.indices[top.indptr[row] : top.indptr[row + 1]].tolist() == [column for _, column in ranked]
        assert top.data[top.indptr[row] : top.indptr[row + 1]].tolist() == [-value for value, _ in ranked]


counts_strategy = arrays(np.float32, (7, 5), elements=st.integers(0, 50).map(float))
vectors_strategy = arrays(np.float32, (5, 3), elements=st.floats(-10, 10, width=32))
known_strategy = arrays(np.bool_, 5)


@settings(deadline=None)
@given(
    counts_strategy, vectors_strategy, known_strategy, st.permutations(range(7)), st.sampled_from(["lognorm", "raw"])
)
def test_order_of_spots_does_not_matter(counts, vectors, known, order, weights):
    vectors = vectors * known[:, None]
    pooled = pool(sparse.csr_matrix(counts), vectors, known, weights=weights, chunk_size=3)
    shuffled = pool(sparse.csr_matrix(counts[order]), vectors, known, weights=weights, chunk_size=2)
    np.testing.assert_array_equal(shuffled, pooled[order])


@settings(deadline=None)
@given(counts_strategy, vectors_strategy, known_strategy, st.permutations(range(5)))
def test_order_of_genes_does_not_matter(counts, vectors, known, order):
    vectors = vectors * known[:, None]
    pooled = pool(sparse.csr_matrix(counts), vectors, known)
    shuffled = pool(sparse.csr_matrix(counts[:, order]), vectors[order], known[order])
    np.testing.assert_allclose(shuffled, pooled, atol=1e-4)


@settings(deadline=None)
@given(counts_strategy, vectors_strategy, st.integers(2, 1000), st.sampled_from(["lognorm", "raw"]))
def test_depth_of_a_spot_does_not_matter(counts, vectors, factor, weights):
    known = np.ones(5, dtype=bool)
    pooled = pool(sparse.csr_matrix(counts), vectors, known, weights=weights)
    deeper = pool(sparse.csr_matrix(counts * np.float32(factor)), vectors, known, weights=weights)
    np.testing.assert_allclose(deeper, pooled, atol=1e-4)


@settings(deadline=None)
@given(counts_strategy, vectors_strategy, arrays(np.float32, 3, elements=st.floats(-5, 5, width=32)))
def test_moving_all_genes_moves_all_spots_alike(counts, vectors, shift):
    known = np.ones(5, dtype=bool)
    counts[:, 0] += 1  # no empty spot
    pooled = pool(sparse.csr_matrix(counts), vectors, known)
    moved = pool(sparse.csr_matrix(counts), vectors + shift, known)
    np.testing.assert_allclose(moved, pooled + shift, atol=1e-4)

from __future__ import annotations

import numpy as np
import pytest
import scanpy as sc
from anndata import AnnData
from scipy import sparse

from semst.pp._published_scaling import published_deviation, scale_as_published

COUNTS = sparse.csr_matrix(np.array([[1, 3, 0], [5, 5, 0], [0, 2, 0]], dtype=np.float32))


@pytest.mark.parametrize("counts", [True, False])
def test_by_hand(counts):
    values = np.array([[2500, 7500, 0], [5000, 5000, 0], [0, 10_000, 0]], dtype=float) if counts else COUNTS.toarray()
    expected = values / [values[:, 0].std(ddof=1), values[:, 1].std(ddof=1), 1]
    got = scale_as_published(COUNTS, counts=counts)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got.toarray(), expected, rtol=1e-6)


def test_it_agrees_with_dense_formula():
    counts = np.random.default_rng(0).poisson(1.0, size=(60, 9)).astype(np.float32)
    counts[:, 0] = 1 + np.arange(60) % 2
    scaled = 1e4 * counts / counts.sum(axis=1, keepdims=True)
    expected = np.minimum(scaled / scaled.std(axis=0, ddof=1), 10)
    result = scale_as_published(sparse.csr_matrix(counts))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result.toarray(), expected, rtol=1e-5)


def test_it_agrees_with_scanpy():
    counts = np.random.default_rng(1).poisson(0.7, size=(200, 15)).astype(np.float32)
    counts[:, 3] += 1
    adata = AnnData(sparse.csr_matrix(counts))
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.scale(adata, zero_center=False, max_value=10)
    np.testing.assert_allclose(scale_as_published(sparse.csr_matrix(counts)).toarray(), adata.X.toarray(), rtol=1e-4)


def test_gene_that_never_varies_is_not_divided():
    counts = np.array([[2, 2], [2, 2], [2, 2]], dtype=np.float32)
    np.testing.assert_array_equal(scale_as_published(sparse.csr_matrix(counts)).toarray(), np.full((3, 2), 10.0))


def test_cut_at_ten():
    values = np.zeros((400, 2), dtype=np.float32)
    values[:, 0] = 100
    values[0] = [50, 50]
    got = scale_as_published(sparse.csr_matrix(values)).toarray()
    assert got[0, 1] == 10  # one spot of 400: 20 standard deviations
    assert got.max() == 10


def test_deviations_of_other_spots():
    deviation = published_deviation(COUNTS, counts=True)
    np.testing.assert_array_equal(
        scale_as_published(COUNTS, deviation=deviation).toarray(), scale_as_published(COUNTS).toarray()
    )
    one = scale_as_published(COUNTS[:1], deviation=deviation).toarray()
    np.testing.assert_array_equal(one, scale_as_published(COUNTS).toarray()[:1])

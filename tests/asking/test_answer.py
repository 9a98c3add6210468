"""The answer to a query, against its formula with dense arrays, and the null that calibrates it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats

from semst.asking import _answer
from semst.asking._answer import answer
from semst.asking._relative import permuted, relative_expression


def tissue(n=60, g=45, *, seed=0, pattern=0.0):
    """Counts in which the first ten genes go together, over a gradient from the first spot to the last."""
    rng = np.random.default_rng(seed)
    rate = np.tile(rng.gamma(2.0, 2.0, size=g) + 0.5, (n, 1))
    rate[:, :10] *= np.exp(pattern * np.linspace(-1, 1, n))[:, None]
    counts = rng.poisson(rate).astype(np.float32)
    counts[:, 0] += 1
    return counts


def expression_of(counts):
    return relative_expression(sparse.csr_matrix(counts), None, random_state=0)


def deal(weights, expression, generator):
    return permuted(weights, expression.bins, n=1, generator=generator)[:, 0]


@pytest.fixture(scope="module")
def plain():
    return expression_of(tissue())


# The formula


def test_worked_out_by_hand(plain):
    weights = np.random.default_rng(1).exponential(size=45)
    found = answer(plain, weights, n_permutations=99, random_state=4)
    s = (plain.scores @ plain.loadings).astype(np.float64)
    c = s.T @ s / len(s)
    w = plain.centre(weights)
    null = permuted(w, plain.bins, n=99, generator=np.random.default_rng(4)).astype(np.float64)
    y, others = s @ c @ w, s @ c @ null
    np.testing.assert_allclose(found.score, y / np.sqrt(np.square(others).mean()), rtol=1e-3, atol=1e-4)
    expected = (1 + (others >= y[:, None]).sum(axis=1)) / 100
    assert np.abs(found.p_value - expected).max() < 0.011  # single precision may take one draw for a tie
    assert np.mean(np.abs(found.p_value - expected) < 1e-6) > 0.95
    together = np.einsum("gn,gh,hn->n", null, c, null)
    assert found.coherence == pytest.approx((1 + (together >= w @ c @ w).sum()) / 100)
    shared = np.where((w > 0) & (c @ w > 0), w * (c @ w), 0)  # asked for, and going with the pattern
    np.testing.assert_allclose(found.contribution, shared / shared.sum(), rtol=1e-3, atol=1e-5)
    assert found.score.dtype == found.p_value.dtype == np.float32
    assert found.contribution.sum() == pytest.approx(1)


def test_many_spots_are_done_in_parts(plain, monkeypatch):
    weights = np.random.default_rng(1).exponential(size=45)
    whole = answer(plain, weights, n_permutations=50, random_state=0)
    monkeypatch.setattr(_answer, "_CHUNK", 7)
    parts = answer(plain, weights, n_permutations=50, random_state=0)
    np.testing.assert_allclose(parts.score, whole.score, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(parts.p_value, whole.p_value)


@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(-5, 5))
@settings(max_examples=20)
def test_unit_and_level_of_weights_do_not_matter(seed, factor, level):
    expression = expression_of(tissue(40, 25))
    weights = np.random.default_rng(seed).exponential(size=25)
    one, other = (
        answer(expression, each, n_permutations=30, random_state=0) for each in (weights, weights * factor + level)
    )
    np.testing.assert_allclose(one.score, other.score, rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(one.contribution, other.contribution, rtol=1e-2, atol=1e-3)
    assert np.abs(one.p_value - other.p_value).max() <= 2 / 31  # a draw may tie


# The null


def test_scores_of_random_genes_have_mean_zero_and_deviation_one(plain):
    rng = np.random.default_rng(3)
    weights = np.exp(rng.normal(size=45))
    scores = np.stack(
        [answer(plain, deal(weights, plain, rng), n_permutations=99, random_state=seed).score for seed in range(400)]
    )
    assert np.sqrt(np.square(scores).mean()) == pytest.approx(1, abs=0.05)
    # Each spot by itself: four standard errors, over 60 spots.
    assert np.abs(scores.mean(axis=0) / (scores.std(axis=0) / 20)).max() < 4


def test_p_values_of_random_genes_are_uniform(plain):
    rng = np.random.default_rng(5)
    weights = np.exp(rng.normal(size=45))
    found = [answer(plain, deal(weights, plain, rng), n_permutations=99, random_state=seed) for seed in range(300)]
    for p in ([one.coherence for one in found], [one.p_value[0] for one in found], [one.p_value[31] for one in found]):
        assert stats.kstest(p, "uniform").pvalue > 1e-3
        assert np.mean(np.array(p) <= 0.05) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 300)
    assert min(one.p_value.min() for one in found) >= 1 / 100 - 1e-7


@pytest.mark.parametrize("g", [20, 33])
def test_a_draw_of_the_very_same_genes_counts_as_reached(g):
    """In a small panel many draws are the gene that was asked for, and p cannot be smaller than their share."""
    expression = expression_of(tissue(200, g))
    for gene in range(0, g, 3):
        weights = np.zeros(g)
        weights[gene] = 1
        centred = expression.centre(weights)
        drawn = permuted(centred, expression.bins, n=499, generator=np.random.default_rng(gene))
        same = int((drawn[gene] > 0.5).sum())
        assert same > 3
        found = answer(expression, weights, n_permutations=499, random_state=gene)
        assert found.p_value.min() >= (1 + same) / 500 - 1e-6
        assert found.coherence >= (1 + same) / 500 - 1e-6


def test_all_genes_alike_say_nothing(plain):
    found = answer(plain, np.full(45, 3.0), n_permutations=20, random_state=0)
    assert not found.score.any()
    assert (found.p_value == 1).all()
    assert found.coherence == 1
    assert not found.contribution.any()


def test_same_seed_same_bytes(plain):
    weights = np.random.default_rng(1).exponential(size=45)
    one, same, other = (answer(plain, weights, n_permutations=30, random_state=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.score, same.score)
    np.testing.assert_array_equal(one.p_value, same.p_value)
    assert (one.p_value != other.p_value).any()


# What it finds


def test_half_of_the_genes_of_a_pattern_find_it_and_name_the_other_half():
    counts = tissue(200, 60, pattern=1.0)
    weights = np.zeros(60)
    weights[:5] = 1
    found = answer(expression_of(counts), weights, n_permutations=199, random_state=0)
    assert stats.spearmanr(found.score, np.arange(200)).statistic > 0.8
    assert found.coherence == 1 / 200
    assert found.p_value[-20:].mean() < 0.05
    assert found.p_value[:20].mean() > 0.9
    assert set(np.argsort(-found.contribution)[:5]) == set(range(5))
    opposite = answer(expression_of(counts), -weights, n_permutations=199, random_state=0)
    np.testing.assert_allclose(opposite.score, -found.score, rtol=0.2, atol=0.2)

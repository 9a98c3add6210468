"""What sets domains apart: against loops, brute-force permutations and scipy's own tests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats

from semst.asking import _domain_profiles as module
from semst.asking._domain_profiles import against_genes, against_spots, profiles
from semst.asking._relative import centre, permuted


def tissue(n=90, g=45, k=3, *, seed=0, effect=0.0):
    """Counts in which the first eight genes stand out in domain 0; the last spot belongs to no domain."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % k
    rate = np.tile(rng.gamma(2.0, 2.0, size=g) + 0.5, (n, 1))
    rate[:, :8] *= np.exp(effect * (codes == 0))[:, None]
    counts = rng.poisson(rate).astype(np.float32)
    counts[:, 0] += 1
    codes[-1] = -1
    return counts, codes


def found_in(counts, codes):
    return profiles(sparse.csr_matrix(counts), codes)


def terms(found, t=4, *, seed=1):
    g = found.differences.shape[1]
    return centre(np.square(np.random.default_rng(seed).normal(size=(g, t))), found.bins)


def test_differences_worked_out_by_hand():
    counts, codes = tissue(effect=1.0)
    counts[:, 5] = 0
    found = found_in(counts, codes)
    logged = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    spread = logged.std(axis=0)
    used = np.flatnonzero(spread > 0)
    z = logged / np.where(spread > 0, spread, 1)
    for domain in range(3):
        outside = (codes != domain) & (codes >= 0)
        expected = z[codes == domain].mean(axis=0) - z[outside].mean(axis=0)
        for genes in found.bins:
            expected[genes] -= expected[genes].mean()
        np.testing.assert_allclose(found.differences[domain], expected, atol=2e-3)
    assert not found.differences[:, 5].any()
    assert sorted(np.concatenate(found.bins)) == used.tolist()
    assert len(found.bins) == 2
    assert found.differences[0, :5].min() > found.differences[0, 8:].max()


def test_spots_of_no_domain_only_count_for_the_unit():
    counts, codes = tissue()
    found = found_in(counts, codes)
    other = codes.copy()
    other[-1] = 1
    assert not np.allclose(found_in(counts, other).differences, found.differences)
    swapped = counts.copy()
    swapped[-1] = counts[-1][::-1]
    # Mean and deviation of the genes move a little, the means of domains do not.
    np.testing.assert_allclose(found_in(swapped, codes).differences, found.differences, atol=0.1)


def test_centred_weights():
    bins = (np.array([0, 3]), np.array([1, 4, 5]))
    weights = np.arange(12.0).reshape(6, 2)
    expected = [[-3, -3], [-14 / 3, -14 / 3], [0, 0], [3, 3], [4 / 3, 4 / 3], [10 / 3, 10 / 3]]
    np.testing.assert_allclose(centre(weights, bins), expected)
    assert weights[0, 1] == 1


def test_z_is_in_standard_deviations_of_weights_dealt_anew():
    found = found_in(*tissue(effect=0.5))
    weights = terms(found)
    z, _ = against_genes(found, weights, n_permutations=9, random_state=0)
    generator = np.random.default_rng(7)
    for term in range(4):
        dealt = permuted(weights[:, term], found.bins, n=20_000, generator=generator)
        null = found.differences @ dealt
        # The deviation of 20 000 draws is known to about one per cent.
        expected = found.differences @ weights[:, term] / null.std(axis=1)
        np.testing.assert_allclose(z[:, term], expected, rtol=0.04, atol=1e-3)
        assert np.abs(null.mean(axis=1) / null.std(axis=1)).max() < 0.05


def test_p_values_against_all_draws_of_one_term():
    found = found_in(*tissue(effect=0.5))
    weights = terms(found, t=1)
    z, p = against_genes(found, weights, n_permutations=4000, random_state=0)
    null = found.differences @ permuted(weights[:, 0], found.bins, n=20_000, generator=np.random.default_rng(3))
    for domain in range(3):
        expected = (null[domain] >= found.differences[domain] @ weights[:, 0]).mean()
        assert p[domain, 0] == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 4000))
    assert z.shape == p.shape == (3, 1)


def test_draws_of_all_terms_are_pooled():
    found = found_in(*tissue(effect=2.0))
    weights = np.zeros((45, 50))
    weights[:8, 0] = 1
    weights[:, 1:] = np.random.default_rng(0).random((45, 49))
    z, p = against_genes(found, centre(weights, found.bins), n_permutations=9, random_state=0)
    assert z[0, 0] > 4
    assert p[0, 0] < 0.01  # nine draws alone could not say less than a tenth
    assert p[0, 0] == pytest.approx(1 / 451)
    assert p[1, 0] > 0.5


def test_p_values_of_terms_without_meaning_are_uniform():
    found = found_in(*tissue(effect=1.0))
    weights = terms(found, t=400)
    z, p = against_genes(found, weights, n_permutations=49, random_state=0)
    for domain in range(3):
        assert stats.kstest(p[domain], "uniform").pvalue > 1e-3
        assert abs(z[domain].mean()) < 4 / 20
        assert z[domain].std() == pytest.approx(1, abs=0.15)
    assert p.min() >= 1 / (1 + 49 * 400)


def test_a_term_that_weighs_all_genes_alike_says_nothing():
    found = found_in(*tissue(effect=1.0))
    weights = centre(np.ones((45, 2)), found.bins)
    z, p = against_genes(found, weights, n_permutations=9, random_state=0)
    assert not z.any()
    assert (p == 1).all()
    effect, by_spots = against_spots(found, weights, random_state=0)
    assert not effect.any()
    assert (by_spots == 1).all()


# Spot by spot


def test_spots_against_scipy():
    counts, codes = tissue(effect=0.5)
    found = found_in(counts, codes)
    weights = terms(found)
    effect, p = against_spots(found, weights, random_state=0)
    scores = found.values.toarray().astype(float) @ weights
    for domain in range(3):
        for term in range(4):
            inside, outside = scores[codes == domain, term], scores[(codes != domain) & (codes >= 0), term]
            pooled = np.sqrt((inside.var(ddof=1) + outside.var(ddof=1)) / 2)
            assert effect[domain, term] == pytest.approx((inside.mean() - outside.mean()) / pooled, rel=1e-3, abs=1e-4)
            expected = stats.ttest_ind(inside, outside, equal_var=False, alternative="greater").pvalue
            assert p[domain, term] == pytest.approx(expected, rel=1e-2, abs=1e-6)


def test_a_domain_of_one_spot_has_no_spread_to_test():
    counts, codes = tissue(effect=1.0)
    codes[codes == 2] = 1
    codes[4] = 2
    effect, p = against_spots(found_in(counts, codes), terms(found_in(counts, codes)), random_state=0)
    assert not effect[2].any()
    assert (p[2] == 1).all()
    assert np.isfinite(effect).all()
    assert effect[0].any()


def test_many_spots_are_sampled(monkeypatch):
    counts, codes = tissue(600, effect=1.0)
    found = found_in(counts, codes)
    weights = np.zeros((45, 1))
    weights[:8] = 1
    weights = centre(weights, found.bins)
    whole, _ = against_spots(found, weights, random_state=0)
    monkeypatch.setattr(module, "_SPOTS", 300)
    one, p = against_spots(found, weights, random_state=0)
    other, _ = against_spots(found, weights, random_state=1)
    assert one[0, 0] != other[0, 0] != whole[0, 0]
    assert one[0, 0] == pytest.approx(whole[0, 0], abs=0.5)
    assert p[0, 0] < 1e-6
    assert p[1, 0] > 0.5


# What must not matter


@given(st.integers(0, 1000), st.permutations(range(3)))
@settings(max_examples=15)
def test_numbers_of_domains_and_order_of_spots_do_not_matter(seed, numbers):
    counts, codes = tissue(seed=seed, effect=0.5)
    order = np.random.default_rng(seed).permutation(len(codes))
    renamed = np.where(codes < 0, -1, np.array(numbers)[codes])
    one, other = found_in(counts, codes), found_in(counts[order], renamed[order])
    np.testing.assert_allclose(other.differences[list(numbers)], one.differences, atol=2e-3)
    weights = terms(one)
    for test in (
        lambda found: against_spots(found, weights, random_state=0),
        lambda found: against_genes(found, weights, n_permutations=9, random_state=0)[:1],
    ):
        for first, second in zip(test(one), test(other), strict=True):
            np.testing.assert_allclose(second[list(numbers)], first, rtol=0.02, atol=0.01)


def test_same_seed_same_bytes():
    found = found_in(*tissue(effect=0.5))
    weights = terms(found)
    one, same, other = (against_genes(found, weights, n_permutations=9, random_state=seed)[1] for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_a_rare_domain_of_large_tissue_is_seen(monkeypatch):
    """Among the spots that are drawn hardly one is of it; more of its own are looked at, and others as drawn."""
    monkeypatch.setattr(module, "_SPOTS", 60)
    monkeypatch.setattr(module, "_FEWEST", 8)
    counts, codes = tissue(n=600, effect=0.0)
    codes[:] = 1
    codes[:10], codes[300:] = 0, 2
    counts[:10, :8] *= 4
    found = found_in(counts, codes)
    weights = centre(np.eye(counts.shape[1])[:, [1]], found.bins)
    for seed in range(5):
        spots, drawn = module._some_spots(codes, np.random.default_rng(seed))
        np.testing.assert_array_equal(np.unique(spots), spots)
        assert drawn.sum() == 60
        assert np.count_nonzero(codes[spots] == 0) == 8
        effect, p = against_spots(found, weights, random_state=seed)
        assert effect[0, 0] > 1
        assert p[0, 0] < 0.01


# Several slices


def in_two_slices(*, effect=1.0, seed=0, shares=(0.7, 0.2)):
    """Two domains, the first with these shares of two slices; in the second slice twenty genes are read more often."""
    rng = np.random.default_rng(seed)
    slices = np.repeat([0, 1], [60, 80])
    codes = (rng.random(140) >= np.array(shares)[slices]).astype(np.int64)
    rate = np.tile(rng.gamma(2.0, 2.0, size=45) + 0.5, (140, 1))
    rate[:, :8] *= np.exp(effect * (codes == 0))[:, None]
    rate[np.ix_(slices == 1, np.arange(10, 30))] *= 4
    counts = rng.poisson(rate).astype(np.float32)
    counts[:, 0] += 1
    return counts, codes, slices


def contrasts(values, codes, slices, domain):
    """Difference of the domain and the others in each slice, with its weight."""
    for each in np.unique(slices):
        here = (slices == each) & (codes >= 0)
        inside, outside = values[here & (codes == domain)], values[here & (codes != domain)]
        if len(inside) and len(outside):
            weight = len(inside) * len(outside) / (len(inside) + len(outside))
            yield weight, inside, outside


def test_differences_within_slices_worked_out_by_hand():
    counts, codes, slices = in_two_slices()
    codes[::11] = -1
    found = profiles(sparse.csr_matrix(counts), codes, slices)
    z = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    about = z - np.stack([z[slices == each].mean(axis=0) for each in (0, 1)])[slices]
    z /= about.std(axis=0)
    weights = terms(found)
    scores = z @ weights
    effect, p = against_spots(found, weights, random_state=0)
    for domain in (0, 1):
        parts = list(contrasts(z, codes, slices, domain))
        expected = sum(w * (x.mean(axis=0) - y.mean(axis=0)) for w, x, y in parts) / sum(w for w, *_ in parts)
        for genes in found.bins:
            expected[genes] -= expected[genes].mean()
        np.testing.assert_allclose(found.differences[domain], expected, atol=2e-3)
        parts = list(contrasts(scores, codes, slices, domain))
        total = sum(w for w, *_ in parts)
        delta = sum(w * (x.mean(axis=0) - y.mean(axis=0)) for w, x, y in parts) / total
        a = sum(np.square(x - x.mean(axis=0)).sum(axis=0) for _, x, _ in parts) / (sum(len(x) for _, x, _ in parts) - 2)
        b = sum(np.square(y - y.mean(axis=0)).sum(axis=0) for *_, y in parts) / (sum(len(y) for *_, y in parts) - 2)
        np.testing.assert_allclose(effect[domain], delta / np.sqrt((a + b) / 2), rtol=2e-3)
        error = sum(w**2 * (a / len(x) + b / len(y)) for w, x, y in parts) / total**2
        np.testing.assert_allclose(stats.norm.isf(p[domain]), delta / np.sqrt(error), rtol=0.1)


def test_domains_that_only_tell_slices_apart_differ_in_nothing():
    counts, _, slices = in_two_slices()
    assert np.abs(profiles(sparse.csr_matrix(counts), slices).differences).max() > 1
    apart = profiles(sparse.csr_matrix(counts), slices, slices)
    assert not apart.differences.any()
    effect, p = against_spots(apart, terms(apart), random_state=0)
    assert not effect.any()
    assert (p == 1).all()


def test_the_effect_is_that_within_slices_however_domains_are_dealt_to_them():
    """Of equal tissue in both slices, and of slices that hold mostly one domain each."""
    of_first = np.zeros((45, 1))
    of_first[:8] = 1
    sizes = []
    for shares in ((0.5, 0.5), (0.93, 0.07)):
        counts, codes, slices = in_two_slices(shares=shares)
        found = profiles(sparse.csr_matrix(counts), codes, slices)
        sizes.append(against_spots(found, centre(of_first, found.bins), random_state=0)[0][0, 0])
    assert sizes[1] == pytest.approx(sizes[0], rel=0.25)


def test_spots_of_no_domain_have_no_say_however_they_are_dealt_to_slices():
    """Tissue that nobody named, in one slice alone and of another kind, makes no difference where domains are alike."""
    counts, codes, slices = in_two_slices(effect=0)
    unnamed = np.flatnonzero(slices == 0)[:25]
    codes[unnamed] = -1
    odd = counts.copy()
    odd[unnamed, :12] *= 8
    weights = np.zeros((45, 1))
    weights[:12] = 1
    found = []
    for each in (counts, odd):
        compared = profiles(sparse.csr_matrix(each), codes, slices)
        found.append(against_spots(compared, weights, random_state=0))
    np.testing.assert_allclose(found[0], found[1], atol=0.1)  # the unit is that of all spots

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

from semst.partitions import _consensus
from semst.partitions._consensus import agreement, consensus
from semst.partitions._judges import explained
from semst.partitions._majority import majority
from semst.partitions._refine import refine
from semst.partitions._similarity import indicator

TRUTH = np.repeat([0, 1, 2, 3], [40, 30, 20, 10])


def same(first, second):
    """The same groups, whatever they are called."""
    return adjusted_rand_score(first, second) == 1


def noisy(truth, share, seed):
    generator = np.random.default_rng(seed)
    wrong = generator.random(truth.size) < share
    return np.where(wrong, generator.integers(0, truth.max() + 1, truth.size), truth)


def path(n):
    return sparse.csr_matrix(np.eye(n, k=1) + np.eye(n, k=-1))


def test_indicator_by_hand():
    np.testing.assert_array_equal(indicator(np.array([2, 0, 2])), [[0, 0, 1], [1, 0, 0], [0, 0, 1]])


def test_majority_by_hand():
    # A path 0-1-2-3-4-5; each spot and its neighbours vote, the own label wins a tie.
    labels = np.array([0, 1, 0, 0, 1, 2])
    # 0: {0, 1} own 0. 1: {0, 1, 0} 0. 2: {1, 0, 0} 0. 3: {0, 0, 1} 0. 4: {0, 1, 2} own 1. 5: {1, 2} own 2.
    np.testing.assert_array_equal(majority(labels, path(6)), [0, 0, 0, 0, 1, 2])


def test_majority_changes_nothing_without_neighbours_or_with_agreement():
    np.testing.assert_array_equal(majority(TRUTH, sparse.csr_matrix((100, 100))), TRUTH)
    np.testing.assert_array_equal(majority(np.zeros(100, dtype=int), path(100)), 0)


def test_refine_keeps_a_domain_that_would_vanish():
    labels = np.array([0, 0, 1, 0, 0, 2, 0, 2, 2])
    # The lonely 1 would be outvoted and its domain gone; the 0 among the twos is outvoted; the 2 beside zeros too.
    np.testing.assert_array_equal(majority(labels, path(9)), [0, 0, 0, 0, 0, 0, 2, 2, 2])
    np.testing.assert_array_equal(refine(labels, path(9)), [0, 0, 1, 0, 0, 0, 2, 2, 2])


def test_explained_by_hand():
    labels = np.array([0, 0, 1, 1])
    counts = np.array([[3.0, 0], [1, 1], [0, 2], [1, 3]])
    # Counts of the domains: (4, 1) and (1, 5). For two genes one molecule, shared 5 : 6 as in the tissue, is added.
    first = 4 * np.log((4 + 5 / 11) / 6 / (5 / 11)) + 1 * np.log((1 + 6 / 11) / 6 / (6 / 11))
    second = 1 * np.log((1 + 5 / 11) / 7 / (5 / 11)) + 5 * np.log((5 + 6 / 11) / 7 / (6 / 11))
    assert explained(labels, sparse.csr_matrix(counts)) == pytest.approx((first + second) / 11)


def test_genes_that_nothing_has_and_numbers_that_no_spot_has_explain_nothing():
    """After a vote among neighbours groups may be gone; what they were called must not count."""
    generator = np.random.default_rng(0)
    counts = generator.poisson(1.0, size=(60, 8)).astype(float)
    labels = np.arange(60) % 2
    plain = explained(labels, sparse.csr_matrix(counts))
    assert explained(5 * labels + 1, sparse.csr_matrix(counts)) == pytest.approx(plain, rel=1e-12)
    more = sparse.csr_matrix(np.hstack([counts, np.zeros((60, 30))]))
    assert explained(labels, more) == pytest.approx(plain, rel=1e-12)


def test_a_domain_of_few_molecules_explains_little():
    """A lone spot has seen few of 2000 genes. Half a count for each of them would make it a tissue of its own."""
    rates = np.random.default_rng(1).gamma(0.3, 0.1, size=2000)
    counts = sparse.csr_matrix(np.random.default_rng(0).poisson(rates, size=(300, 2000)).astype(float))
    alone = np.arange(300) == 0
    joint = np.stack([counts[~alone].sum(axis=0).A1, counts[alone].sum(axis=0).A1]) / counts.sum()
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    information = float((joint[joint > 0] * np.log(joint[joint > 0] / apart[joint > 0])).sum())
    assert 0 < explained(alone.astype(int), counts) < information / 2


def test_explained_is_all_there_is_to_know_where_domains_share_no_gene():
    counts = sparse.csr_matrix(np.kron(np.eye(2), np.full((2, 1), 1e6)))
    assert explained(np.array([0, 0, 1, 1]), counts) == pytest.approx(np.log(2), abs=1e-4)


def test_explained_is_zero_where_labels_tell_nothing():
    generator = np.random.default_rng(0)
    counts = generator.poisson(50.0, size=(2000, 5)).astype(float)
    random = generator.integers(0, 4, 2000)
    assert 0 <= explained(random, sparse.csr_matrix(counts)) < 1e-4
    assert explained(np.zeros(2000, dtype=int), sparse.csr_matrix(counts)) == pytest.approx(0)


@given(seed=st.integers(0, 1000), k=st.integers(1, 5))
@settings(max_examples=25)
def test_explained_is_never_negative_and_ignores_names_and_order(seed, k):
    generator = np.random.default_rng(seed)
    counts = generator.poisson(1.0, size=(20, 4)).astype(float)
    labels = generator.integers(0, k, 20)
    labels[:k] = np.arange(k)
    value = explained(labels, sparse.csr_matrix(counts))
    assert value >= -1e-12
    names, order = generator.permutation(k), generator.permutation(20)
    assert explained(names[labels][order], sparse.csr_matrix(counts[order])) == pytest.approx(value)


@pytest.mark.parametrize("n_members", [1, 2, 9])
def test_of_equal_partitions_the_consensus_is_that_partition(n_members):
    labels = consensus([TRUTH] * n_members, 4, random_state=0)
    assert labels.dtype == np.int64
    assert same(labels, TRUTH)


def test_names_of_groups_do_not_matter():
    members = [noisy(TRUTH, 0.3, seed) for seed in range(8)]
    straight = consensus(members, 4, random_state=0)
    generator = np.random.default_rng(0)
    renamed = [generator.permutation(4)[labels] for labels in members]
    assert same(consensus(renamed, 4, random_state=0), straight)
    with_gaps = [labels * 3 + 1 for labels in members]
    assert same(consensus(with_gaps, 4, random_state=0), straight)


def test_the_order_of_spots_does_not_matter():
    members = [noisy(TRUTH, 0.25, seed) for seed in range(10)]
    straight = consensus(members, 4, random_state=0)
    order = np.random.default_rng(1).permutation(TRUTH.size)
    permuted = consensus([labels[order] for labels in members], 4, random_state=0)
    # The mixture starts from other spots, so a few at the borders may differ.
    assert adjusted_rand_score(permuted, straight[order]) > 0.9


def test_the_consensus_is_better_than_its_members():
    members = [noisy(TRUTH, 0.35, seed) for seed in range(15)]
    best = max(adjusted_rand_score(labels, TRUTH) for labels in members)
    assert adjusted_rand_score(consensus(members, 4, random_state=0), TRUTH) > best + 0.1


@pytest.mark.parametrize("k", [2, 3, 4, 6])
def test_exactly_so_many_groups(k):
    members = [noisy(TRUTH, 0.3, seed) for seed in range(6)]
    labels = consensus(members, k, random_state=0)
    np.testing.assert_array_equal(np.unique(labels), np.arange(k))


def test_members_may_have_other_numbers_of_groups():
    fine = TRUTH * 2 + np.arange(TRUTH.size) % 2
    coarse = TRUTH // 2
    assert same(consensus([fine, coarse, TRUTH, TRUTH, fine], 4, random_state=0), TRUTH)


def test_the_same_seed_gives_the_same_bytes():
    members = [noisy(TRUTH, 0.4, seed) for seed in range(6)]
    first, second = (consensus(members, 4, random_state=5) for _ in range(2))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize(("n", "c"), [(60, 20), (20, 60), (5, 3)])
def test_leading_singular_vectors(n, c):
    columns = np.random.default_rng(n).normal(size=(n, c)).astype(np.float32)
    found, strongest = _consensus._leading(columns, 3)
    _, values, rows = np.linalg.svd(columns.astype(float), full_matrices=False)
    assert strongest == pytest.approx(values[0], rel=1e-5)
    np.testing.assert_allclose(np.abs(rows[:3] @ found), np.eye(3), atol=1e-4)


def test_of_several_starts_that_counts_which_agrees_most(monkeypatch):
    """Partitions that err in two ways leave a mixture two ways to end."""
    coarse = np.repeat([0, 1, 2, 3, 3], 30)
    other = np.repeat([0, 0, 1, 2, 3], 30)
    partitions = [noisy(each, 0.15, seed) for seed, each in enumerate([coarse, other, coarse, other, coarse])]
    chosen = consensus(partitions, 4, random_state=0)
    monkeypatch.setattr(_consensus, "_STARTS", 1)
    single = [consensus(partitions, 4, random_state=start) for start in range(5)]

    def agrees(labels):
        return np.mean([adjusted_rand_score(labels, each) for each in partitions])

    assert agrees(chosen) == max(map(agrees, single))
    assert agrees(chosen) > min(map(agrees, single))


def test_agreement_by_hand():
    labels = np.array([0, 0, 0, 1, 1])
    members = [
        np.array([1, 1, 1, 0, 0]),  # the same by other names
        np.array([0, 0, 1, 1, 1]),  # the third spot elsewhere
        np.array([0, 0, 2, 1, 1]),  # the third spot in a group without a partner
    ]
    share = agreement(labels, members)
    assert share.dtype == np.float32
    np.testing.assert_allclose(share, [1, 1, 1 / 3, 1, 1])


def test_refine_keeps_a_domain_whose_last_spots_another_takes_back():
    edges = [(0, 1), (0, 2), *((1, each) for each in (3, 4, 5)), *((2, each) for each in (6, 7, 8))]
    rows, columns = np.array(edges).T
    graph = sparse.coo_matrix((np.ones(len(edges), dtype=np.float32), (rows, columns)), shape=(9, 9))
    labels = np.array([0, 1, 1, 2, 2, 2, 2, 2, 2])
    assert set(refine(labels, sparse.csr_matrix(graph + graph.T))) == {0, 1, 2}

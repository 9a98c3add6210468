from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

from semst.partitions._judges import _Tissue
from semst.partitions._select import choose, judge, tightest
from semst.partitions._similarity import similarity
from semst.pp._graphs import widen

SIDE = 16
ROW, COLUMN = np.divmod(np.arange(SIDE * SIDE), SIDE)
PLANTED = (ROW >= 5).astype(int) + (ROW >= 11)
WRONG = (COLUMN >= 5).astype(int) + (COLUMN >= 11)


@pytest.fixture(scope="module")
def graph():
    line = sparse.diags([np.ones(SIDE - 1)] * 2, [-1, 1], shape=(SIDE, SIDE))
    unit = sparse.identity(SIDE)
    return sparse.csr_matrix(sparse.kron(line, unit) + sparse.kron(unit, line))


def counts_of(labels, seed=0):
    """Each domain has three genes of its own among thirty."""
    generator = np.random.default_rng(seed)
    rate = np.full((labels.size, 30), 1.0)
    for domain in range(3):
        rate[labels == domain, 3 * domain : 3 * domain + 3] = 3.0
    return sparse.csr_matrix(generator.poisson(rate).astype(np.float32))


def noisy(labels, share, seed):
    generator = np.random.default_rng(seed)
    wrong = generator.random(labels.size) < share
    return np.where(wrong, generator.integers(0, 3, labels.size), labels)


def families(n_wrong=6, n_right=6, *, wrong=0.3, right=0.3):
    """Partitions that follow the columns and partitions that follow the rows, each with so much noise."""
    return [noisy(WRONG, wrong, seed) for seed in range(n_wrong)] + [
        noisy(PLANTED, right, 100 + seed) for seed in range(n_right)
    ]


def choose_for(partitions, labels, graph):
    return choose(partitions, 3, counts=counts_of(labels), graph=graph, random_state=0)


def test_between_families_of_one_size_the_counts_decide(graph):
    partitions = families()
    chosen = choose_for(partitions, PLANTED, graph)
    np.testing.assert_array_equal(np.unique(chosen), [0, 1, 2])
    assert adjusted_rand_score(chosen, PLANTED) > max(adjusted_rand_score(p, PLANTED) for p in partitions) + 0.05
    # With counts that follow the other family the same partitions give the other answer.
    assert adjusted_rand_score(choose_for(partitions, WRONG, graph), WRONG) > 0.5


def test_where_the_counts_say_nothing_agreement_decides(graph):
    partitions = families(4, 12)
    even = sparse.csr_matrix(np.ones((PLANTED.size, 5), dtype=np.float32))
    chosen = choose(partitions, 3, counts=even, graph=graph, random_state=0)
    assert adjusted_rand_score(chosen, PLANTED) > 0.5


def test_judge_prefers_the_truth_and_the_neighbourhood(graph):
    counts = counts_of(PLANTED)

    def value(labels):
        return judge(labels, counts=counts, graph=graph)

    assert value(PLANTED) > value(noisy(PLANTED, 0.2, 0)) > value(WRONG)
    # A pattern that holds for each spot alone earns little where its surroundings vote.
    generator = np.random.default_rng(0)
    types = generator.integers(0, 3, PLANTED.size)
    by_type = counts_of(types)
    alone = judge(types, counts=by_type, graph=sparse.csr_matrix(graph.shape))
    assert judge(types, counts=by_type, graph=widen(graph)) < alone / 3
    assert value(PLANTED) > judge(PLANTED, counts=counts, graph=sparse.csr_matrix(graph.shape)) / 1.5


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_few_partitions_are_enough(n, graph):
    partitions = [noisy(PLANTED, 0.1, seed) for seed in range(n)]
    chosen = choose_for(partitions, PLANTED, graph)
    np.testing.assert_array_equal(np.unique(chosen), [0, 1, 2])
    assert adjusted_rand_score(chosen, PLANTED) > 0.65


def test_the_same_seed_gives_the_same_bytes_and_partitions_stay_as_they_are(graph):
    partitions = families()
    before = [labels.copy() for labels in partitions]
    first, second = (choose_for(partitions, PLANTED, graph) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    for old, new in zip(before, partitions, strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_order_and_names_of_partitions_do_not_matter(graph):
    partitions = families()
    generator = np.random.default_rng(0)
    shuffled = [generator.permutation(3)[partitions[i]] for i in generator.permutation(len(partitions))]
    first, second = (choose_for(members, PLANTED, graph) for members in (partitions, shuffled))
    assert adjusted_rand_score(first, second) > 0.95


def test_tightest_is_the_one_with_least_variance_inside():
    latent = np.array([[0.0], [1.0], [10.0], [11.0]], dtype=np.float32)
    by_hand = np.array([0, 0, 1, 1])  # 4 * 0.25 = 1
    others = [np.array([0, 1, 1, 1]), np.array([0, 1, 0, 1]), np.array([0, 0, 0, 1])]
    assert tightest([*others, by_hand], 2, latent=latent) is by_hand
    assert tightest([by_hand], 2, latent=latent) is by_hand
    empty_group = np.array([0, 0, 2, 2])
    assert tightest([others[0], empty_group], 2, latent=latent) is empty_group


def test_fewer_groups_than_asked_for_are_an_error(graph):
    two = [labels.clip(max=1) for labels in families()]
    with pytest.raises(ValueError, match="does not fall into 3 groups"):
        choose_for(two, PLANTED, graph)
    with pytest.raises(ValueError, match="does not fall into 3 groups"):
        tightest(two, 3, latent=np.zeros((two[0].size, 2), dtype=np.float32))


def test_similarity_is_the_adjusted_rand_index_of_every_pair():
    generator = np.random.default_rng(0)
    partitions = [generator.integers(0, k, 50) for k in (2, 3, 3, 5)]
    expected = [[adjusted_rand_score(first, second) for second in partitions] for first in partitions]
    np.testing.assert_allclose(similarity(partitions), expected, atol=1e-12)


def test_what_is_explained_does_not_depend_on_the_unit_of_expression():
    rng = np.random.default_rng(0)
    counts = sparse.csr_matrix(rng.poisson(2.0, (60, 10)).astype(np.float32))
    labels = np.repeat(np.arange(3), 20)
    tissue = _Tissue(sparse.csr_matrix(counts * 1e-6), np.zeros(60, dtype=np.int64))
    members = np.eye(3, dtype=np.float32)[labels]
    np.testing.assert_allclose(tissue.shares(members).sum(axis=1), 1, rtol=1e-6)

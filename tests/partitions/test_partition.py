from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from semst.partitions._members import members
from semst.partitions._partition import PARTITIONS, NoPartitionError, kmeans, leiden, mixture
from semst.training._recipe import Recipe

SIZES = [40, 30, 25]
TRUTH = np.repeat(np.arange(3), SIZES)


def blobs(seed=0, spread=0.3):
    generator = np.random.default_rng(seed)
    centres = np.array([[0, 0, 0, 0], [6, 0, 0, 0], [0, 6, 0, 0]])
    return (centres[TRUTH] + spread * generator.normal(size=(TRUTH.size, 4))).astype(np.float32)


@pytest.mark.parametrize("partition", PARTITIONS)
def test_separated_blobs_are_found(partition):
    labels = PARTITIONS[partition](blobs(), 3, random_state=0)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(np.unique(labels), [0, 1, 2])
    assert adjusted_rand_score(labels, TRUTH) == 1


@pytest.mark.parametrize("partition", PARTITIONS)
@pytest.mark.parametrize("k", [3, 4, 6])
def test_so_many_groups_as_asked_for_and_the_same_bytes_again(partition, k):
    points = blobs(spread=1.5)
    first, second = (PARTITIONS[partition](points, k, random_state=1) for _ in range(2))
    np.testing.assert_array_equal(np.unique(first), np.arange(k))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("partition", PARTITIONS)
@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_the_scale_of_the_latent_does_not_matter(partition, scale):
    labels = PARTITIONS[partition]((blobs() * scale).astype(np.float32), 3, random_state=0)
    assert adjusted_rand_score(labels, TRUTH) == 1


def test_the_mixture_sees_through_a_direction_that_all_groups_share():
    """Two long parallel bands: k-means cuts across them, one covariance for all groups takes their length out."""
    generator = np.random.default_rng(0)
    band = np.repeat([0, 1], 150)
    points = np.stack([20 * generator.normal(size=300), 3.0 * band + 0.3 * generator.normal(size=300)], axis=1)
    points = points.astype(np.float32)
    found = max(adjusted_rand_score(mixture(points, 2, random_state=seed), band) for seed in range(10))
    assert found > 0.95
    assert max(adjusted_rand_score(kmeans(points, 2, random_state=seed), band) for seed in range(10)) < 0.1


def test_the_mixture_cuts_groups_that_are_points():
    points = np.eye(3, dtype=np.float32)[TRUTH] * 7
    assert adjusted_rand_score(mixture(points, 3, random_state=0), TRUTH) == 1


def test_leiden_in_threads_gives_what_it_gives_alone():
    """It draws from the one generator of its library, which threads must not seed for each other."""
    points = blobs(spread=3.0)

    def cut(seed):
        return leiden(points, 5, random_state=seed)

    alone = [cut(seed) for seed in range(12)]
    with ThreadPoolExecutor(4) as executor:
        for _ in range(3):
            for one, other in zip(alone, executor.map(cut, range(12)), strict=True):
                np.testing.assert_array_equal(one, other)


def test_leiden_says_when_it_cannot_give_so_many_groups():
    # Far apart, the 15 nearest neighbours of each spot lie in its own blob: three groups at the least.
    with pytest.raises(ValueError, match=r"no Leiden resolution gives exactly 2 groups here; use partition='mixture'"):
        leiden(blobs(spread=0.01), 2, random_state=0)


def test_leiden_cannot_cut_fewer_spots_than_groups():
    with pytest.raises(ValueError, match="no Leiden resolution gives exactly 60 groups"):
        leiden(blobs()[:50], 60, random_state=0)


def test_members_cut_every_latent_at_every_number_of_components():
    first, second = blobs(0), blobs(1)
    recipe = Recipe(member_components=(1, 2, 3), partition="kmeans", starts=2)
    found = members([first, second], recipe, 3, random_state=0)
    assert len(found) == 2 * 3 * 2
    for labels in found:
        assert labels.dtype == np.int64
        np.testing.assert_array_equal(np.unique(labels), np.arange(labels.max() + 1))
    # Two components hold the three blobs, one does not.
    assert all(adjusted_rand_score(found[i], TRUTH) == 1 for i in (2, 3, 4, 5))


def test_members_take_each_width_once_and_zero_for_the_latent_itself():
    latent = blobs()
    recipe = Recipe(member_components=(10, 15, 20), partition="kmeans", starts=1)
    wide = members([latent], recipe, 3, random_state=0)
    assert len(wide) == 1  # a latent of 4 has no more components
    (itself,) = members([latent], replace(recipe, member_components=(0,)), 3, random_state=7)
    np.testing.assert_array_equal(itself, np.unique(kmeans(latent, 3, random_state=7), return_inverse=True)[1])


def test_cuts_that_fail_are_left_out(monkeypatch):
    def fails(points, n_clusters, *, random_state):
        if random_state % 2 or n_clusters == 9:
            raise NoPartitionError("not so many")
        return kmeans(points, n_clusters, random_state=random_state)

    monkeypatch.setitem(PARTITIONS, "leiden", fails)
    recipe = Recipe(member_components=(1, 2), partition="leiden", starts=3)
    found = members([blobs(), blobs(1)], recipe, 3, random_state=0)
    assert len(found) == 2 * 2 * 2  # starts 0 and 2 of three
    with pytest.raises(NoPartitionError, match="not so many"):
        members([blobs()], recipe, 9, random_state=0)


def test_components_are_the_leading_ones_whatever_the_offset():
    from semst.partitions._members import _components

    latent = blobs(spread=1.0) + np.array([1000, -500, 3, 0], dtype=np.float32)
    got = _components(latent)
    centred = latent.astype(float) - latent.mean(axis=0, dtype=float)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    expected = left * singular
    np.testing.assert_allclose(got * np.sign((got * expected).sum(axis=0)), expected, atol=1e-3)


def test_leiden_asks_for_neighbours_one_at_a_time(monkeypatch):
    """Threads of numba end the process on some machines where two of ours call them."""
    import scanpy as sc

    from semst.partitions import _partition

    neighbors, held = sc.pp.neighbors, []

    def watched(*args, **options):
        held.append(_partition._ONE_AT_A_TIME.locked())
        return neighbors(*args, **options)

    monkeypatch.setattr(sc.pp, "neighbors", watched)
    PARTITIONS["leiden"](blobs(), 3, random_state=0)
    assert held == [True]

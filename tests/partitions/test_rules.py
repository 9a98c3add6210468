from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from semst import _sample
from semst.nn._processes import Processes, in_order
from semst.partitions._members import members
from semst.partitions._partition import PARTITIONS, NoPartitionError
from semst.partitions._rules import partition_all, rule
from semst.training._recipe import Recipe

TRUTH = np.repeat(np.arange(3), [400, 300, 250])


def blobs(spread):
    centres = np.array([[0, 0, 0, 0], [6, 0, 0, 0], [0, 6, 0, 0]])
    noise = np.random.default_rng(0).normal(size=(TRUTH.size, 4)) * [3, 1, 1, 0.2]
    return (centres[TRUTH] + spread * noise + 100).astype(np.float32)


@pytest.fixture
def large(large_above):
    """Let 950 spots be more than are fitted at once."""
    large_above(200)


def test_a_mixture_goes_on_by_its_own_posterior():
    points = blobs(1.5)
    some = points[::3]
    peer = GaussianMixture(3, covariance_type="tied", random_state=0).fit(some.astype(np.float64))
    expected = peer.predict(points.astype(np.float64))
    assert 0.2 < adjusted_rand_score(expected, TRUTH) < 0.99  # they overlap, so that the priors and covariance matter
    found = rule(some, 3, partition="mixture", random_state=0)(points)
    assert (found == expected).mean() > 0.998  # float32 decides ties otherwise


def test_kmeans_goes_on_by_the_nearest_mean():
    points = blobs(1.5)
    expected = KMeans(3, random_state=1, n_init=1).fit(points[::3]).predict(points)
    found = rule(points[::3], 3, partition="kmeans", random_state=1)(points)
    assert adjusted_rand_score(found, expected) > 0.99


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("partition", PARTITIONS)
def test_all_spots_join_the_groups_of_a_sample(partition):
    labels = partition_all(blobs(0.3), 3, partition=partition, random_state=0)
    assert labels.dtype == np.int64
    assert adjusted_rand_score(labels, TRUTH) == 1


@pytest.mark.usefixtures("large")
def test_cuts_of_large_tissue_that_fail_are_left_out(monkeypatch):
    """As on small tissue; see test_partition."""

    def fails(points, n_clusters, *, random_state):
        if random_state % 2 or n_clusters == 9:
            raise NoPartitionError("not so many")
        return PARTITIONS["kmeans"](points, n_clusters, random_state=random_state)

    monkeypatch.setitem(PARTITIONS, "leiden", fails)
    recipe = Recipe(member_components=(0, 2), partition="leiden", starts=3)
    assert len(members([blobs(0.5)], recipe, 3, random_state=0)) == 2 * 2
    with pytest.raises(NoPartitionError, match="not so many"):
        members([blobs(0.5)], recipe, 9, random_state=0)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("partition", ["mixture", "kmeans"])
def test_members_of_large_tissue_are_those_that_are_fitted_on_the_sample(partition):
    points = blobs(0.5)
    recipe = Recipe(member_components=(0, 2, 3), partition=partition, starts=2)
    found = members([points, points[:, :3]], recipe, 3, random_state=0)
    assert len(found) == 2 * 3 * 2
    itself = partition_all(points, 3, partition=partition, random_state=0)
    assert adjusted_rand_score(found[0], itself) > 0.99
    for labels in found:
        assert labels.shape == TRUTH.shape
        np.testing.assert_array_equal(np.unique(labels), np.arange(labels.max() + 1))


def test_the_sample():
    np.testing.assert_array_equal(_sample.sample(7, 0), np.arange(7))
    assert not _sample.is_large(5_000)
    assert _sample.is_large(5_001)
    drawn = _sample.sample(50_000, 3)
    assert drawn.size == np.unique(drawn).size == 5_000
    assert (np.diff(drawn) > 0).all()
    np.testing.assert_array_equal(drawn, _sample.sample(50_000, 3))
    covered = np.concatenate([np.arange(50_001)[some] for some in _sample.chunks(50_001)])
    np.testing.assert_array_equal(covered, np.arange(50_001))


@pytest.mark.usefixtures("large")
def test_processes_share_the_latents_of_large_tissue(monkeypatch):
    """Each of three cuts its own, and all get the partitions of one process in its order."""
    recipe = Recipe(member_components=(2, 3), starts=1)
    latents = [blobs(spread) for spread in (0.5, 1.0, 1.5, 2.0)]
    alone = members(latents, recipe, 3, random_state=0)
    found = []
    monkeypatch.setattr(Processes, "gathered", lambda _, mine: found.append(mine) or mine)
    for rank in range(3):
        members(latents, recipe, 3, random_state=0, processes=Processes(rank, 3))
    assert [len(mine) for mine in found] == [2, 1, 1]
    together = [labels for cuts in in_order(found) for labels in cuts]
    assert len(together) == len(alone) == 8
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one, other)

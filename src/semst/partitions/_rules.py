"""Partitions of more spots than are fitted at once: groups of a sample, and a rule that assigns all others to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from semst._sample import is_large, sample
from semst.partitions._mixture import fit_mixture
from semst.partitions._partition import PARTITIONS
from semst.partitions._rule import Rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semst.training._recipe import Partition


def rule(points: NDArray[np.float32], n_clusters: int, *, partition: Partition, random_state: int) -> Rule:
    """Partition some points and say by which rule others join their groups.

    A mixture goes on by its own posterior; the groups of k-means and Leiden take what lies nearest to their means.

    Parameters
    ----------
    points
        ``(n, d)``: the sample.
    n_clusters, partition, random_state
        As :data:`semst.partitions._partition.PARTITIONS`.
    """
    if partition == "mixture":
        return fit_mixture(points, n_clusters, random_state=random_state)
    labels = PARTITIONS[partition](points, n_clusters, random_state=random_state)
    means = np.stack([points[labels == group].mean(axis=0, dtype=np.float64) for group in np.unique(labels)])
    return Rule(means.T, -np.square(means).sum(axis=1) / 2)


def partition_all(
    points: NDArray[np.float32], n_clusters: int, *, partition: Partition, random_state: int
) -> NDArray[np.int64]:
    """Partition all points ``(n, d)``, on large tissue by the groups of a sample."""
    if not is_large(len(points)):
        return PARTITIONS[partition](points, n_clusters, random_state=random_state)
    some = points[sample(len(points), random_state)]
    return rule(some, n_clusters, partition=partition, random_state=random_state)(points)

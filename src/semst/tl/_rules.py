"""Partitions of more spots than are fitted at once: groups of a sample, and a rule that assigns all others to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from semst.pp._sample import chunks, is_large, sample
from semst.tl._partition import PARTITIONS, fit_mixture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semst.tl._partition import Partition


@dataclass(frozen=True)
class Rule:
    r"""Which group a point belongs to: the one of highest :math:`x W + b`.

    Nearest means and mixtures with one covariance for all groups are both of this form.

    Parameters
    ----------
    weights
        ``(d, k)`` float64.
    offsets
        ``(k,)`` float64.
    """

    weights: NDArray[np.float64]
    offsets: NDArray[np.float64]

    def __call__(self, points: NDArray[np.float32]) -> NDArray[np.int64]:
        """Assign points ``(n, d)``: labels ``(n,)`` from 0."""
        return np.concatenate(
            [(points[some] @ self.weights + self.offsets).argmax(axis=1) for some in chunks(len(points))]
        ).astype(np.int64)


def rule(points: NDArray[np.float32], n_clusters: int, *, partition: Partition, random_state: int) -> Rule:
    r"""Partition some points and say by which rule others join their groups.

    A mixture goes on by its own posterior, whose logarithm is, up to what all groups share,

    .. math::

        x^\top \Sigma^{-1} \mu_k - \tfrac12 \mu_k^\top \Sigma^{-1} \mu_k + \log \pi_k

    The groups of k-means and Leiden take what lies nearest to their means.

    Parameters
    ----------
    points
        ``(n, d)``: the sample.
    n_clusters, partition, random_state
        As :data:`semst.tl._partition.PARTITIONS`.
    """
    if partition == "mixture":
        model = fit_mixture(points, n_clusters, random_state=random_state)
        means, offsets = model.means_.astype(np.float64), np.log(model.weights_)
        weights = model.precisions_.astype(np.float64) @ means.T
    else:
        labels = PARTITIONS[partition](points, n_clusters, random_state=random_state)
        means = np.stack([points[labels == group].mean(axis=0, dtype=np.float64) for group in np.unique(labels)])
        weights, offsets = means.T, np.zeros(len(means))
    return Rule(weights, offsets - np.einsum("kd,dk->k", means, weights) / 2)


def partition_all(
    points: NDArray[np.float32], n_clusters: int, *, partition: Partition, random_state: int
) -> NDArray[np.int64]:
    """Partition all points ``(n, d)``, on large tissue by the groups of a sample."""
    if not is_large(len(points)):
        return PARTITIONS[partition](points, n_clusters, random_state=random_state)
    some = points[sample(len(points), random_state)]
    return rule(some, n_clusters, partition=partition, random_state=random_state)(points)

"""Cutting a latent into a given number of groups. Each function: ``(n, d)`` in, ``(n,)`` int64 labels from 0 out."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from semst.partitions._mixture import fit_mixture

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from semst.training._recipe import Partition

# Leiden draws from igraph's one generator, which threads would seed under each other's feet, and one of the ways in
# which numba shares work among threads ends the process where several threads call it.
_ONE_AT_A_TIME = Lock()
_MAX_TRIALS = 40  # resolutions tried by leiden; halving an interval 40 times exhausts its precision


class NoPartitionError(ValueError):
    """Points cannot be cut into so many groups."""


def mixture(points: NDArray[np.float32], n_clusters: int, *, random_state: int) -> NDArray[np.int64]:
    """Gaussian mixture with one covariance for all groups, started from k-means.

    The covariance takes out what varies alike in all groups, which k-means cannot. R users know the model as mclust's
    EEE.

    References
    ----------
    Scrucca et al., *The R Journal* 8, 2016.
    """
    return fit_mixture(points, n_clusters, random_state=random_state)(points)


def kmeans(points: NDArray[np.float32], n_clusters: int, *, random_state: int) -> NDArray[np.int64]:
    """k-means, one start by k-means++: the published last step."""
    from sklearn.cluster import KMeans

    model = KMeans(n_clusters, random_state=random_state, n_init=1)
    labels: NDArray[np.int64] = model.fit(points).predict(points).astype(np.int64)
    return labels


def leiden(points: NDArray[np.float32], n_clusters: int, *, random_state: int) -> NDArray[np.int64]:
    """Leiden on the 15 nearest neighbours, at a resolution (found by bisection) that gives ``n_clusters`` groups.

    Raises
    ------
    ImportError
        If igraph and leidenalg, the extra ``semst[leiden]``, are not installed.
    NoPartitionError
        If no resolution gives exactly so many groups.

    References
    ----------
    Traag et al., *Scientific Reports* 9, 2019.
    """
    import scanpy as sc
    from anndata import AnnData

    graph = AnnData(obsm={"latent": points})
    with _ONE_AT_A_TIME:
        sc.pp.neighbors(graph, use_rep="latent", n_neighbors=min(15, len(points) - 1), random_state=random_state)

    def groups(resolution: float) -> NDArray[np.int64]:
        with _ONE_AT_A_TIME:
            sc.tl.leiden(
                graph,
                resolution=resolution,
                random_state=random_state,
                flavor="igraph",
                n_iterations=2,
                directed=False,
            )
        return np.asarray(graph.obs["leiden"].cat.codes, dtype=np.int64)

    low, high = 0.0, 1.0
    labels = groups(high)
    while labels.max() + 1 < n_clusters and high < 64:
        low, high = high, 2 * high
        labels = groups(high)
    for _ in range(_MAX_TRIALS):
        found = labels.max() + 1
        if found == n_clusters:
            return labels
        middle = (low + high) / 2
        labels = groups(middle)
        low, high = (middle, high) if labels.max() + 1 < n_clusters else (low, middle)
    message = f"no Leiden resolution gives exactly {n_clusters} groups here; use partition='mixture'."
    raise NoPartitionError(message)


PARTITIONS: dict[Partition, Callable[..., NDArray[np.int64]]] = {
    "mixture": mixture,
    "kmeans": kmeans,
    "leiden": leiden,
}

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from semst.tl._device import cores
from semst.tl._partition import PARTITIONS, Partition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from semst.tl._recipe import Recipe


def members(
    latents: Sequence[NDArray[np.float32]],
    recipe: Recipe,
    n_clusters: int,
    *,
    partition: Partition,
    random_state: int,
) -> list[NDArray[np.int64]]:
    """Cut every latent, at every number of components the recipe names.

    Parameters
    ----------
    latents
        Each ``(n, d)``.
    recipe
        Says how many components.
    n_clusters
        Groups in each partition.
    partition
        How they are cut.
    random_state
        Seed.

    Returns
    -------
    Partitions, each ``(n,)`` int64 labels from 0 without gaps.
    """
    points = [
        components[:, :width] if width else latent
        for latent in latents
        for components in [_components(latent)]
        for width in sorted({min(width, latent.shape[1]) for width in recipe.member_components})
    ]

    def cut(task: tuple[NDArray[np.float32], int]) -> NDArray[np.int64]:
        labels = PARTITIONS[partition](task[0], n_clusters, random_state=random_state + task[1])
        return np.unique(labels, return_inverse=True)[1].astype(np.int64)

    # Many small problems: threads inside each would wait for each other longer than they work.
    with threadpool_limits(1), ThreadPoolExecutor(cores()) as executor:
        return list(executor.map(cut, [(each, start) for each in points for start in range(recipe.starts)]))


def _components(latent: NDArray[np.float32]) -> NDArray[np.float32]:
    """Principal components of a latent, by the small covariance matrix; signs do not matter to a partition."""
    centred = latent.astype(np.float64) - latent.mean(axis=0, dtype=np.float64)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    result: NDArray[np.float32] = (centred @ vectors[:, ::-1]).astype(np.float32)
    return result

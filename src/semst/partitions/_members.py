from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from tqdm.auto import tqdm

from semst._sample import chunks, is_large, sample
from semst.nn._processes import ALONE
from semst.partitions._partition import PARTITIONS, NoPartitionError
from semst.partitions._rules import rule
from semst.training._workers import pool

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from semst.nn._processes import Processes
    from semst.training._recipe import Recipe

    _T = TypeVar("_T")
    _Label = TypeVar("_Label", bound=np.integer[Any])


def members(
    latents: Sequence[NDArray[np.float32]],
    recipe: Recipe,
    n_clusters: int,
    *,
    random_state: int,
    processes: Processes = ALONE,
    progress: bool = False,
) -> Sequence[NDArray[np.integer[Any]]]:
    """Cut every latent, at every number of components the recipe names.

    Parameters
    ----------
    latents
        Each ``(n, d)``.
    recipe
        Says how many components, how they are cut, and from how many starts.
    n_clusters
        Groups in each partition.
    random_state
        Seed.
    processes
        Those that share the latents of large tissue; each of them calls this.
    progress
        Whether a bar is shown.

    Returns
    -------
    Partitions, each ``(n,)`` int64 labels from 0 without gaps; int16 on large tissue, where the groups are those of a
    sample of the spots, to which the others are assigned.

    Raises
    ------
    NoPartitionError
        If no cut gives so many groups.
    """
    if is_large(len(latents[0])):
        return _members_of_sample(
            latents, recipe, n_clusters, random_state=random_state, processes=processes, progress=progress
        )
    points = [
        components[:, :width] if width else latent
        for latent in latents
        for components in [_components(latent)]
        for width in sorted({min(width, latent.shape[1]) for width in recipe.member_components})
    ]

    def cut(task: tuple[NDArray[np.float32], int]) -> NDArray[np.int64] | NoPartitionError:
        try:
            labels = PARTITIONS[recipe.partition](task[0], n_clusters, random_state=random_state + task[1])
        except NoPartitionError as error:
            return error
        return np.unique(labels, return_inverse=True)[1].astype(np.int64)

    tasks = [(each, start) for each in points for start in range(recipe.starts)]
    with pool() as executor:
        return _those_that_came_about(list(_watched(executor.map(cut, tasks), len(tasks), progress=progress)))


def _watched(found: Iterable[_T], n: int, *, progress: bool) -> Iterable[_T]:
    """Show how many of ``n`` cuts are done, if asked."""
    watched: Iterable[_T] = tqdm(found, desc="partitions", total=n, disable=not progress)
    return watched


def _those_that_came_about(found: Sequence[NDArray[_Label] | NoPartitionError]) -> list[NDArray[_Label]]:
    """Leave out the cuts that failed; where all have, say why the first did."""
    partitions = [each for each in found if not isinstance(each, NoPartitionError)]
    if not partitions:
        raise next(each for each in found if isinstance(each, NoPartitionError))
    return partitions


def _members_of_sample(
    latents: Sequence[NDArray[np.float32]],
    recipe: Recipe,
    n_clusters: int,
    *,
    random_state: int,
    processes: Processes,
    progress: bool,
) -> list[NDArray[np.int16]]:
    """Fit every partition on the same sample of spots, and assign all spots in one pass over each latent."""
    known = sample(len(latents[0]), random_state)

    def cut(latent: NDArray[np.float32]) -> list[NDArray[np.int16] | NoPartitionError]:
        some = latent[known]
        mean, axes = _axes(some)
        turned = ((some - mean) @ axes).astype(np.float32)
        weights, offsets, failed = [], [], []
        for width in sorted({min(width, latent.shape[1]) for width in recipe.member_components}):
            points, turn = (turned[:, :width], axes[:, :width]) if width else (some - mean, np.eye(latent.shape[1]))
            for start in range(recipe.starts):
                try:
                    fitted = rule(
                        points.astype(np.float32),
                        n_clusters,
                        partition=recipe.partition,
                        random_state=random_state + start,
                    )
                except NoPartitionError as error:
                    failed.append(error)
                    continue
                weights.append(turn @ fitted.weights)
                offsets.append(fitted.offsets - mean @ weights[-1])
        return [*(_assign(latent, weights, offsets) if weights else []), *failed]

    mine = [latents[number] for number in processes.mine(len(latents))]
    with pool() as executor:
        cuts = processes.gathered(list(_watched(executor.map(cut, mine), len(mine), progress=progress)))
    return _those_that_came_about([labels for found in cuts for labels in found])


def _assign(
    latent: NDArray[np.float32], weights: list[NDArray[np.float64]], offsets: list[NDArray[np.float64]]
) -> list[NDArray[np.int16]]:
    """Follow several linear rules with as many groups each, all in one product; labels have no gaps."""
    groups = offsets[0].size
    labels = np.empty((len(weights), len(latent)), dtype=np.int16)
    together, threshold = np.concatenate(weights, axis=1).astype(np.float32), np.concatenate(offsets)
    for some in chunks(len(latent)):
        scores = latent[some] @ together + threshold
        labels[:, some] = scores.reshape(-1, len(weights), groups).argmax(axis=2).T
    for each in labels:
        used = np.bincount(each, minlength=groups) > 0
        each[:] = (np.cumsum(used) - 1)[each]
    return list(labels)


def _axes(latent: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean of a latent and its principal axes in columns, by the small covariance matrix."""
    mean = latent.mean(axis=0, dtype=np.float64)
    centred = latent.astype(np.float64) - mean
    return mean, np.linalg.eigh(centred.T @ centred)[1][:, ::-1]


def _components(latent: NDArray[np.float32]) -> NDArray[np.float32]:
    """Principal components of a latent; signs do not matter to a partition."""
    mean, axes = _axes(latent)
    result: NDArray[np.float32] = ((latent.astype(np.float64) - mean) @ axes).astype(np.float32)
    return result

"""How many domains a tissue has, told by what comes out again when only half of the molecules are looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse

from semst._sample import is_large
from semst.nn import normalised_adjacency
from semst.partitions._members import members
from semst.partitions._partition import NoPartitionError
from semst.partitions._similarity import similarity
from semst.training._recipe import DEFAULT, View
from semst.training._sections import features, rings
from semst.training._tissue_tiles import extract

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from semst.training._recipe import Partition, Recipe
    from semst.training._sections import Tissue

_VIEWS = (View("log", 1), View("sqrt", 2))
_RECIPE = replace(DEFAULT, member_components=(12,), starts=2)
_SPLITS = 3
_MOST = 15  # domains that are thought of
_SPOTS_PER_DOMAIN = 10  # on small tissue fewer domains are thought of


@dataclass(frozen=True)
class Stability:
    """A curve over numbers of domains.

    Parameters
    ----------
    n_clusters
        ``(m,)`` int64: the numbers that were tried.
    values
        ``(m, splits)`` float64, at most 1: the stability of each, in each split of the molecules.
    """

    n_clusters: NDArray[np.int64]
    values: NDArray[np.float64]

    @property
    def best(self) -> int:
        """The number of highest mean stability; the smallest of those that are tied."""
        return int(self.n_clusters[self.values.mean(axis=1).argmax()])


def stability(tissue: Tissue, *, partition: Partition, random_state: int) -> Stability:
    r"""Measure how well each number of domains is reproduced.

    The molecules of each spot are dealt to two halves, which are two independent measurements of the same tissue. Each
    is partitioned on its own (principal components, averaged over the neighbourhood; no network) into 2, 3, ... groups.
    A number of domains is stable where the partition of one half is found again in the other, also where that one has a
    group less or a group more.

    .. math::

        S(k) = \tfrac13 \left( A(k, k - 1) + A(k, k) + A(k, k + 1) \right), \qquad
        A(k, l) = \operatorname{mean} \mathrm{ARI}(P^{(1)}_k, P^{(2)}_l)

    with the mean over both orders of the halves, over views and over starts; :math:`A(2, 1) = 0`, since one group says
    nothing about two, and 0 with a number of groups that no cut gives, as may be with Leiden.

    Parameters
    ----------
    tissue
        With raw counts.
    partition
        How they are cut.
    random_state
        Seed of the split and of the partitions; and, on large tissue, of the patches that are looked at.

    References
    ----------
    Neufeld et al., *Biostatistics* 25, 2024 (binomial thinning of counts); Varrone et al., *Nature Genetics* 56, 2024
    (CellCharter: agreement of neighbouring numbers of clusters).
    """
    if is_large(tissue.counts.shape[0]):
        tissue = extract(tissue, random_state)
    highest = max(min(_MOST, tissue.counts.shape[0] // _SPOTS_PER_DOMAIN), 3)
    numbers = range(2, highest + 1)
    generator = np.random.default_rng(random_state)
    recipe = replace(_RECIPE, partition=partition)
    curves = []
    for _ in range(_SPLITS):
        halves = [_latents(half, random_state) for half in _split(tissue, generator)]
        first, second = (
            {k: _cut(latents, recipe, k, random_state) for k in range(2, highest + 2)} for latents in halves
        )
        same = np.array([_agreement(first[k], second[k]) for k in numbers])
        more = np.array(
            [(_agreement(first[k], second[k + 1]) + _agreement(second[k], first[k + 1])) / 2 for k in numbers]
        )
        less = np.concatenate([[0.0], more[:-1]])
        curves.append((less + same + more) / 3)
    return Stability(np.array(numbers), np.stack(curves, axis=1))


def _split(tissue: Tissue, generator: np.random.Generator) -> tuple[Tissue, Tissue]:
    """Deal each molecule to one of two halves by the toss of a coin."""
    one: Any = tissue.counts.copy()
    one.data = generator.binomial(one.data.astype(np.int64), 0.5).astype(np.float32)
    halves = [sparse.csr_matrix(half, dtype=np.float32) for half in (one, tissue.counts - one)]
    for half in halves:
        half.eliminate_zeros()
    first, second = (replace(tissue, counts=half) for half in halves)
    return first, second


def _latents(half: Tissue, random_state: int) -> list[NDArray[np.float32]]:
    """Compute what is cut: for each view, features averaged over the neighbourhood."""
    latents = []
    for view in _VIEWS:
        read = features(half, view.transform, _RECIPE, likelihood="zinb", random_state=random_state)
        latents.append((normalised_adjacency(rings(half.graph, view.rings)) @ torch.from_numpy(read)).numpy())
    return latents


def _cut(
    latents: Sequence[NDArray[np.float32]], recipe: Recipe, n_clusters: int, random_state: int
) -> Sequence[NDArray[np.integer[Any]]]:
    """Cut the latents of a half into so many groups; no partitions where that cannot be done."""
    try:
        return members(latents, recipe, n_clusters, random_state=random_state)
    except NoPartitionError:
        return []


def _agreement(partitions: Sequence[NDArray[np.integer[Any]]], others: Sequence[NDArray[np.integer[Any]]]) -> float:
    """Mean adjusted Rand index of each partition with each of the others; 0 where there are none."""
    n = len(partitions)
    if not n or not others:
        return 0.0
    return float(similarity([*partitions, *others])[:n, n:].mean())

"""From what networks leave to domains: many partitions, and the choice among them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from semst.clustering._write import by_size
from semst.nn._processes import ALONE
from semst.partitions._consensus import agreement
from semst.partitions._members import members
from semst.partitions._refine import refine
from semst.partitions._select import Bench, choose, judge, tightest
from semst.partitions._settled import unsettled
from semst.partitions._stability import stability
from semst.pp._graphs import widen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from semst.clustering._checks import ClusterOptions
    from semst.nn._processes import Processes
    from semst.partitions._stability import Stability
    from semst.training._recipe import Recipe
    from semst.training._sections import Tissue
    from semst.training._trained import Trained

logger = logging.getLogger("semst")


@dataclass(frozen=True)
class Domains:
    """Domains of a tissue.

    Parameters
    ----------
    numbers
        ``(n,)`` number of each spot's domain, from 1, the largest first.
    confidence
        ``(n,)`` float32 in [0, 1]: share of the partitions that put the spot there.
    score
        How well the domains explain the counts, nats per molecule.
    n_clusters
        How many.
    n_partitions
        From which they were chosen.
    curve
        Where the number of domains was chosen, why.
    doubts
        Fits that found fewer groups than asked for, or did not converge.
    """

    numbers: NDArray[np.int64]
    confidence: NDArray[np.float32]
    score: float
    n_clusters: int
    n_partitions: int
    curve: Stability | None
    doubts: int


def find_domains(
    trained: Trained,
    tissue: Tissue,
    recipe: Recipe,
    options: ClusterOptions,
    *,
    processes: Processes = ALONE,
    progress: bool = False,
) -> Domains:
    """Cut the latents of a tissue as the recipe and the options of :func:`semst.tl.cluster` say.

    Several processes share the latents of large tissue; all of them find the same.

    Raises
    ------
    ValueError
        If spots do not fall into so many groups.
    """
    random_state, n_clusters = options.random_state, options.n_clusters
    curve = None
    if n_clusters is None:
        with unsettled():  # numbers that the tissue has not are tried as well
            curve = stability(tissue, partition=recipe.partition, random_state=random_state)
        n_clusters = curve.best
        logger.info("the most stable number of domains is %d; see semst.pl.stability.", n_clusters)
    with unsettled() as doubts:
        partitions = members(
            trained.latents, recipe, n_clusters, random_state=random_state, processes=processes, progress=progress
        )
        if curve is not None:
            _check_groups(partitions, n_clusters)
        bench = Bench.of(tissue.counts, tissue.graph, random_state=random_state, slices=tissue.slices)
        if recipe.selection == "consensus":
            with threadpool_limits(1):
                labels = choose(partitions, n_clusters, **vars(bench), random_state=random_state)
        else:
            labels = tightest(partitions, n_clusters, latent=trained.latent)
    if options.refine:
        labels = refine(labels, widen(tissue.graph))
    return Domains(
        numbers=by_size(labels),
        confidence=agreement(labels, partitions),
        score=judge(labels, **vars(bench)),
        n_clusters=n_clusters,
        n_partitions=len(partitions),
        curve=curve,
        doubts=len(doubts),
    )


def _check_groups(partitions: Sequence[NDArray[np.integer[Any]]], n_clusters: int) -> None:
    """Say that a number of domains that nobody asked for is not to be had; one that was asked for is told elsewhere."""
    if all(np.unique(labels).size < n_clusters for labels in partitions):
        message = (
            f"semst.tl.cluster: the {len(partitions[0])} spots do not fall into {n_clusters} groups, the number that "
            "was chosen since none was given; pass n_clusters (at least 2), or take more spots: these are too few or "
            "too much alike."
        )
        raise ValueError(message)

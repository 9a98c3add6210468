"""The arms of the semantic control: equal molecules, places and seeds; true, permuted and no gene vectors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from semst._slices import side_by_side, slice_sums, sums_of_slices
from semst._smoothness import smoothness
from semst.metrics import agreement
from semst.partitions._majority import majority
from semst.partitions._members import members
from semst.partitions._select import Bench, choose
from semst.partitions._settled import unsettled
from semst.partitions._similarity import indicator, similarity
from semst.pp._graphs import widen
from semst.training._sections import Tissue, choose_genes
from semst.training._train import train

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from numpy.typing import NDArray

    from semst.pp._pool import Pooling
    from semst.training._recipe import Recipe

ARMS = ("semantics", "permuted", "none")
_COLUMNS = ("arm", "seed", "stability", "agreement", "held_out", "pas", "chaos", "ari")

# Added to a seed, so that permutation and molecules are drawn apart from the training; the first is the benchmarks'.
_PERMUTATION, _MOLECULES = 1000, 2000


@dataclass(frozen=True)
class Setting:
    """What all arms share.

    Parameters
    ----------
    counts
        ``(n, g)`` float32 CSR of raw counts.
    coordinates
        ``(n, 2)``.
    graph
        ``(n, n)`` CSR of ones: the spatial graph.
    meaning
        True gene vectors, and how spots come to theirs.
    reference
        ``(n,)`` experts' labels, only for scoring; None where there are none.
    recipe, n_clusters, n_top_genes, held_out, device
        As in :func:`semst.tl.semantic_control`.
    slices
        ``(n,)`` number of each spot's slice, from 0; None where there is one.
    """

    counts: sparse.csr_matrix
    coordinates: NDArray[np.float64]
    graph: sparse.csr_matrix
    meaning: Pooling
    reference: pd.Series | None
    recipe: Recipe
    n_clusters: int
    n_top_genes: int
    held_out: float
    device: torch.device
    slices: NDArray[np.int64] | None = None


def run_arms(setting: Setting, seeds: Sequence[int], *, progress: bool) -> pd.DataFrame:
    """Find domains in every arm with every seed, and measure them.

    Returns
    -------
    A row for each run, arm by arm; columns as :func:`semst.tl.semantic_control` documents them.
    """
    around, slices = widen(widen(setting.graph)), setting.slices
    places = setting.coordinates if slices is None else side_by_side(setting.coordinates, slices)
    rows, partitions = [], []
    with tqdm(total=len(ARMS) * len(seeds), desc="semantic control", unit="run", disable=not progress) as bar:
        for seed in seeds:
            training, unseen = deal(
                setting.counts, setting.held_out, generator=np.random.default_rng(_MOLECULES + seed)
            )
            genes = choose_genes(
                training, setting.graph, setting.recipe, n_top_genes=setting.n_top_genes, slices=slices
            )
            meanings = {"semantics": setting.meaning, "permuted": permuted(setting.meaning, seed), "none": None}
            for arm, meaning in meanings.items():
                # Spots get their vectors from the molecules that are seen: all of them would tell of those held out.
                semantics = None if meaning is None else meaning.of_spots(training)
                tissue = Tissue(training, setting.graph, semantics, genes, places, slices)
                labels = domains(tissue, setting, seed=seed)
                told = explained_unseen(majority(labels, around), training, unseen, slices)
                rows.append({"arm": arm, "seed": seed, "held_out": told, **_scores(labels, setting)})
                partitions.append(labels)
                bar.update()
    runs = pd.DataFrame(rows)
    return _ordered(runs.assign(**_alike(runs, similarity(partitions))))


def permuted(meaning: Pooling, seed: int) -> Pooling:
    """Give each gene that has a vector the vector of another such gene, one to one.

    As in any permutation a gene may draw its own; of however many genes, one does on average.
    """
    known = np.flatnonzero(meaning.known)
    vectors = meaning.vectors.copy()
    vectors[known] = vectors[np.random.default_rng(_PERMUTATION + seed).permutation(known)]
    return replace(meaning, vectors=vectors)


def deal(
    counts: sparse.csr_matrix, held_out: float, *, generator: np.random.Generator
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Set aside each molecule with a chance of ``held_out``: counts that are seen, and counts that are not.

    What is Poisson becomes two independent Poisson counts. A spot that would be left without any molecule keeps all.

    References
    ----------
    Neufeld et al., *Biostatistics* 25, 2024.
    """
    aside = generator.binomial(counts.data.astype(np.int64), held_out)
    spot = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    left = np.bincount(spot, weights=counts.data - aside, minlength=counts.shape[0])
    aside[left[spot] == 0] = 0
    halves = []
    for values in (counts.data - aside, aside):
        half = sparse.csr_matrix(
            (values.astype(np.float32), counts.indices.copy(), counts.indptr.copy()), shape=counts.shape
        )
        half.eliminate_zeros()
        halves.append(half)
    return halves[0], halves[1]


def domains(tissue: Tissue, setting: Setting, *, seed: int) -> NDArray[np.int64]:
    """Find domains as :func:`semst.tl.cluster` does with its default preset."""
    recipe = setting.recipe
    trained = train(
        tissue,
        recipe,
        likelihood="zinb",
        convolution="gcn",
        device=setting.device,
        random_state=seed,
        progress=False,
    )
    with unsettled(), threadpool_limits(1):  # all arms alike, so it is no matter which of their fits settled
        cuts = members(trained.latents, recipe, setting.n_clusters, random_state=seed)
        bench = Bench.of(tissue.counts, tissue.graph, random_state=seed, slices=tissue.slices)
        return choose(cuts, setting.n_clusters, **vars(bench), random_state=seed)


def explained_unseen(
    labels: NDArray[np.int64],
    training: sparse.csr_matrix,
    unseen: sparse.csr_matrix,
    slices: NDArray[np.int64] | None = None,
) -> float:
    r"""How much better unseen molecules are told by the profile of their domain than by one profile for all.

    .. math::

        \frac{1}{N} \sum_d \sum_j h_{dj} \log \frac{p_{dj}}{p_j}

    with :math:`h_{dj}` the unseen molecules of gene :math:`j` in domain :math:`d`, :math:`N` all of them, and the
    shares :math:`p_{dj}`, :math:`p_j` of the gene in the domain and in the whole tissue, learnt from the molecules that
    were seen. :func:`semst.partitions._judges.explained` learns and judges on the same molecules: on few of them, which
    those held out are, it would praise noise.

    Parameters
    ----------
    labels
        ``(n,)``; only which spots share one matters.
    training, unseen
        ``(n, g)`` CSR, not negative.
    slices
        ``(n,)`` number of each spot's slice, from 0: :math:`p_j` is then, for each domain, the mean share in the slices
        that its molecules lie in, so that telling slices apart explains nothing.

    Returns
    -------
    Nats per molecule; below 0 where the domains tell less than nothing.
    """
    groups = indicator(np.unique(labels, return_inverse=True)[1])  # a number that no spot has is no group
    seen = np.asarray(training.T @ groups, dtype=np.float64).T + 0.5  # half a count: no share is zero
    share = seen / seen.sum(axis=1, keepdims=True)
    whole = seen.sum(axis=0) / seen.sum()
    if slices is not None:
        whole = _shares_by_slice(groups, training, slices)
    test = np.asarray(unseen.T @ groups, dtype=np.float64).T
    return float((test * np.log(share / whole)).sum() / test.sum())


def _shares_by_slice(
    groups: NDArray[np.float32], training: sparse.csr_matrix, slices: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Shares of the genes in the slices that each domain lies in, ``(k, g)``, weighed by its molecules there."""
    of_slices = sums_of_slices(lambda spots: training[spots], slices)
    of_slices += 0.5 * groups.shape[1] / len(of_slices)  # as much in all as the domains have together
    # Molecules of each domain in each slice; a trace more, for a domain that has none.
    depth = slice_sums(np.asarray(training.sum(axis=1)) * groups, slices) + 1e-9
    shares: NDArray[np.float64] = (depth / depth.sum(axis=0)).T @ (of_slices / of_slices.sum(axis=1, keepdims=True))
    return shares


def _scores(labels: NDArray[np.int64], setting: Setting) -> Mapping[str, float]:
    scores = smoothness(setting.coordinates, labels, setting.slices)
    if setting.reference is not None:
        scores["ari"] = agreement(setting.reference, labels)["ari"]
    return scores


def _alike(runs: pd.DataFrame, index: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Mean adjusted Rand index of each run with those of other seeds: in its own arm, and in the first arm."""
    arm, seed = runs["arm"].to_numpy(), runs["seed"].to_numpy()
    other_seed = seed[:, None] != seed
    own, first = other_seed & (arm[:, None] == arm), other_seed & (arm == ARMS[0])
    return {
        "stability": (index * own).sum(axis=1) / own.sum(axis=1),
        "agreement": (index * first).sum(axis=1) / first.sum(axis=1),
    }


def _ordered(runs: pd.DataFrame) -> pd.DataFrame:
    runs["arm"] = pd.Categorical(runs["arm"], categories=list(ARMS))
    return runs.sort_values(["arm", "seed"], ignore_index=True)[[name for name in _COLUMNS if name in runs]]

"""All that a model consists of, and how it is made from a run of :func:`semst.tl.cluster`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from semst._provenance import versions
from semst.model._discriminant import Discriminant
from semst.model._genes import Panel
from semst.model._latents import latents
from semst.model._profiles import Profiles
from semst.model._reading import Reading
from semst.nn._adjacency import normalise
from semst.pp._sample import ENOUGH, is_large, sample
from semst.pp._slices import centred, less_mean
from semst.tl._sections import rings
from semst.tl._tissue_tiles import TILE, dealt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semst.nn import SemSTNetwork
    from semst.pp._expression import Transform
    from semst.tl._checks import ClusterOptions
    from semst.tl._found import Found
    from semst.tl._recipe import Recipe, View
    from semst.tl._sections import Tissue


@dataclass(frozen=True)
class Meaning:
    """How spots get their semantics, and how networks read them.

    Parameters
    ----------
    params
        ``uns[semantics_key]["params"]`` of the training tissue; empty where nobody wrote them.
    mean
        ``(m,)`` float32: mean over the spots of the training tissue, of all its slices.
    centres
        By number of rings, ``(m,)`` float32: mean of the smoothed semantics.
    units
        By number of rings: what the smoothed semantics are divided by; their mean deviation, within slices.
    """

    params: dict[str, Any]
    mean: NDArray[np.float32]
    centres: dict[int, NDArray[np.float32]]
    units: dict[int, float]

    @classmethod
    def of(cls, tissue: Tissue, recipe: Recipe, params: dict[str, Any], *, random_state: int) -> Meaning | None:
        """Measure what the training measured, on as many spots; None without semantics."""
        if tissue.semantics is None:
            return None
        slices = tissue.slices
        mean = tissue.semantics.mean(axis=0, dtype=np.float64).astype(np.float32)
        told = less_mean(tissue.semantics, slices=None, known=mean)
        centres, units = {}, {}
        some = sample(tissue.counts.shape[0], random_state)
        for n_rings in sorted({view.rings for view in recipe.views}):
            near: Any = normalise(rings(tissue.graph, n_rings))
            smooth = near[some] @ told
            centres[n_rings] = smooth.mean(axis=0)
            if slices is not None:  # a sample may miss small slices
                smooth = centred(near @ centred(told, slices), slices)
            units[n_rings] = max(float(smooth.std(axis=0, ddof=1).mean()), 1e-8)
        return cls(params, mean, centres, units)


@dataclass(frozen=True)
class Kept:
    """The parts of a model.

    Parameters
    ----------
    params
        Arguments of the training.
    versions
        Of semst and others, when it was trained.
    n_spots, n_slices
        Of the training tissue.
    views
        One for each network.
    expression_neighbors
        In the graph of like expression.
    linear
        Whether networks read principal components, and not genes.
    smoothed
        Whether the smoothed input of each view speaks for domains as well.
    panel
        Genes.
    readings
        By transformation.
    networks
        On the CPU.
    meaning
        None for models without semantics.
    domains
        Names.
    discriminants
        Of each latent: the smoothed input of a view, if it speaks, then its network's latent; view after view.
    profiles
        Genes of the domains. None, and no discriminants, only while a model is made.
    """

    params: dict[str, Any]
    versions: dict[str, str]
    n_spots: int
    views: tuple[View, ...]
    expression_neighbors: int
    linear: bool
    smoothed: bool
    panel: Panel
    readings: dict[Transform, Reading]
    networks: tuple[SemSTNetwork, ...]
    meaning: Meaning | None
    domains: tuple[str, ...]
    n_slices: int = 1
    discriminants: tuple[Discriminant, ...] = ()
    profiles: Profiles | None = None

    @property
    def plainest(self) -> Reading:
        """Give the reading of the first view, which tells what is expressed."""
        return self.readings[self.views[0].transform]


def keep(found: Found, options: ClusterOptions) -> Kept:
    """Make a model out of what a run found.

    Of several slices each is read relative to its own means, as in the training and as a new slice will be.

    On large tissue the discriminants are fitted to the first 5000 spots that the tiles have, and to as many of the
    domains that are rare among them as a tile holds.
    """
    tissue, recipe, seed = found.tissue, found.recipe, options.random_state
    counts = options.likelihood != "gaussian"
    kept = Kept(
        params=options.params(),
        versions=versions(),
        n_spots=int(tissue.counts.shape[0]),
        views=recipe.views,
        expression_neighbors=recipe.expression_neighbors,
        linear=recipe.n_components > 0,
        smoothed=recipe.smoothed,
        panel=Panel.of(
            found.genes, tissue.genes, np.asarray(tissue.counts.sum(axis=0, dtype=np.float64), dtype=np.float64).ravel()
        ),
        readings={
            transform: Reading.fit(tissue, recipe, transform, counts=counts, random_state=seed)
            for transform in dict.fromkeys(view.transform for view in recipe.views)
        },
        networks=tuple(network.cpu().eval() for network in found.trained.networks),
        meaning=Meaning.of(tissue, recipe, found.semantics, random_state=seed),
        domains=tuple(str(number) for number in range(1, found.n_clusters + 1)),
        n_slices=1 if tissue.slices is None else int(tissue.slices.max()) + 1,
    )
    by_slice = kept.n_slices > 1
    tiles, overlap = _tiles(tissue, found.numbers, seed), kept.panel.overlap(found.genes)
    spots = np.concatenate(tiles)
    numbers, width = found.numbers[spots], max(recipe.member_components)
    return replace(
        kept,
        discriminants=tuple(
            Discriminant.fit(latent, numbers, min(width, latent.shape[1]))
            for latent in latents(kept, tissue, overlap, tiles=tiles, recentre=by_slice)
        ),
        profiles=Profiles.fit(kept.plainest, tissue, overlap, spots, numbers, recentre=by_slice),
    )


def _tiles(tissue: Tissue, numbers: NDArray[np.int64], random_state: int) -> list[NDArray[np.int64]]:
    """Choose the spots to which discriminants are fitted: all, or some tiles."""
    if not is_large(len(numbers)):
        return [np.arange(len(numbers))]
    tiles = dealt(tissue, random_state)[: ENOUGH // TILE]
    there = np.bincount(numbers[np.concatenate(tiles)], minlength=int(numbers.max()) + 1)
    rare = np.flatnonzero((there < TILE // 10)[numbers])
    rest = np.setdiff1d(rare, np.concatenate(tiles))
    if rest.size:
        order = np.random.default_rng(random_state).permutation(rest)
        one_each = [np.flatnonzero(numbers[order] == number)[:1] for number in np.unique(numbers[rest])]
        tiles.append(np.union1d(order[:TILE], order[np.concatenate(one_each)]))
    return tiles

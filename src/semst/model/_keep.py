"""How a model is made from a run of :func:`semst.tl.cluster`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from semst import _sample
from semst._provenance import versions
from semst._sample import is_large
from semst.model._discriminant import Discriminant
from semst.model._genes import Panel
from semst.model._kept import Kept, Meaning
from semst.model._latents import latents
from semst.model._profiles import Profiles
from semst.model._reading import Reading
from semst.training import _tissue_tiles
from semst.training._tissue_tiles import dealt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semst.clustering._checks import ClusterOptions
    from semst.clustering._found import Found
    from semst.training._sections import Tissue


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
    tile = _tissue_tiles.TILE
    tiles = dealt(tissue, random_state)[: _sample.ENOUGH // tile]
    there = np.bincount(numbers[np.concatenate(tiles)], minlength=int(numbers.max()) + 1)
    rare = np.flatnonzero((there < tile // 10)[numbers])
    rest = np.setdiff1d(rare, np.concatenate(tiles))
    if rest.size:
        order = np.random.default_rng(random_state).permutation(rest)
        one_each = [np.flatnonzero(numbers[order] == number)[:1] for number in np.unique(numbers[rest])]
        tiles.append(np.union1d(order[:tile], order[np.concatenate(one_each)]))
    return tiles

"""All that a model consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from semst._sample import sample
from semst._slices import centred, less_mean
from semst.nn._adjacency import normalise
from semst.training._sections import rings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semst.model._discriminant import Discriminant
    from semst.model._genes import Panel
    from semst.model._profiles import Profiles
    from semst.model._reading import Reading
    from semst.nn import SemSTNetwork
    from semst.pp._expression import Transform
    from semst.training._recipe import Recipe, View
    from semst.training._sections import Tissue


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

"""The two recipes: ours, one for all tissue, and the published one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from semst.nn import Plan

if TYPE_CHECKING:
    from semst.pp._expression import Transform

Preset = Literal["default", "published"]
GeneChoice = Literal["spatial", "published"]
Partition = Literal["mixture", "kmeans", "leiden"]
Selection = Literal["consensus", "tightest"]

_MOST_EPOCHS, _FEWEST_EPOCHS = 30, 10
_SPOTS_READ = 36_000  # by each network in all of its steps together
_MOST_STARTS, _FEWEST_STARTS = 8, 2
_SPOTS_CUT = 8_000  # of each latent in all partitions with as many components together


@dataclass(frozen=True)
class View:
    """One way to look at the tissue; each has a network of its own.

    Parameters
    ----------
    transform
        How counts are stabilised.
    rings
        How many steps of the spatial graph count as the neighbourhood.
    """

    transform: Transform
    rings: int


@dataclass(frozen=True)
class Recipe:
    """All that is fixed before a tissue is seen.

    Parameters
    ----------
    views
        One network each.
    plan
        Training of each network; of ours :func:`epochs_for` says how many steps.
    genes
        ``"spatial"``: those of highest Moran's I. ``"published"``: seen in 100 spots, highly variable by seurat_v3.
    n_components
        Principal components that the networks read; 0 lets them read the scaled genes, as published.
    expression_neighbors
        Neighbours in the expression graph.
    hidden_features, branch_features, latent_features
        Widths; ``branch_features`` 0 means as wide as the input.
    shortcut
        Whether the network starts from its linear path.
    member_components
        Numbers of principal components of the latent that are partitioned; 0 takes the latent as it is.
    partition
        How a latent is cut where the user does not say.
    smoothed
        Whether the input of each view, averaged over the neighbourhood and never trained, is partitioned as well.
    starts
        Partitions of each latent and number of components, which differ in their seed; of ours :func:`starts_for` says
        how many.
    selection
        ``"consensus"``: of the partitions that agree most with the others and explain most of the counts.
        ``"tightest"``: the one partition with the least variance inside its groups, as k-means with several starts
        gives.
    """

    views: tuple[View, ...] = tuple(View(t, rings) for t in ("log", "log10k", "sqrt", "scaled") for rings in (1, 2))
    plan: Plan = field(default_factory=lambda: Plan(epochs=_MOST_EPOCHS))
    genes: GeneChoice = "spatial"
    n_components: int = 50
    expression_neighbors: int = 15
    hidden_features: int = 128
    branch_features: int = 0
    latent_features: int = 32
    shortcut: bool = True
    member_components: tuple[int, ...] = (8, 12, 16, 20)
    partition: Partition = "mixture"
    smoothed: bool = True
    starts: int = _MOST_STARTS
    selection: Selection = "consensus"


DEFAULT = Recipe()
"""Our recipe."""

PUBLISHED = Recipe(
    views=(View("log", 4),),
    plan=Plan(epochs=200, weight_decay=5e-4, spots_per_step=512, genes_per_step=0, pairs_per_spot=0),
    genes="published",
    n_components=0,
    expression_neighbors=14,
    hidden_features=256,
    branch_features=128,
    latent_features=128,
    shortcut=False,
    member_components=(0,),
    partition="kmeans",
    smoothed=False,
    starts=10,
    selection="tightest",
)
"""Architecture and loss weights of the paper; its neighbourhood of about four spot pitches, its optimiser.

The last state counts: no epoch is picked by labels. Two things are sampled that the release sums over all pairs and all
spots (strangers, and 512 spots in each step); the gradient keeps its expectation.
"""


def epochs_for(n_spots: int) -> int:
    """Give our number of steps: 30 up to 1200 spots; then fewer, so that as many spots are read in all; 10 at least.

    Each step sees all spots, so that on larger tissue fewer of them see as much. The networks start from their linear
    path; on the sections of thousands of spots that we have, ten steps lead to the domains that thirty lead to.
    """
    return min(max(round(_SPOTS_READ / n_spots), _FEWEST_EPOCHS), _MOST_EPOCHS)


def starts_for(n_spots: int, partition: Partition | None = None) -> int:
    """Give our number of starts: 8 up to 1000 spots; then fewer, as cutting costs more; 2 at least.

    On small tissue one partition is more of a draw, and more of them cost next to nothing: but those of Leiden, which
    seeks its resolution anew each time.
    """
    if partition == "leiden":
        return _FEWEST_STARTS
    return min(max(round(_SPOTS_CUT / n_spots), _FEWEST_STARTS), _MOST_STARTS)


def recipe_for(
    preset: Preset, *, epochs: int | None, gaussian: bool, n_spots: int, partition: Partition | None = None
) -> Recipe:
    """Give the recipe of a preset for a tissue of so many spots, with the user's number of epochs and way to cut.

    With the Gaussian likelihood expression comes stabilised, so that our recipe has two views instead of eight.
    """
    recipe = replace(DEFAULT, starts=starts_for(n_spots, partition)) if preset == "default" else PUBLISHED
    if gaussian:
        rings = dict.fromkeys(view.rings for view in recipe.views)
        recipe = replace(recipe, views=tuple(View("none", r) for r in rings))
    if partition is not None:
        recipe = replace(recipe, partition=partition)
    if epochs is None and preset == "default":
        epochs = epochs_for(n_spots)
    if epochs is not None:
        recipe = replace(recipe, plan=replace(recipe.plan, epochs=epochs))
    return recipe

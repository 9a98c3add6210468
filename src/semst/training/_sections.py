"""A tissue, seen in each view of a recipe: from counts, places and semantics to the tensors of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from semst._slices import centred
from semst.nn import Section, edge_pairs, normalised_adjacency
from semst.pp._expression import (
    principal_components,
    published_genes,
    select_genes,
    stabilise,
    unit_variance,
)
from semst.pp._graphs import expression_graph, widen
from semst.pp._published_scaling import scale_as_published

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from scipy import sparse

    from semst.nn import Likelihood
    from semst.pp._expression import Transform
    from semst.training._recipe import Recipe, View

GRAPH_COMPONENTS = 20  # principal components whose cosine tells which spots express the same


@dataclass(frozen=True)
class Tissue:
    """What is known of a tissue, checked.

    Parameters
    ----------
    counts
        ``(n, g)`` float32 CSR of all genes: counts, or normalised expression.
    graph
        ``(n, n)`` CSR of ones: the spatial graph.
    semantics
        ``(n, m)`` float32, or None.
    genes
        Indices of the genes that are used.
    places
        ``(n, 2)`` coordinates, which large tissue is cut by.
    slices
        ``(n,)`` number of each spot's slice, from 0, where there are several; None where there is one.
    """

    counts: sparse.csr_matrix
    graph: sparse.csr_matrix
    semantics: NDArray[np.float32] | None
    genes: NDArray[np.int64]
    places: NDArray[np.float64] | None = None
    slices: NDArray[np.int64] | None = None


def choose_genes(
    counts: sparse.csr_matrix,
    graph: sparse.csr_matrix,
    recipe: Recipe,
    *,
    n_top_genes: int,
    slices: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Choose genes as the recipe says: sorted int64 indices."""
    if recipe.genes == "published":
        return published_genes(counts, n_top_genes=n_top_genes, slices=slices)
    transform = recipe.views[0].transform
    return select_genes(counts, graph, n_top_genes=n_top_genes, transform=transform, slices=slices)


def rings(graph: sparse.csr_matrix, n: int) -> sparse.csr_matrix:
    """Connect spots at most ``n`` steps apart; ``n`` is a power of two."""
    while n > 1:
        graph, n = widen(graph), n // 2
    return graph


def features(
    tissue: Tissue, transform: Transform, recipe: Recipe, *, likelihood: Likelihood, random_state: int
) -> NDArray[np.float32]:
    """Compute what a network reads of each spot, ``(n, d)`` float32: principal components, or genes as published."""
    if not recipe.n_components:
        scaled = scale_as_published(tissue.counts[:, tissue.genes], counts=likelihood != "gaussian").toarray()
        return scaled if tissue.slices is None else centred(scaled, tissue.slices)
    stabilised: Any = stabilise(tissue.counts, transform)
    return principal_components(
        stabilised[:, tissue.genes], recipe.n_components, random_state=random_state, slices=tissue.slices
    )


def section(
    tissue: Tissue,
    view: View,
    read: NDArray[np.float32],
    recipe: Recipe,
    *,
    likelihood: Likelihood,
) -> Section:
    """Prepare the section of one view around the :func:`features` of its transformation.

    Semantics are averaged over the neighbourhood like everything else a branch gives, then centred and scaled: left as
    they are, they would carry the cell type of each single spot past the graph.
    """
    chosen: Any = tissue.counts[:, tissue.genes]
    graph = rings(tissue.graph, view.rings)
    adjacency = normalised_adjacency(graph)
    told = (adjacency @ torch.from_numpy(read)).numpy()[:, :GRAPH_COMPONENTS] if recipe.n_components else read
    alike = expression_graph(told, n_neighbors=recipe.expression_neighbors)
    return Section(
        features=torch.from_numpy(read),
        spatial=adjacency,
        expression=normalised_adjacency(alike),
        neighbours=edge_pairs(graph),
        counts=unit_variance(chosen) if likelihood == "gaussian" else chosen,
        semantics=None
        if tissue.semantics is None
        else _smooth(torch.from_numpy(tissue.semantics), adjacency, tissue.slices),
        slices=None if tissue.slices is None else torch.from_numpy(tissue.slices),
    )


def _smooth(semantics: torch.Tensor, adjacency: torch.Tensor, slices: NDArray[np.int64] | None = None) -> torch.Tensor:
    if slices is not None:
        told = adjacency @ torch.from_numpy(centred(semantics.numpy(), slices))
        within = torch.from_numpy(centred(told.numpy(), slices))
        return within / within.std(dim=0).mean().clamp_min(1e-8)
    smooth = adjacency @ (semantics - semantics.mean(dim=0))
    smooth = smooth - smooth.mean(dim=0)
    return smooth / smooth.std(dim=0).mean().clamp_min(1e-8)

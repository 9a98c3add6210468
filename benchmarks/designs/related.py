"""Related designs in semst's own frame: attention after every layer, context graphs with a cut, FSM in every layer.

    python benchmarks/designs/related.py --data ../shared/data --seeds 5 --large-seeds 1

Goes on where it stopped; writes related.csv (a row for each run) and related.md. The same in all arms: genes, input,
the two views (log counts with one ring of neighbours, square roots with two; the recipe has two more), steps, losses,
seeds, partition and choice. ``seconds`` are processor seconds of training, partition and choice.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from _bench import NONE, PERMUTED, SEMANTICS, Tissue, clock, main, read, spot_semantics
from networks import ContextGraphs, ContextSection, LayerwiseAttention, LayerwiseModulation, Variant
from scipy import sparse
from torch import nn

from semst.nn import (
    Architecture,
    Plan,
    Section,
    SemSTNetwork,
    dicr,
    edge_pairs,
    latent,
    normalised_adjacency,
    spatial_contrastive,
)
from semst.partitions._members import members
from semst.partitions._partition import mixture
from semst.partitions._select import choose
from semst.pp._expression import principal_components, select_genes, stabilise
from semst.pp._graphs import expression_graph, widen
from semst.training._recipe import Recipe, View
from semst.training._sections import _smooth, rings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Written out, so that the tables stay comparable when semst's own recipe moves on.
RECIPE = Recipe(
    views=(View("log", 1), View("sqrt", 2)),
    plan=Plan(epochs=60, snapshots=(20, 40, 60)),
    n_components=50,
    expression_neighbors=15,
    hidden_features=128,
    latent_features=32,
    member_components=(8, 12, 16, 20),
    partition="mixture",
    starts=2,
)
_GRAPH_COMPONENTS = 20  # that tell which spots express the same, and the rough regions

PRESENT = "present network"
MERGED, BESIDE = "attention, views merged", "attention, views side by side"
CUT, GRAPHS = "three graphs, min-cut", "three graphs"
LAYERS = "FSM in every layer"
DESIGNS: dict[str, Callable[[Architecture, int], nn.Module]] = {
    PRESENT: lambda a, k: SemSTNetwork(a),
    MERGED: lambda a, k: LayerwiseAttention(a, merged=True),
    BESIDE: lambda a, k: LayerwiseAttention(a, merged=False),
    CUT: lambda a, k: ContextGraphs(a, communities=k),
    GRAPHS: lambda a, k: ContextGraphs(a, communities=0),
    LAYERS: lambda a, k: LayerwiseModulation(a),
}
# The control for the present network and one of each design; the two others only take a design apart.
CONTROLLED = (PRESENT, MERGED, CUT, LAYERS)
ARMS = [(PRESENT, NONE), *((d, SEMANTICS) for d in DESIGNS), *((d, PERMUTED) for d in CONTROLLED)]
PAIRS = [
    (PRESENT, SEMANTICS, PRESENT, NONE),
    *((design, SEMANTICS, PRESENT, SEMANTICS) for design in DESIGNS if design != PRESENT),
    *((design, SEMANTICS, design, PERMUTED) for design in CONTROLLED),
]


@lru_cache(maxsize=2)
def _sections(path: Path, seed: int) -> list[ContextSection]:
    """Prepare every view of a tissue as semst does, without semantics, and with the graph of rough regions."""
    known = read(path)
    genes = select_genes(known.counts, known.graph, n_top_genes=3000, transform="log")
    return [_section(known, genes, view, seed) for view in RECIPE.views]


def _section(known: Tissue, genes: np.ndarray, view: View, seed: int) -> ContextSection:
    graph = rings(known.graph, view.rings)
    adjacency = normalised_adjacency(graph)
    stabilised = stabilise(known.counts, view.transform)[:, genes]
    features = torch.from_numpy(principal_components(stabilised, RECIPE.n_components, random_state=seed))
    smooth = (adjacency @ features).numpy()[:, :_GRAPH_COMPONENTS]
    alike = expression_graph(smooth, n_neighbors=RECIPE.expression_neighbors)
    rough = mixture(smooth, known.n_domains, random_state=seed)
    wide = widen(graph).tocoo()
    inside = rough[wide.row] == rough[wide.col]
    edges = sparse.csr_matrix((wide.data[inside], (wide.row[inside], wide.col[inside])), shape=wide.shape)
    return ContextSection(
        features=features,
        spatial=adjacency,
        expression=normalised_adjacency(alike),
        neighbours=edge_pairs(graph),
        counts=known.counts[:, genes],
        regions=normalised_adjacency(edges),
    )


@cache
def _smooth_semantics(path: Path, arm: str, seed: int) -> list[torch.Tensor | None]:
    """Average the semantics over each view's neighbourhood, as semst does."""
    vectors = spot_semantics(path, arm, seed)
    sections = _sections(path, seed)
    return [None if vectors is None else _smooth(torch.from_numpy(vectors), each.spatial) for each in sections]


def run(path: Path, design: str, arm: str, seed: int) -> tuple[np.ndarray, float]:
    """Train a design on every view of one tissue, cut the latents and choose: labels, and processor seconds."""
    known = read(path)
    sections, semantics = _sections(path, seed), _smooth_semantics(path, arm, seed)
    start = clock()
    latents = []
    seeds = np.random.SeedSequence(seed).spawn(len(sections))
    for each, meaning, sequence in zip(sections, semantics, seeds, strict=True):
        prepared = replace(each, semantics=meaning)
        generator = np.random.default_rng(sequence)
        architecture = Architecture(
            in_features=each.features.shape[1],
            n_genes=each.counts.shape[1],
            semantic_features=0 if meaning is None else meaning.shape[1],
            hidden_features=RECIPE.hidden_features,
            branch_features=each.features.shape[1],
            latent_features=RECIPE.latent_features,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(generator.integers(2**31)))
            network = DESIGNS[design](architecture, known.n_domains)
        network.start_linear(prepared)
        latents += _fit(network, prepared, RECIPE.plan, generator)
    partitions = members(latents, RECIPE, known.n_domains, random_state=seed)
    labels = choose(partitions, known.n_domains, counts=known.counts, graph=widen(known.graph), random_state=seed)
    return labels, clock() - start


def _fit(
    network: SemSTNetwork | Variant, prepared: Section, plan: Plan, generator: np.random.Generator
) -> list[np.ndarray]:
    """Train as :func:`semst.nn.fit` does, plus the design's own term: the latents of the snapshots."""
    library, share, n_edges = prepared.library(), prepared.share(), prepared.neighbours.shape[1]
    optimiser = torch.optim.Adam(
        network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=True
    )
    found = []
    for epoch in range(1, plan.epochs + 1):
        network.train()
        encoding = network.encode(prepared)
        spots = _some(prepared.n_spots, plan.spots_per_step, generator)
        genes = _some(len(share), plan.genes_per_step, generator)
        strangers = torch.from_numpy(generator.integers(0, prepared.n_spots, size=(2, n_edges)))
        rows, columns = torch.from_numpy(spots), torch.from_numpy(genes)
        observed = prepared.observed(spots, genes)
        terms = [
            plan.reconstruction_weight
            * network.decoder(encoding.latent[rows], observed, library[rows], share, columns),
            plan.spatial_weight * spatial_contrastive(encoding.latent, prepared.neighbours, strangers),
            plan.dicr_weight * dicr(encoding.spatial_view, encoding.expression_view),
        ]
        extra = network.extra_loss(prepared, encoding) if isinstance(network, Variant) else None
        loss = torch.stack(terms if extra is None else [*terms, extra]).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if epoch in plan.snapshots:
            found.append(latent(network, prepared))
    return found


def _some(size: int, wanted: int, generator: np.random.Generator) -> np.ndarray:
    return np.arange(size) if wanted >= size else generator.choice(size, wanted, replace=False)


if __name__ == "__main__":
    main("related", __doc__, ARMS, run, PAIRS)

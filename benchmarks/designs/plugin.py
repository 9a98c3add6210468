"""FSM as a plug-in: two other backbones, without it, with it, with gene vectors permuted across genes, with noise.

    python benchmarks/designs/plugin.py --data ../shared/data --seeds 5 --large-seeds 1

Goes on where it stopped; writes plugin.csv (a row for each run) and plugin.md. Everything else is the same in all arms:
genes, graph, starting weights of the backbone, steps, partition. Each network is judged twice, after a short and after
a long training, because FSM starts as the identity and moves away from it with time; for the same reason there are
arms ("slow") in which FSM learns at a tenth of the backbone's rate. ``seconds`` are processor seconds of training and
partition.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from _bench import NOISE, NONE, PERMUTED, SEMANTICS, clock, main, read, spot_semantics
from backbones import ContrastiveGCN, GraphAttentionAutoencoder, Semantics

from semst.nn import normalised_adjacency
from semst.partitions._consensus import consensus
from semst.partitions._members import members
from semst.pp._expression import principal_components, select_genes, stabilise
from semst.training._recipe import Recipe

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

COMPONENTS = 50  # principal components of log-normalised expression: what the backbones read and rebuild
EPOCHS = (60, 300)
LEARNING_RATE = 1e-3
CUTS = Recipe(member_components=(8, 12, 16, 20), partition="mixture", starts=4)  # 16 partitions, one consensus
SLOW = ", slow"  # FSM learns at a tenth of the backbone's rate
BACKBONES = {"attention autoencoder": GraphAttentionAutoencoder, "contrastive GCN": ContrastiveGCN}
DESIGNS = {f"{name}, {epochs} epochs": (name, epochs) for name in BACKBONES for epochs in EPOCHS}
KINDS = (NONE, SEMANTICS, PERMUTED, NOISE, SEMANTICS + SLOW, PERMUTED + SLOW)
# A network is trained once and judged at both lengths, so arms come before lengths.
ARMS = [(f"{name}, {epochs} epochs", arm) for name in BACKBONES for arm in KINDS for epochs in EPOCHS]
PAIRS = [
    (design, arm + speed, design, other + ("" if other == NONE else speed))
    for speed in ("", SLOW)
    for arm, other in ((SEMANTICS, NONE), (PERMUTED, NONE), (NOISE, NONE), (SEMANTICS, PERMUTED))
    if not (arm == NOISE and speed)
    for design in DESIGNS
]


@cache
def _inputs(path: Path) -> tuple[Tensor, Tensor, Tensor]:
    """Components ``(n, d)``, scaled to a mean variance of 1; normalised adjacency; its edges with loops ``(2, e)``."""
    tissue = read(path)
    genes = select_genes(tissue.counts, tissue.graph, n_top_genes=3000, transform="log")
    scores = principal_components(stabilise(tissue.counts, "log")[:, genes], COMPONENTS, random_state=0)
    adjacency = normalised_adjacency(tissue.graph)
    return torch.from_numpy(scores / np.sqrt(scores.var(axis=0).mean())), adjacency, adjacency.to_sparse_coo().indices()


def run(path: Path, design: str, arm: str, seed: int) -> tuple[np.ndarray, float]:
    """Train one backbone on one tissue and cut its latent: labels, and processor seconds."""
    name, epochs = DESIGNS[design]
    latent, training = _latents(path, name, arm, seed)[epochs]
    n_domains = read(path).n_domains
    start = clock()
    partitions = members([latent], CUTS, n_domains, random_state=seed)
    labels = consensus(partitions, n_domains, random_state=seed)
    return labels, training + clock() - start


@lru_cache(maxsize=1)
def _latents(path: Path, name: str, arm: str, seed: int) -> dict[int, tuple[np.ndarray, float]]:
    """Train a backbone: its latent ``(n, d)`` and the seconds so far, by epoch."""
    x, adjacency, edges = _inputs(path)
    vectors = spot_semantics(path, arm.removesuffix(SLOW), seed)
    semantics = None if vectors is None else Semantics(torch.from_numpy(vectors), adjacency)
    graph = edges if BACKBONES[name] is GraphAttentionAutoencoder else adjacency
    found, start = {}, clock()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BACKBONES[name](x.shape[1], 0 if vectors is None else vectors.shape[1])
        torch.manual_seed(seed)  # the same shuffles, whether FSM drew weights or not
        of_fsm = [name.startswith("fsm.") for name, _ in model.named_parameters()]
        groups = [
            {"params": [p for p, mine in zip(model.parameters(), of_fsm, strict=True) if mine == is_fsm], "lr": rate}
            for is_fsm, rate in ((False, LEARNING_RATE), (True, LEARNING_RATE / (10 if arm.endswith(SLOW) else 1)))
        ]
        optimiser = torch.optim.Adam(groups, fused=True)
        for epoch in range(1, max(EPOCHS) + 1):
            loss = model.loss(x, graph, semantics)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if epoch in EPOCHS:
                with torch.no_grad():
                    found[epoch] = model.latent(x, graph, semantics).numpy(), clock() - start
    return found


if __name__ == "__main__":
    main("plugin", __doc__, ARMS, run, PAIRS)

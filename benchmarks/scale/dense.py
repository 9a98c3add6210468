"""The published dense formulation, written from the paper's description, to be timed beside semst.

Everything is full batch: two GCN branches on all genes, ZINB on every entry, and at every epoch the similarity of all
pairs of spots against two dense n x n matrices, one of neighbours and one of strangers. Kept as published: widths,
loss weights, optimiser, epochs, int64 matrices. Left out, in favour of it: the prompts of the spots (it reads the
pooled gene vectors of semst) and the partition after each epoch by which the release picks one.

``find`` is run by ``../accuracy/one.py``. It trains a few epochs, and prints what one costs as JSON, from which
``rivals.py`` reckons the whole; its labels are therefore of no use. Prints nothing else.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scanpy as sc
import torch
from scipy import sparse
from scipy.spatial import cKDTree
from sklearn.cluster import KMeans
from sklearn.neighbors import kneighbors_graph
from torch import Tensor, nn
from torch.nn import functional

import semst

if TYPE_CHECKING:
    import anndata as ad

EPOCHS = 200  # of the whole training
MEASURED = int(os.environ.get("DENSE_EPOCHS", "8"))
WARM_UP = 2  # the first epochs pay for memory and kernels
MEMORY = 8  # GB
PER_PAIR = 2 * 8 + 5 * 4  # bytes: two int64 matrices; similarity, two logarithms' inputs, two gradients in float32

N_GENES, MIN_SPOTS, CLIP = 3000, 100, 10
PITCHES, EXPRESSION_NEIGHBORS = 4.1, 14  # 560 px on the slices of the cortex
HIDDEN, BRANCH, LATENT, DECODER = 256, 128, 128, 256
RECONSTRUCTION, SPATIAL, CORRELATION, RIDGE = 1.0, 0.1, 0.1, 0.05


class Costs(NamedTuple):
    """How many epochs were trained, and what each after the warm-up took on the clock and of the processor."""

    epochs: int
    epoch_seconds: list[float]
    epoch_cpu_seconds: list[float]


def gigabytes(n_spots: int) -> float:
    """Memory of all that is n x n when it is most, in GB (10^9 bytes)."""
    return PER_PAIR * n_spots**2 / 1e9


def find(tissue: ad.AnnData, n_domains: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Prepare, train a few epochs, partition."""
    if gigabytes(tissue.n_obs) > MEMORY:
        message = f"does not fit: {gigabytes(tissue.n_obs):.1f} GB for the n x n matrices alone"
        raise MemoryError(message)
    torch.manual_seed(seed)
    semst.pp.gene_semantics(tissue, progress=False)
    counts, scaled = _expression(tissue)
    near, alike = _graphs(tissue.obsm["spatial"], scaled)
    semantics = torch.as_tensor(np.asarray(tissue.obsm["gene_semantics"], dtype=np.float32))
    network = Network(scaled.shape[1], semantics.shape[1])
    inputs = (torch.as_tensor(scaled), _normalised(near), _normalised(alike), semantics)
    latent, costs = _train(network, inputs, torch.as_tensor(counts), near)
    labels = KMeans(n_domains, n_init=10, random_state=seed).fit_predict(latent)
    print(json.dumps(costs._asdict()))
    return labels, latent


class Network(nn.Module):
    """Two branches, FSM on both together, fusion, ZINB decoder."""

    def __init__(self, n_genes: int, n_semantics: int) -> None:
        super().__init__()
        widths = [(n_genes, HIDDEN), (HIDDEN, BRANCH)]
        self.near, self.alike = (nn.ModuleList(nn.Linear(*width) for width in widths) for _ in range(2))
        self.head = nn.Sequential(nn.Linear(n_semantics, LATENT), nn.ReLU(), nn.Linear(LATENT, LATENT))
        self.modulation = nn.Linear(LATENT, 4 * BRANCH)
        self.fusion = nn.Sequential(nn.Linear(2 * BRANCH, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, LATENT))
        self.decoder = nn.Sequential(nn.Linear(LATENT, DECODER), nn.BatchNorm1d(DECODER), nn.ReLU())
        self.dropout, self.dispersion, self.mean = (nn.Linear(DECODER, n_genes) for _ in range(3))

    def forward(self, x: Tensor, near: Tensor, alike: Tensor, semantics: Tensor) -> tuple[Tensor, ...]:
        views = []
        for (first, second), graph in ((self.near, near), (self.alike, alike)):
            views.append(graph @ second((graph @ first(x)).relu()))
        both = torch.cat(views, dim=1)
        alpha, beta = self.modulation(self.head(semantics)).chunk(2, dim=1)
        latent = self.fusion((1 + alpha) * both + beta)
        hidden = self.decoder(latent)
        dropout = torch.sigmoid(self.dropout(hidden))
        dispersion = functional.softplus(self.dispersion(hidden)).clamp(1e-4, 1e4)
        mean = self.mean(hidden).exp().clamp(1e-5, 1e6)
        return *views, latent, dropout, dispersion, mean


def zinb(x: Tensor, dropout: Tensor, theta: Tensor, mean: Tensor) -> Tensor:
    """Both cases of the likelihood for every entry, of which one is then chosen."""
    tiny = 1e-10
    gammas = torch.lgamma(theta + tiny) + torch.lgamma(x + 1) - torch.lgamma(x + theta + tiny)
    shares = (theta + x) * torch.log1p(mean / (theta + tiny)) + x * (torch.log(theta + tiny) - torch.log(mean + tiny))
    seen = gammas + shares - torch.log(1 - dropout + tiny)
    none = (theta / (theta + mean + tiny)) ** theta
    unseen = -torch.log(dropout + (1 - dropout) * none + tiny)
    return torch.where(x < 0.5, unseen, seen).mean() + RIDGE * dropout.square().mean()


def all_pairs(latent: Tensor, neighbours: Tensor, strangers: Tensor) -> Tensor:
    """Neighbours should be alike, and all that are none should not: n x n at every epoch."""
    unit = functional.normalize(latent, dim=1)
    alike = torch.sigmoid(unit @ unit.T)
    return -0.5 * ((neighbours * torch.log(alike)).mean() + (strangers * torch.log(1 - alike)).mean())


def correlation(first: Tensor, second: Tensor) -> Tensor:
    """DICR: features of the two branches correlate with themselves alone."""
    found = functional.normalize(first, dim=0).T @ functional.normalize(second, dim=0)
    return (found - torch.eye(len(found))).square().mean()


def _expression(tissue: ad.AnnData) -> tuple[np.ndarray, np.ndarray]:
    """Counts and scaled expression of the variable genes, both dense; no logarithm, as published."""
    sc.pp.filter_genes(tissue, min_cells=MIN_SPOTS)
    n_genes = min(N_GENES, tissue.n_vars)
    sc.pp.highly_variable_genes(tissue, flavor="seurat_v3", n_top_genes=n_genes, subset=True)
    counts = tissue.X.toarray().astype(np.float32)
    sc.pp.normalize_total(tissue, target_sum=1e4)
    sc.pp.scale(tissue, zero_center=False, max_value=CLIP)
    return counts, tissue.X.toarray().astype(np.float32)


def _graphs(places: np.ndarray, expression: np.ndarray) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Join spots within some four pitches, and those of most similar expression."""
    tree = cKDTree(places)
    radius = PITCHES * np.median(tree.query(places, 2)[0][:, 1])
    near = tree.sparse_distance_matrix(tree, radius, output_type="coo_matrix").tocsr()
    near.data[:] = 1
    near.setdiag(0)
    near.eliminate_zeros()
    alike = kneighbors_graph(expression, EXPRESSION_NEIGHBORS, metric="cosine")
    return near, alike.maximum(alike.T)


def _normalised(graph: sparse.csr_matrix) -> Tensor:
    """Self loops, rows that sum to 1; sparse, as in the release."""
    looped = (graph + sparse.eye(graph.shape[0])).tocsr()
    weights = (sparse.diags(1 / np.asarray(looped.sum(axis=1)).ravel()) @ looped).tocsr().astype(np.float32)
    parts = (torch.as_tensor(weights.indptr), torch.as_tensor(weights.indices), torch.as_tensor(weights.data))
    return torch.sparse_csr_tensor(*parts, size=weights.shape)


def _train(
    network: Network, inputs: tuple[Tensor, ...], counts: Tensor, near: sparse.csr_matrix
) -> tuple[np.ndarray, Costs]:
    neighbours = torch.as_tensor(near.toarray().astype(np.int64))
    strangers = 1 - neighbours
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=5e-4)
    clock, processor = [], []
    for _ in range(WARM_UP + MEASURED):
        start, start_cpu = time.perf_counter(), time.process_time()
        optimiser.zero_grad()
        first, second, latent, dropout, dispersion, mean = network(*inputs)
        loss = RECONSTRUCTION * zinb(counts, dropout, dispersion, mean)
        loss = loss + SPATIAL * all_pairs(latent, neighbours, strangers) + CORRELATION * correlation(first, second)
        loss.backward()
        optimiser.step()
        clock.append(time.perf_counter() - start)
        processor.append(time.process_time() - start_cpu)
    return latent.detach().numpy(), Costs(len(clock), clock[WARM_UP:], processor[WARM_UP:])

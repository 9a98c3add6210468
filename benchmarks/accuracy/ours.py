"""semst, whole, without parts, and with parts exchanged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import squidpy  # noqa: F401 (semst imports it when it needs it; peers have imported all before their time is taken)
import torch
import torch_geometric  # noqa: F401
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

import semst
from semst.partitions._members import members
from semst.partitions._select import choose, tightest
from semst.pp._graphs import spatial_graph, widen
from semst.training._recipe import DEFAULT, PUBLISHED
from semst.training._sections import Tissue, choose_genes
from semst.training._train import train

if TYPE_CHECKING:
    import anndata as ad

Found = tuple[np.ndarray, np.ndarray | None]
ORACLE_EVERY = 5  # epochs; the release looks after each


def default(tissue: ad.AnnData, n_domains: int, seed: int) -> Found:
    """The three lines of the README."""
    semst.pp.gene_semantics(tissue, progress=False)
    return _cluster(tissue, n_domains, seed)


def no_semantics(tissue: ad.AnnData, n_domains: int, seed: int) -> Found:
    """The same without FSM."""
    return _cluster(tissue, n_domains, seed, semantics_key=None)


def one_step(tissue: ad.AnnData, n_domains: int, seed: int) -> Found:
    """With all its parts, and next to no training: what the networks learn is the difference."""
    semst.pp.gene_semantics(tissue, progress=False)
    return _cluster(tissue, n_domains, seed, epochs=1)


def permuted_genes(tissue: ad.AnnData, n_domains: int, seed: int) -> Found:
    """The control: each gene that has a vector gets the vector of another one; expression untouched."""
    semst.pp.gene_semantics(tissue, progress=False)
    vectors = tissue.varm["gene_semantics"].copy()
    known = np.flatnonzero(vectors.any(axis=1))
    vectors[known] = vectors[np.random.default_rng(1000 + seed).permutation(known)]
    table = dict(zip(tissue.var_names[known], vectors[known], strict=True))
    semst.pp.gene_semantics(tissue, vectors=table, progress=False)
    return _cluster(tissue, n_domains, seed)


def spot_prompts(tissue: ad.AnnData, n_domains: int, seed: int) -> Found:
    """The paper's prompt for each spot, read by all-MiniLM-L6-v2; what was read once is kept on disk."""
    semst.pp.gene_semantics(tissue, mode="spots", progress=False)
    return _cluster(tissue, n_domains, seed)


def spot_prompts_permuted(tissue: ad.AnnData, n_domains: int, seed: int) -> Found:
    """The control of it: in the prompts each gene goes by the name of another one; expression untouched.

    Any name of the table may be drawn, also one that a language model hardly knows, which if anything favours the true
    names.
    """
    names = tissue.var_names
    tissue.var_names = np.random.default_rng(1000 + seed).permutation(names)
    semst.pp.gene_semantics(tissue, mode="spots", progress=False)
    tissue.var_names = names
    return _cluster(tissue, n_domains, seed)


def published(tissue: ad.AnnData, n_domains: int, seed: int) -> Found:
    """The published architecture, loss weights and prompts; k-means on the last state."""
    semst.pp.gene_semantics(tissue, mode="spots", progress=False)
    return _cluster(tissue, n_domains, seed, preset="published")


def published_oracle(tissue: ad.AnnData, n_domains: int, seed: int, *, truth: np.ndarray) -> Found:
    """The same with the epoch that the labels like best, as in the published release. ``truth`` is -1 for no label."""
    semst.pp.gene_semantics(tissue, mode="spots", progress=False)
    every = tuple(range(ORACLE_EVERY, PUBLISHED.plan.epochs + 1, ORACLE_EVERY))
    recipe = replace(PUBLISHED, plan=replace(PUBLISHED.plan, snapshots=every))
    counts, graph = tissue.X.astype(np.float32), spatial_graph(tissue, tissue.obsm["spatial"])
    genes = choose_genes(counts, graph, recipe, n_top_genes=3000)
    section = Tissue(counts, graph, np.asarray(tissue.obsm["gene_semantics"], dtype=np.float32), genes)
    trained = train(
        section,
        recipe,
        likelihood="zinb",
        convolution="gcn",
        device=torch.device("cpu"),
        random_state=seed,
        progress=False,
    )

    def cut(latent: np.ndarray) -> np.ndarray:
        partitions = members([latent], recipe, n_domains, random_state=seed)
        return tightest(partitions, n_domains, latent=latent)

    judged = truth >= 0
    with threadpool_limits(1):
        partitions = [cut(latent) for latent in trained.latents]
    best = np.argmax([adjusted_rand_score(truth[judged], labels[judged]) for labels in partitions])
    return partitions[best], None


def partition(tissue: ad.AnnData, n_domains: int, seed: int) -> Found:
    """Our last step alone, on the embedding of another method (``obsm["embedding"]``)."""
    embedding = np.asarray(tissue.obsm["embedding"], dtype=np.float32)
    around = widen(widen(spatial_graph(tissue, tissue.obsm["spatial"])))
    counts = tissue.X.astype(np.float32)
    recipe = replace(DEFAULT, starts=8)  # one embedding stands for the many of our recipe
    with threadpool_limits(1):
        partitions = members([embedding], recipe, n_domains, random_state=seed)
        return choose(partitions, n_domains, counts=counts, graph=around, random_state=seed), None


def _cluster(tissue: ad.AnnData, n_domains: int, seed: int, **options: object) -> Found:
    semst.tl.cluster(tissue, n_clusters=n_domains, random_state=seed, progress=False, **options)
    return tissue.obs["semst"].to_numpy(), tissue.obsm["X_semst"]

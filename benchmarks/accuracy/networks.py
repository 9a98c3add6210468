"""The networks of semst on a tissue, before anything is cut or chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import sparse

from semst.pp._graphs import spatial_graph
from semst.training._sections import Tissue, choose_genes
from semst.training._train import train

if TYPE_CHECKING:
    import anndata as ad

    from semst.training._recipe import Recipe
    from semst.training._trained import Trained


def tissue_of(table: ad.AnnData, recipe: Recipe) -> Tissue:
    """Give a table that has semantics as the networks see it."""
    places = table.obsm["spatial"]
    counts, graph = sparse.csr_matrix(table.X, dtype=np.float32), spatial_graph(table, places)
    semantics = np.asarray(table.obsm["gene_semantics"], dtype=np.float32)
    return Tissue(counts, graph, semantics, choose_genes(counts, graph, recipe, n_top_genes=3000), places)


def train_on(tissue: Tissue, recipe: Recipe, seed: int) -> Trained:
    """Train them as :func:`semst.tl.cluster` does."""
    device = torch.device("cpu")
    options = {"likelihood": "zinb", "convolution": "gcn", "device": device, "progress": False}
    return train(tissue, recipe, **options, random_state=seed)

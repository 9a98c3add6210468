"""BANKSY for domains: lambda 0.8, 15 neighbours, one gradient, 20 components, its own search for the resolution."""

from __future__ import annotations

import scanpy as sc
from banksy.cluster_methods import run_Leiden_partition
from banksy.embed_banksy import generate_banksy_matrix
from banksy.initialize_banksy import initialize_banksy
from banksy_utils.umap_pca import pca_umap

LAMBDA = 0.8
DECAY = "scaled_gaussian"


def find(tissue, n_domains, seed):  # noqa: ANN001, ANN201
    sc.pp.filter_genes(tissue, min_cells=3)
    sc.pp.normalize_total(tissue)
    if tissue.n_vars > 2000:
        logged = sc.pp.log1p(tissue, copy=True)
        sc.pp.highly_variable_genes(logged, flavor="seurat", n_top_genes=2000)
        tissue = tissue[:, logged.var["highly_variable"]].copy()
    tissue.X = tissue.X.toarray()
    tissue.obs["x"], tissue.obs["y"] = tissue.obsm["spatial"].T
    figures = dict.fromkeys(("plt_edge_hist", "plt_nbr_weights", "plt_theta"), False)
    steps = initialize_banksy(
        tissue, ("x", "y", "spatial"), num_neighbours=15, nbr_weight_decay=DECAY, max_m=1, **figures
    )
    steps, _ = generate_banksy_matrix(tissue, steps, [LAMBDA], max_m=1, verbose=False)
    pca_umap(steps, pca_dims=[20], plt_remaining_var=False)
    table, _ = run_Leiden_partition(
        steps, resolutions=[], num_nn=50, partition_seed=seed, match_labels=False, max_labels=n_domains
    )
    return table["labels"].iloc[0].dense, steps[DECAY][LAMBDA]["adata"].obsm["reduced_pc_20"]

"""The floor: smooth over the nearest spots, PCA, Gaussian mixture with one covariance for all. No network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scanpy as sc
from scipy import sparse
from scipy.spatial import cKDTree
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

if TYPE_CHECKING:
    import anndata as ad

Found = tuple[np.ndarray, np.ndarray]


def six(tissue: ad.AnnData, n_domains: int, seed: int) -> Found:
    return _floor(tissue, n_domains, seed, n_neighbors=6)


def eighteen(tissue: ad.AnnData, n_domains: int, seed: int) -> Found:
    return _floor(tissue, n_domains, seed, n_neighbors=18)


def _floor(tissue: ad.AnnData, n_domains: int, seed: int, *, n_neighbors: int) -> Found:
    sc.pp.filter_genes(tissue, min_cells=3)
    if tissue.n_vars > 3000:
        sc.pp.highly_variable_genes(tissue, flavor="seurat_v3", n_top_genes=3000, subset=True)
    sc.pp.normalize_total(tissue, target_sum=1e4)
    sc.pp.log1p(tissue)
    sc.pp.scale(tissue, max_value=10)
    nearest = cKDTree(tissue.obsm["spatial"]).query(tissue.obsm["spatial"], n_neighbors + 1)[1]
    rows = np.repeat(np.arange(tissue.n_obs), n_neighbors + 1)
    weights = np.full(rows.size, 1 / (n_neighbors + 1), dtype=np.float32)
    smooth = sparse.csr_matrix((weights, (rows, nearest.ravel())), shape=(tissue.n_obs,) * 2) @ tissue.X
    scores = PCA(min(20, min(smooth.shape) - 1), random_state=seed).fit_transform(smooth)
    return GaussianMixture(n_domains, covariance_type="tied", random_state=seed).fit_predict(scores), scores

"""The methods that are compared. Each takes a tissue, a number of domains and a seed; none sees a label."""

from __future__ import annotations

from collections.abc import Callable

import anndata as ad
import numpy as np
import scanpy as sc
from scipy import sparse
from scipy.spatial import cKDTree
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

import semst

Labels = np.ndarray
Method = Callable[[ad.AnnData, int, int], Labels]


def _floor(tissue: ad.AnnData, n_domains: int, seed: int, *, n_neighbors: int) -> Labels:
    """Smooth over the nearest spots, PCA, Gaussian mixture with one tied covariance: no network."""
    work = ad.AnnData(tissue.X.copy(), var=tissue.var[[]], obsm={"spatial": tissue.obsm["spatial"]})
    sc.pp.filter_genes(work, min_cells=3)
    if work.n_vars > 3000:
        sc.pp.highly_variable_genes(work, flavor="seurat_v3", n_top_genes=3000, subset=True)
    sc.pp.normalize_total(work, target_sum=1e4)
    sc.pp.log1p(work)
    sc.pp.scale(work, max_value=10)
    nearest = cKDTree(work.obsm["spatial"]).query(work.obsm["spatial"], n_neighbors + 1)[1]
    rows = np.repeat(np.arange(work.n_obs), n_neighbors + 1)
    weights = np.full(rows.size, 1 / (n_neighbors + 1), dtype=np.float32)
    smooth = sparse.csr_matrix((weights, (rows, nearest.ravel())), shape=(work.n_obs,) * 2) @ work.X
    scores = PCA(min(20, min(smooth.shape) - 1), random_state=seed).fit_transform(smooth)
    return GaussianMixture(n_domains, covariance_type="tied", random_state=seed).fit_predict(scores)


def floor_6(tissue: ad.AnnData, n_domains: int, seed: int) -> Labels:
    """The floor, 6 neighbours."""
    return _floor(tissue, n_domains, seed, n_neighbors=6)


def floor_18(tissue: ad.AnnData, n_domains: int, seed: int) -> Labels:
    """The floor, 18 neighbours."""
    return _floor(tissue, n_domains, seed, n_neighbors=18)


def default(tissue: ad.AnnData, n_domains: int, seed: int) -> Labels:
    """The three lines of the README."""
    semst.pp.gene_semantics(tissue, progress=False)
    return _cluster(tissue, n_domains, seed)


def no_semantics(tissue: ad.AnnData, n_domains: int, seed: int) -> Labels:
    """The same without FSM."""
    return _cluster(tissue, n_domains, seed, semantics_key=None)


def permuted_genes(tissue: ad.AnnData, n_domains: int, seed: int) -> Labels:
    """The control: each gene that has a vector gets the vector of another one; expression untouched."""
    semst.pp.gene_semantics(tissue, progress=False)
    vectors = tissue.varm["gene_semantics"].copy()
    known = np.flatnonzero(vectors.any(axis=1))
    vectors[known] = vectors[np.random.default_rng(1000 + seed).permutation(known)]
    table = dict(zip(tissue.var_names[known], vectors[known], strict=True))
    semst.pp.gene_semantics(tissue, vectors=table, progress=False)
    return _cluster(tissue, n_domains, seed)


def published(tissue: ad.AnnData, n_domains: int, seed: int) -> Labels:
    """The published architecture and loss weights, k-means on the last state."""
    semst.pp.gene_semantics(tissue, progress=False)
    return _cluster(tissue, n_domains, seed, preset="published")


def _cluster(tissue: ad.AnnData, n_domains: int, seed: int, **options: object) -> Labels:
    semst.tl.cluster(tissue, n_clusters=n_domains, random_state=seed, progress=False, **options)
    return tissue.obs["semst"].to_numpy()


METHODS: dict[str, Method] = {
    "floor, 6 neighbours": floor_6,
    "floor, 18 neighbours": floor_18,
    "semst": default,
    "semst, no semantics": no_semantics,
    "semst, permuted genes": permuted_genes,
    "semst, published preset": published,
}

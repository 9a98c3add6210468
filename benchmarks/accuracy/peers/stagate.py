"""STAGATE as in its tutorial: 3000 variable genes, 1000 epochs, mixture on the 30 features of its embedding."""

from __future__ import annotations

import scanpy as sc
from sklearn.mixture import GaussianMixture
from STAGATE_pyG import Cal_Spatial_Net, train_STAGATE


def find(tissue, n_domains, seed):  # noqa: ANN001, ANN201
    sc.pp.highly_variable_genes(tissue, flavor="seurat_v3", n_top_genes=3000)
    sc.pp.normalize_total(tissue, target_sum=1e4)
    sc.pp.log1p(tissue)
    # Documented is a radius of 150 pixels on Visium, which holds the six spots around; six nearest fit any unit.
    Cal_Spatial_Net(tissue, k_cutoff=6, model="KNN", verbose=False)
    embedding = train_STAGATE(tissue, random_seed=seed, verbose=False, device="cpu").obsm["STAGATE"]
    # Documented is R's mclust, model EEE: one covariance for all.
    return GaussianMixture(n_domains, covariance_type="tied", random_state=seed).fit_predict(embedding), embedding

"""GraphST as in its tutorial on Visium: 600 epochs, 20 components, mixture, refinement over 50 spots."""

from __future__ import annotations

import torch
from GraphST.GraphST import GraphST
from GraphST.utils import refine_label
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture


def find(tissue, n_domains, seed):  # noqa: ANN001, ANN201
    found = GraphST(tissue, device=torch.device("cpu"), random_seed=seed).train()
    embedding = found.obsm["emb"]
    components = PCA(n_components=min(20, embedding.shape[1]), random_state=42).fit_transform(embedding)
    # Documented is R's mclust, model EEE: one covariance for all.
    mixture = GaussianMixture(n_domains, covariance_type="tied", random_state=seed)
    found.obs["domain"] = mixture.fit_predict(components).astype(str)
    return refine_label(found, radius=50, key="domain"), embedding

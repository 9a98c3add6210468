"""Novae, trained from nothing on the one tissue (its published weights are not read)."""

from __future__ import annotations

import lightning
import novae


def find(tissue, n_domains, seed):  # noqa: ANN001, ANN201
    lightning.seed_everything(seed, verbose=False)
    tissue.layers["counts"] = tissue.X.copy()
    novae.spatial_neighbors(tissue, verbose=False)
    model = novae.Novae(tissue)
    model.fit(accelerator="cpu", enable_progress_bar=False)
    model.compute_representations(accelerator="cpu")
    key = model.assign_domains(n_domains=n_domains)
    return tissue.obs[key].astype(str), tissue.obsm["novae_latent"]

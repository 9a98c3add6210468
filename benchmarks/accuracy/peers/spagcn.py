"""SpaGCN as in its tutorial, without histology: p = 0.5, its search for the resolution, its refinement."""

from __future__ import annotations

import random

import anndata as ad
import numpy as np
import scanpy as sc
import SpaGCN as spg
import torch

N_COMPONENTS = 50  # fixed inside SpaGCN's search


def find(tissue, n_domains, seed):  # noqa: ANN001, ANN201
    x, y = tissue.obsm["spatial"].T.tolist()
    distance = spg.calculate_adj_matrix(x=x, y=y, histology=False)
    work = _expression(tissue)
    length = spg.search_l(0.5, distance, start=0.01, end=max(1000, float(distance.max())), tol=0.01, max_run=100)
    seeds = {"r_seed": seed, "t_seed": seed, "n_seed": seed}
    resolution = spg.search_res(
        work, distance, length, n_domains, start=0.7, step=0.1, tol=5e-3, lr=0.05, max_epochs=20, **seeds
    )
    random.seed(seed)  # its search leaves the global generators somewhere; documented is to start them anew
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    model = spg.SpaGCN()
    model.set_l(length)
    model.train(work, distance, init_spa=True, init="louvain", res=resolution, tol=5e-3, lr=0.05, max_epochs=200)
    labels, _ = model.predict()
    embedding, _ = model.model.predict(model.embed, model.adj_exp)
    names = tissue.obs_names.tolist()
    refined = spg.refine(sample_id=names, pred=labels.tolist(), dis=distance, shape="hexagon")
    return refined, embedding.detach().numpy()


def _expression(tissue):  # noqa: ANN001, ANN202
    """Filter, normalise and log as documented; dense, since SpaGCN asks sparse matrices for what scipy has dropped."""
    work = ad.AnnData(tissue.X.toarray(), obs=tissue.obs[[]], var=tissue.var[[]])
    spg.prefilter_genes(work, min_cells=3)
    spg.prefilter_specialgenes(work)
    sc.pp.normalize_per_cell(work)
    sc.pp.log1p(work)
    missing = N_COMPONENTS - work.n_vars
    if missing > 0:  # genes of zeros let a small panel pass and change no component
        work = ad.AnnData(np.hstack([work.X, np.zeros((work.n_obs, missing))]), obs=work.obs)
    return work

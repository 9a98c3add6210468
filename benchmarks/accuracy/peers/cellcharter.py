"""CellCharter as in its tutorial: scVI, Delaunay neighbours up to three steps away, its Gaussian mixture."""

from __future__ import annotations

import cellcharter as cc
import scanpy as sc
import scvi
import squidpy as sq

CPU = {"accelerator": "cpu", "enable_progress_bar": False}


def find(tissue, n_domains, seed):  # noqa: ANN001, ANN201
    scvi.settings.seed = seed
    sc.pp.filter_genes(tissue, min_counts=3)
    if tissue.n_vars > 5000:  # the authors' number for whole transcriptomes
        sc.pp.highly_variable_genes(tissue, flavor="seurat_v3", n_top_genes=5000, subset=True)
    scvi.model.SCVI.setup_anndata(tissue)
    model = scvi.model.SCVI(tissue)
    model.train(early_stopping=True, **CPU)
    tissue.obsm["X_scVI"] = model.get_latent_representation().astype("float32")
    sq.gr.spatial_neighbors(tissue, coord_type="generic", delaunay=True)
    cc.gr.remove_long_links(tissue)
    cc.gr.aggregate_neighbors(tissue, n_layers=3, use_rep="X_scVI", out_key="X_cellcharter")
    mixture = cc.tl.Cluster(n_clusters=n_domains, random_state=seed, trainer_params=CPU)
    mixture.fit(tissue, use_rep="X_cellcharter")
    return mixture.predict(tissue, use_rep="X_cellcharter"), tissue.obsm["X_cellcharter"]

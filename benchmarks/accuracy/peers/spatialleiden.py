"""SpatialLeiden as in its tutorial: ten nearest in space, weight 1.8, its own search for both resolutions."""

from __future__ import annotations

import scanpy as sc
import spatialleiden as sl
import squidpy as sq


def find(tissue, n_domains, seed):  # noqa: ANN001, ANN201
    sc.pp.filter_genes(tissue, min_cells=3)
    sc.pp.normalize_total(tissue)
    sc.pp.log1p(tissue)
    sc.pp.pca(tissue, n_comps=min(30, min(tissue.shape) - 1), random_state=seed)
    sc.pp.neighbors(tissue, random_state=seed)
    sq.gr.spatial_neighbors(tissue, coord_type="generic", n_neighs=10)
    tissue.obsp["spatial_connectivities"] = sl.distance2connectivity(tissue.obsp["spatial_distances"])
    sl.search_resolution(
        tissue,
        n_domains,
        latent_kwargs={"random_state": seed, "directed": False},
        spatial_kwargs={"layer_ratio": 1.8, "directed": (False, True), "random_state": seed},
    )
    return tissue.obs["spatialleiden"], None  # the labels of the last step of its search

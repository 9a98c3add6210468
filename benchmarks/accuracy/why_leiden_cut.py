"""Leiden and SpatialLeiden on several features of one tissue; runs in SpatialLeiden's environment, for why_leiden.py.

    build/peers/spatialleiden/bin/python why_leiden_cut.py features.npz labels.npz --seed 0

The settings are those of peers/spatialleiden.py.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import scanpy as sc
import spatialleiden as sl
import squidpy as sq

RATIOS = {"pcs": (0.5, 1.0, 1.8, 4.0)}  # weights of the spatial layer; of what is not named here the documented one


def cut(features: np.ndarray, places: np.ndarray, n_domains: int, seed: int, ratios: tuple[float, ...]) -> dict:
    """Give the labels at every weight of the spatial layer; 0 is Leiden without one."""
    tissue = ad.AnnData(obsm={"features": features, "spatial": places})
    sc.pp.neighbors(tissue, use_rep="features", random_state=seed)
    sq.gr.spatial_neighbors(tissue, coord_type="generic", n_neighs=10)
    tissue.obsp["spatial_connectivities"] = sl.distance2connectivity(tissue.obsp["spatial_distances"])
    resolution = sl.search_resolution_latent(tissue, n_domains, directed=False, random_state=seed)
    labels = {0.0: tissue.obs["leiden"].cat.codes.to_numpy()}
    for ratio in ratios:
        options = {"layer_ratio": ratio, "directed": (False, True), "random_state": seed}
        sl.search_resolution_spatial(tissue, n_domains, resolution=(resolution, 1), **options)
        labels[ratio] = tissue.obs["spatialleiden"].cat.codes.to_numpy()
    return labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path, help="features of several kinds, spatial, and k")
    parser.add_argument("labels", type=Path, help="where labels go, one array for each kind and weight")
    parser.add_argument("--seed", type=int, required=True)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    with np.load(arguments.features) as given:
        places, k = given["spatial"], int(given["k"])
        found = {
            f"{name}_{ratio:g}": labels
            for name in given.files
            if name not in ("spatial", "k")
            for ratio, labels in cut(given[name], places, k, arguments.seed, RATIOS.get(name, (1.8,))).items()
        }
    np.savez(arguments.labels, **found)


if __name__ == "__main__":
    main()

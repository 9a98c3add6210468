"""A script as torchrun starts it: domains of a tissue that counts as large, into OUT/RANK.npz.

torchrun --standalone --nproc-per-node 2 together.py tissue.h5ad OUT [--alone-in-options]
"""

from __future__ import annotations

import sys
from pathlib import Path

import anndata as ad
import numpy as np

import semst
from semst import _sample
from semst.training import _tissue_tiles
from semst.training._processes import rank

LARGE, TILE = 600, 150


def main() -> None:
    tissue, out = ad.read_h5ad(sys.argv[1]), Path(sys.argv[2])
    _sample.ENOUGH = LARGE
    _tissue_tiles.TILE = TILE
    seed = rank() if "--alone-in-options" in sys.argv else 0
    checkpoint = out / "checkpoint" if "--checkpoint" in sys.argv else None
    semst.tl.cluster(
        tissue,
        n_clusters=4,
        epochs=4,
        tiles_per_step=2,
        random_state=seed,
        device="cpu",
        progress=False,
        checkpoint=checkpoint,
    )
    np.savez(
        out / f"{rank()}.npz",
        labels=tissue.obs["semst"].astype(str).to_numpy(dtype=str),
        latent=tissue.obsm["X_semst"],
        alpha=tissue.obs["semst_alpha"].to_numpy(),
        influence=tissue.uns["semst"]["modulation"]["influence"],
        **tissue.uns["semst"]["history"],
    )


if __name__ == "__main__":
    main()

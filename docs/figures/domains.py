"""The picture of the README: experts' layers beside the domains that semst finds, on a slice of human cortex.

python docs/figures/domains.py                 downloads slice 151673 of the DLPFC study
python docs/figures/domains.py slice.h5ad      takes a slice that is here already

Default settings, seed 0. The image goes to docs/_static/domains.png, the scores to the standard output.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import anndata as ad
import matplotlib as mpl
from PIL import Image

import semst

mpl.use("agg")
import matplotlib.pyplot as plt

SPOT = 130  # diameter in pixels: spots 137 pixels apart then nearly touch, which reads better at this size
PICTURE = Path(__file__).parents[1] / "_static" / "domains.png"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slice", nargs="?", type=Path, help="a .h5ad file with obs['ground_truth']")
    arguments = parser.parse_args()
    adata = semst.datasets.dlpfc() if arguments.slice is None else ad.read_h5ad(arguments.slice)

    semst.pp.gene_semantics(adata)
    semst.tl.cluster(adata, n_clusters=adata.obs["ground_truth"].nunique())

    for name, score in semst.metrics.score(adata).items():
        print(f"{name:>8}  {score:.3f}")
    draw(adata)
    print(f"wrote {PICTURE}")


def draw(adata: ad.AnnData) -> None:
    _, axes = plt.subplots(1, 3, figsize=(12, 3.9), layout="constrained")
    semst.pl.domains(
        adata,
        color=["ground_truth", "semst"],
        title=["experts", "semst"],
        size=SPOT,
        ax=list(axes[:2]),
    )
    semst.pl.domains(adata, color="semst_confidence", title="confidence", size=SPOT, ax=axes[2])
    PICTURE.parent.mkdir(exist_ok=True)
    plt.savefig(PICTURE, dpi=110)
    # A palette of 128 colours makes the file a third as large, and nobody sees the difference.
    Image.open(PICTURE).convert("RGB").quantize(128).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()

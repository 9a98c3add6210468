"""How often does ``describe`` name what has no name: gene vectors permuted among genes, or labels shuffled over spots.

    python benchmarks/queries/null.py --data ../shared/data

At a false discovery rate of 0.05 about one domain in twenty may have a term.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from run import permute

import semst

HERE = Path(__file__).resolve().parent
ORGANS = {
    "osmfish_ssc": "brain",
    "starmap_mvc": "brain",
    "starmap_mpfc_BZ5": "brain",
    "her2st_B1": ("breast", "immune"),
}


def named(tissue: ad.AnnData, organs: str | tuple[str, ...], seed: int) -> int:
    """Count the domains that have any term."""
    return int(semst.tl.describe(tissue, key="domains", organs=organs, random_state=seed)["domain"].nunique())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with the .h5ad files")
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    rows = []
    for name, organs in ORGANS.items():
        tissue = ad.read_h5ad(options.data / f"{name}.h5ad")
        semst.pp.gene_semantics(tissue, progress=False)
        tissue.obs["domains"] = tissue.obs["ground_truth"]
        found = {"vectors permuted": 0, "labels shuffled": 0}
        for seed in range(options.seeds):
            found["vectors permuted"] += named(permute(tissue, seed), organs, seed)
            shuffled = tissue.copy()
            shuffled.obs["domains"] = np.random.default_rng(seed).permutation(tissue.obs["domains"].to_numpy())
            found["labels shuffled"] += named(shuffled, organs, seed)
        domains = tissue.obs["domains"].nunique() * options.seeds
        rows += [{"data": name, "null": null, "named": hits, "domains": domains} for null, hits in found.items()]
        print(rows[-2:], flush=True)
    table = pd.DataFrame(rows).assign(rate=lambda each: (each["named"] / each["domains"]).round(3))
    table.to_csv(HERE / "null.csv", index=False)


if __name__ == "__main__":
    main()

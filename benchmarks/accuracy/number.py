"""The number of domains that is chosen where none is given, beside the one that experts drew or that was planted.

python benchmarks/accuracy/number.py --data ../shared/data --seeds 3
"""

from __future__ import annotations

import argparse
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from rows import append, done

import semst
from semst.partitions._stability import stability
from semst.pp._graphs import spatial_graph
from semst.training._recipe import DEFAULT
from semst.training._sections import Tissue, choose_genes

DATA = (
    "her2st_B1", "her2st_H1", "starmap_mpfc_BZ5", "starmap_mvc", "osmfish_ssc", "dlpfc_151673", "dlpfc_151676",
)  # fmt: skip
PLANTED = (3, 4, 5, 6, 7)
HERE = Path(__file__).resolve().parent


def choose(tissue: ad.AnnData, seed: int) -> int:
    """What ``semst.tl.cluster(tissue, n_clusters=None)`` chooses, without its training."""
    counts = tissue.X.tocsr().astype(np.float32)
    graph = spatial_graph(tissue, tissue.obsm["spatial"])
    genes = choose_genes(counts, graph, DEFAULT, n_top_genes=3000)
    section = Tissue(counts, graph, None, genes)
    return stability(section, partition=DEFAULT.partition, random_state=seed).best


def table(rows: pd.DataFrame) -> str:
    """The chosen numbers of all seeds, a row for each tissue."""
    lines = ["| tissue | domains | chosen, by seed |", "|---|---|---|"]
    for (tissue, domains), part in rows.groupby(["tissue", "domains"], sort=False):
        lines.append(f"| {tissue} | {domains} | {', '.join(map(str, part.sort_values('seed')['chosen']))} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with the .h5ad files")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=HERE / "number.csv")
    options = parser.parse_args()
    known = done(options.results, ["tissue", "seed"])

    def run(name: str, tissue: ad.AnnData, seed: int) -> None:
        domains = tissue.obs["ground_truth"].nunique()
        row = {"tissue": name, "domains": domains, "seed": seed, "chosen": choose(tissue, seed)}
        append(options.results, row)
        print(*row.values(), flush=True)

    for seed in range(options.seeds):
        for k in PLANTED:
            if (f"simulated, {k}", seed) not in known:
                planted = semst.datasets.simulated(
                    n_spots=1000, n_genes=400, n_domains=k, random_state=seed, progress=False
                )
                run(f"simulated, {k}", planted, seed)
        for name in DATA:
            if (name, seed) not in known:
                run(name, ad.read_h5ad(options.data / f"{name}.h5ad"), seed)
    (HERE / "number.md").write_text(table(pd.read_csv(options.results)))


if __name__ == "__main__":
    main()

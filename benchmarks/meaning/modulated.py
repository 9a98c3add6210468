"""How strongly FSM modulates two sections, with true gene vectors and with permuted ones, one seed each.

    python benchmarks/meaning/modulated.py ../shared/data

Writes modulated.md beside this script. No label is looked at but for the number of domains.
"""

from __future__ import annotations

import sys
from pathlib import Path

import anndata as ad
import numpy as np

import semst

SECTIONS = {"starmap_mvc": "mouse visual cortex (STARmap)", "her2st_H1": "breast cancer (HER2ST H1)"}
NAMED = 4  # genes


def row(tissue: ad.AnnData, what: str) -> str:
    """Cluster a section and tell what FSM did."""
    n_clusters = tissue.obs["ground_truth"].cat.categories.size
    found = semst.tl.cluster(tissue, n_clusters=n_clusters, semantics_key=what, copy=True, progress=False)
    told = found.uns["semst"]["modulation"]
    most = int(np.argmax(told["beta"]))
    genes = ", ".join(f"*{gene}*" for gene in told["genes"][most][:NAMED])
    alpha, beta = (found.obs[f"semst_{size}"].mean() for size in ("alpha", "beta"))
    return f"{alpha:.3f} | {beta:.3f} | {genes} |"


def main() -> None:
    lines = [r"| | $\alpha$ | $\beta$ | strongest genes of the domain that is shifted most |", "|---|---|---|---|"]
    for name, words in SECTIONS.items():
        tissue = ad.read_h5ad(Path(sys.argv[1]) / f"{name}.h5ad")
        semst.pp.gene_semantics(tissue, progress=False)
        others = np.random.default_rng(0).permutation(tissue.n_vars)
        tissue.varm["others"] = tissue.varm["gene_semantics"][others]
        semst.pp.gene_semantics(tissue, vectors="others", key_added="permuted", progress=False)
        lines.append(f"| {words}, true vectors | {row(tissue, 'gene_semantics')}")
        lines.append(f"| permuted | {row(tissue, 'permuted')}")
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

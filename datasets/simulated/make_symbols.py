"""Write the list of gene symbols that semst.datasets.simulated() uses: identifiers only, most expressed first.

    python datasets/simulated/make_symbols.py GENES DATA

GENES holds human_genes.tsv.gz, mouse_genes.tsv.gz (HGNC, MGI) and orthologs_human_mouse.tsv.gz (MGI); DATA holds .h5ad
files of human tissue with raw counts. Kept are protein-coding human genes with a mouse ortholog, both under their
approved names: mitochondrial and ribosomal genes, then the others by their mean rank over the files; the marker genes
of the simulated cell types are always among them. The same inputs give the same bytes.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from semst.datasets._cell_types import CORTEX_MARKERS, TUMOUR_MARKERS

N_GENES = 3000
MITOCHONDRIAL = re.compile(r"MT-(ND\d|CO\d|ATP6|CYB)")
RIBOSOMAL = re.compile(r"RP[LS]P?\d+[AX]?")
HUMAN_FILES = ("dlpfc_151673.h5ad", "dlpfc_151676.h5ad", "her2st_B1.h5ad", "her2st_H1.h5ad")
TARGET = Path(__file__).parents[2] / "src" / "semst" / "datasets" / "_symbols.tsv"


def expression_rank(data: Path) -> pd.Series:
    """Mean over the files of each gene's relative rank, 0 for the most expressed, files without the gene left out."""
    ranks = {}
    for name in HUMAN_FILES:
        adata = ad.read_h5ad(data / name)
        depth = np.asarray(adata.X.sum(axis=1)).ravel()
        mean = np.asarray((adata.X.multiply(1 / depth[:, None])).mean(axis=0)).ravel()
        ranks[name] = pd.Series(mean, index=adata.var_names).rank(ascending=False, pct=True)
    return pd.DataFrame(ranks).mean(axis=1)


def orthologs(genes: Path) -> pd.Series:
    """Mouse symbol of each human protein-coding gene: its only ortholog, or the one of its name among several."""
    human = pd.read_csv(genes / "human_genes.tsv.gz", sep="\t", dtype=str, keep_default_na=False)
    mouse = pd.read_csv(genes / "mouse_genes.tsv.gz", sep="\t", dtype=str, keep_default_na=False)
    pairs = pd.read_csv(genes / "orthologs_human_mouse.tsv.gz", sep="\t", dtype=str, keep_default_na=False)
    coding = set(human.loc[human["locus_group"] == "protein-coding gene", "symbol"])
    pairs = pairs[pairs["human_symbol"].isin(coding) & pairs["mouse_symbol"].isin(set(mouse["symbol"]))]
    same_name = pairs["human_symbol"].str.lower() == pairs["mouse_symbol"].str.lower()
    single = pairs[same_name | (pairs["relation_human2mouse"] == "one2one")]
    single = single.assign(other_name=~same_name).sort_values(["other_name", "human_symbol"], kind="stable")
    single = single.drop_duplicates("human_symbol").drop_duplicates("mouse_symbol")
    return single.set_index("human_symbol")["mouse_symbol"]


def main(genes: Path, data: Path) -> None:
    """Write the list."""
    mouse = orthologs(genes)
    markers = sorted({gene for table in (CORTEX_MARKERS, TUMOUR_MARKERS) for kind in table.values() for gene in kind})
    if missing := [gene for gene in markers if gene not in mouse.index]:
        raise SystemExit(f"marker genes without a mouse ortholog: {', '.join(missing)}")
    rank = expression_rank(data)
    # The files at hand leave out mitochondrial and ribosomal genes, which lead every real list.
    leading = [gene for gene in sorted(mouse.index) if MITOCHONDRIAL.fullmatch(gene)]
    leading += [gene for gene in sorted(mouse.index) if RIBOSOMAL.fullmatch(gene)]
    rank = rank[rank.index.isin(mouse.index) & ~rank.index.isin(leading)].sort_index().sort_values(kind="stable")
    unmeasured = [gene for gene in markers if gene not in rank.index]
    common = [gene for gene in rank.index if gene not in markers][: N_GENES - len(markers) - len(leading)]
    ordered = leading + rank.index[rank.index.isin([*common, *markers])].tolist() + unmeasured
    TARGET.write_text("human\tmouse\n" + "".join(f"{gene}\t{mouse[gene]}\n" for gene in ordered), encoding="utf-8")
    print(
        f"{len(ordered)} genes, {len(markers)} of them markers ({len(unmeasured)} unmeasured here), "
        f"{TARGET.stat().st_size} bytes"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

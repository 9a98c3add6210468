"""Names of experts' regions in five sections of cortex, where ``describe`` is told of the brain, or of its cortex.

    python benchmarks/queries/names.py --data ../shared/data

A name counts as right where it holds one of the words below for its region. They were written down after a look at the
names of domains that semst found in three of these sections, and not changed since. The control deals the gene vectors
anew among genes. Labels are the domains here: nothing is found, only named.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import anndata as ad
import pandas as pd
from run import permute

import semst

HERE = Path(__file__).resolve().parent
SECTIONS = ("dlpfc_151673", "dlpfc_151676", "starmap_mvc", "starmap_mpfc_BZ5", "osmfish_ssc")
WAYS = {"no organ": None, "brain": "brain", "brain/cortex": "brain/cortex"}
MYELIN = ("oligodendrocyte", "myelin", "white matter", "corpus callosum", "fiber tract")
NEURONS = ("glutamatergic", "pyramidal", "excitatory", "gray matter", "cortex", "cortical layer")
UPPER, FOUR = ("layer 2/3", "layers 2 and 3"), ("layer 4",)
FIVE, SIX = ("layer 5",), ("layer 6",)
HIPPOCAMPUS = ("hippocamp", "dentate", "subiculum", "CA1", "CA3", "stratum")
RIGHT = {  # by region: words for its own layer or tissue
    "Layer1": ("layer 1", "mening", "astrocyte"), "L1": ("layer 1", "mening", "astrocyte"),
    "Pia Layer 1": ("layer 1", "mening", "astrocyte", "vessel"),
    "Layer2": UPPER, "Layer3": UPPER, "L2/3": UPPER, "Layer 2-3 medial": UPPER, "Layer 2-3 lateral": UPPER,
    "Layer4": FOUR, "L4": FOUR, "Layer 4": FOUR, "Layer 3-4": (*UPPER, *FOUR),
    "Layer5": FIVE, "L5": FIVE, "Layer 5": FIVE, "Layer6": SIX, "L6": SIX, "Layer 6": SIX,
    "WM": MYELIN, "CC": MYELIN, "White matter": MYELIN,
    "Internal Capsule Caudoputamen": (*MYELIN, "striat", "medium spiny"),
    "HPC": HIPPOCAMPUS, "Hippocampus": HIPPOCAMPUS, "Ventricle": ("ventric", "ependym", "choroid"),
}  # fmt: skip


def judged(region: str, name: str) -> str:
    """Tell a right name from one of the cortex or its myelin that says less, or another layer, and from all others."""
    if name == "no term fits":
        return "unnamed"
    if any(word in name for word in RIGHT.get(region, ())):
        return "right"
    return "of the cortex" if any(word in name for word in (*NEURONS, *MYELIN, "layer")) else "elsewhere"


def named(tissue: ad.AnnData, way: str, seed: int) -> pd.Series:
    """Name the experts' regions."""
    semst.tl.describe(tissue, key="region", organs=WAYS[way], random_state=seed)
    return tissue.uns["region_description"]["names"]["name"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with the .h5ad files")
    parser.add_argument("--seeds", type=int, default=5, help="of the null that names are judged by")
    parser.add_argument("--permutations", type=int, default=3, help="draws of the control")
    options = parser.parse_args()
    rows = []
    for section in SECTIONS:
        tissue = ad.read_h5ad(options.data / f"{section}.h5ad")
        tissue.obs["region"] = tissue.obs["ground_truth"].astype("category")
        semst.pp.gene_semantics(tissue, progress=False)
        dealt = [permute(tissue, seed) for seed in range(options.permutations)]
        for way in WAYS:
            for vectors, tables in (("true", [tissue] * options.seeds), ("permuted", dealt)):
                for seed, table in enumerate(tables):
                    for region, name in named(table, way, seed).items():
                        row = {"data": section, "way": way, "vectors": vectors, "seed": seed, "region": region}
                        rows.append({**row, "name": name, "judged": judged(str(region), name)})
        print(section, flush=True)
    table = pd.DataFrame(rows)
    table.to_csv(HERE / "names.csv", index=False)
    (HERE / "names.md").write_text(page(table))


def page(table: pd.DataFrame) -> str:
    """Shares of the judgements over all seeds, and every name that the true vectors gave with the first."""
    kinds = ["right", "of the cortex", "elsewhere", "unnamed"]
    share = table.groupby(["way", "vectors"], sort=False)["judged"].value_counts(normalize=True).unstack(fill_value=0)
    lines = ["| told | gene vectors | " + " | ".join(kinds) + " |", "|" + "---|" * 6]
    for (way, vectors), row in share.reindex(columns=kinds, fill_value=0).iterrows():
        lines.append(f"| {way} | {vectors} | " + " | ".join(f"{100 * value:.0f} %" for value in row) + " |")
    true = table[(table["vectors"] == "true") & (table["seed"] == 0)].pivot_table(
        index=["data", "region"], columns="way", values="name", aggfunc="first", sort=False
    )
    lines += ["", "| section | region | " + " | ".join(WAYS) + " |", "|" + "---|" * (2 + len(WAYS))]
    for (section, region), row in true.iterrows():
        lines.append(f"| {section} | {region} | " + " | ".join(row[way] for way in WAYS) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

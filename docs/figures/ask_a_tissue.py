"""Pictures and numbers of the tutorial "Ask a tissue".

python docs/figures/ask_a_tissue.py --data ../shared/data

The folder holds dlpfc_151673.h5ad and her2st_H1.h5ad (datasets/README.md). Default settings, seed 0; some minutes.
Images go to docs/_static/ask_*.png, what the page quotes to the standard output.
"""

from __future__ import annotations

import argparse
import logging
import textwrap
from pathlib import Path

import anndata as ad
import matplotlib as mpl
import numpy as np
import pandas as pd
from PIL import Image
from scipy.spatial import KDTree
from sklearn.metrics import roc_auc_score

import semst

mpl.use("agg")
import matplotlib.pyplot as plt

STATIC = Path(__file__).parents[1] / "_static"
LARGE = 100_000  # bytes
MYELIN, MATTER, SYNAPSES, DEEP = CORTEX = [
    "myelin sheath of oligodendrocytes",
    "white matter",
    "synaptic transmission between neurons",
    "deep layer corticothalamic neurons",
]
LAYER_6 = "markers of layer 6"
MORE = {
    LAYER_6: ["TLE4", "FOXP2", "NTNG2", "HS3ST4", "SEMA3E"],
    "nonsense": "the weather tomorrow",
    "typing": "asdf qwerty",
}
CORTICAL = [
    "white matter of the brain",
    "gray matter of the cerebral cortex",
    "cortical excitatory neurons",
    "inhibitory interneurons",
    "astrocytes",
    "oligodendrocytes",
    "microglia",
    "blood vessels",
    "meninges",
]
BREAST = {
    "immune infiltrate": ["immune infiltrate"],
    "fat": ["adipose tissue"],
    "HER2 amplified breast cancer": ["invasive cancer", "cancer in situ"],
    "connective tissue": ["connective tissue"],
}
# What a report on a breast may hold. Written down once, before it was tried.
REPORT = [
    "invasive ductal carcinoma",
    "ductal carcinoma in situ",
    "dividing tumor cells",
    "normal ducts and lobules of the breast",
    "fibrous stroma",
    "adipose tissue",
    "lymphocytic infiltrate",
    "tertiary lymphoid structure",
    "plasma cell infiltrate",
    "blood vessels",
    "necrosis",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with the .h5ad files")
    data: Path = parser.parse_args().data
    logging.basicConfig(format="%(message)s")
    pd.set_option("display.width", 200, "display.max_columns", 20, "display.max_colwidth", 90)
    cortex(ad.read_h5ad(data / "dlpfc_151673.h5ad"))
    breast(ad.read_h5ad(data / "her2st_H1.h5ad"))


def cortex(adata: ad.AnnData) -> None:
    heading("cortex", adata)
    semst.tl.query(adata, CORTEX)
    say(adata, MYELIN, ["WM"])
    say(adata, MATTER, ["WM"])
    say(adata, SYNAPSES, ["Layer2", "Layer3", "Layer4", "Layer5", "Layer6"], ["WM"])
    say(adata, DEEP, ["Layer6"], ["Layer2", "Layer3", "Layer4"])
    semst.pl.query(adata, size=130)
    save("cortex_maps")

    heading("genes and nonsense")
    semst.tl.query(adata, MORE, key_added="more")
    say(adata, LAYER_6, ["Layer6"], ["Layer2", "Layer3", "Layer4"], key="more")
    semst.pl.query(adata, key="more", size=130)
    save("cortex_genes")
    found = scores(adata, f"{LAYER_6}_pval", "more") < 0.01
    adata.obs["found"] = found.map({True: "p < 0.01", False: "others"})
    palette = {"p < 0.01": "#b40426", "others": "#d9d9d9"}
    _, axes = plt.subplots(1, 2, figsize=(10.5, 4.6), layout="constrained")
    semst.pl.domains(adata, color="found", title=LAYER_6, palette=palette, size=130, ax=axes[0])
    semst.pl.domains(adata, color="ground_truth", title="experts", size=130, ax=axes[1])
    save("cortex_found")

    heading("domains of cortex")
    semst.tl.cluster(adata, n_clusters=7, progress=False)
    overlap(adata, "semst")
    semst.tl.describe(adata, organs="brain")
    tell(adata, "semst")
    semst.tl.describe(adata, organs="brain/cortex")
    tell(adata, "semst")
    draw(adata, "semst", "cortex", size=130)
    semst.tl.describe(adata, vocabulary=CORTICAL)
    tell(adata, "semst")


def breast(adata: ad.AnnData) -> None:
    heading("breast", adata)
    semst.tl.query(adata, list(BREAST))
    for words, regions in BREAST.items():
        say(adata, words, regions)
    for gene in ("COL1A1", "LUM"):
        alone(adata, gene, ["connective tissue"])
    alone(adata, "KRT19", ["invasive cancer", "cancer in situ"])
    semst.pl.query(adata)
    save("breast_maps")

    heading("domains of the breast")
    semst.tl.cluster(adata, n_clusters=6, progress=False)
    overlap(adata, "semst")
    semst.tl.describe(adata, organs=("breast", "immune"))
    tell(adata, "semst")
    draw(adata, "semst", "breast")

    heading("words of a report")
    semst.tl.describe(adata, vocabulary=REPORT)
    tell(adata, "semst")
    maps = pd.DataFrame({words: scores(adata, words) for words in BREAST})
    means = maps.groupby(adata.obs["semst"], observed=True).mean()
    print(means.round(1).to_string())
    tumor = means.index[means["HER2 amplified breast cancer"] > 0]
    regions = adata.obs["semst"].astype(str)
    adata.obs["regions"] = regions.where(~regions.isin(tumor), "+".join(tumor))
    overlap(adata, "regions")
    semst.tl.describe(adata, key="regions", vocabulary=REPORT)
    tell(adata, "regions")
    draw(adata, "regions", "breast_regions")


def heading(title: str, adata: ad.AnnData | None = None) -> None:
    print(f"\n=== {title} ===" + ("" if adata is None else f" {adata.n_obs} spots, {adata.n_vars} genes"))


def scores(adata: ad.AnnData, words: str, key: str = "query") -> pd.Series:
    """Scores of a query, by its words or the name it was given."""
    return adata.obs[f"{key}_{words.lower().replace(' ', '_')}"]


def say(adata: ad.AnnData, words: str, find: list[str], avoid: list[str] | None = None, *, key: str = "query") -> None:
    """Print what a query left, and how it stands in the experts' regions; to be avoided are all others by default."""
    labels = adata.obs["ground_truth"]
    found = scores(adata, words, key)
    left = adata.uns[key][found.name.removeprefix(f"{key}_")]
    print(f"\n{words!r}: p = {left['p_value']:.3f}, read as {', '.join(left['read_as'][:3])}")
    print(left["genes"].drop(columns="query").head(6).round(3).to_string())
    means = found.astype(float).groupby(labels, observed=True).mean()
    print("mean score:", means.round(1).to_dict())
    significant = (adata.obs[f"{found.name}_pval"] < 0.01).groupby(labels, observed=True).mean()
    print("share of spots with p < 0.01:", significant.round(2).to_dict())
    judged = labels.notna() if avoid is None else labels.isin(find + avoid)
    print(f"area for {', '.join(find)}: {roc_auc_score(labels[judged].isin(find), found[judged]):.3f}")


def alone(adata: ad.AnnData, gene: str, find: list[str], n_neighbors: int = 6) -> None:
    """Print how a single gene, averaged over a spot and its neighbours, stands in the experts' regions."""
    depth = adata.X.sum(axis=1)
    level = np.log1p(1e4 * adata[:, gene].X.toarray().ravel() / np.asarray(depth).ravel())
    _, around = KDTree(adata.obsm["spatial"]).query(adata.obsm["spatial"], k=n_neighbors + 1)
    labels = adata.obs["ground_truth"]
    area = roc_auc_score(labels[labels.notna()].isin(find), level[around].mean(axis=1)[labels.notna()])
    print(f"{gene} alone: area for {', '.join(find)} {area:.3f}")


def overlap(adata: ad.AnnData, key: str) -> None:
    """Print what the experts drew where the domains are."""
    print(pd.crosstab(adata.obs[key], adata.obs["ground_truth"]).to_string())


def tell(adata: ad.AnnData, key: str) -> None:
    """Print the names of domains and what they rest on."""
    described = adata.uns[f"{key}_description"]
    print()
    for domain, name, account in described["names"].itertuples():
        print(textwrap.fill(f"{domain}: {name} ({account})", 150, subsequent_indent="    "))
    terms = described["terms"].groupby("domain", sort=False).head(3)
    print(len(described["terms"]), "terms fit")
    print(terms.drop(columns="p_value").round(3).to_string(index=False))


def draw(adata: ad.AnnData, key: str, name: str, *, size: float | None = None) -> None:
    """Draw domains with their names beside the experts' regions, and the terms."""
    semst.pl.domains(
        adata, color=[key, "ground_truth"], names=True, title=["found and named by semst", "experts"], size=size
    )
    save(f"{name}_domains")
    semst.pl.describe(adata, key=key, n_terms=3)
    save(f"{name}_terms")


def save(name: str) -> None:
    path = STATIC / f"ask_{name}.png"
    plt.savefig(path, dpi=110, bbox_inches="tight")
    plt.close()
    # A palette of 256 colours makes the file a quarter as large; only one of few pixels would lose some of its own.
    # Chosen to cover all colours, since the ends of a colour bar are few pixels and must not turn grey.
    if path.stat().st_size > LARGE:
        Image.open(path).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)
    print(f"wrote {path.relative_to(STATIC.parents[1])}")


if __name__ == "__main__":
    main()

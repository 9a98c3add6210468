"""Score every query of the bank: does its map find the region that experts outlined?

    python benchmarks/queries/run.py --data ../shared/data

The labels enter in ``area`` alone. The control deals the gene vectors anew among the genes that have one.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

import semst
from semst.asking._questions import short_name

HERE = Path(__file__).resolve().parent
PLACES = ["array_row", "array_col"]


def read(path: Path) -> tuple[ad.AnnData, np.ndarray]:
    """Give a tissue without labels, with gene vectors, and the labels."""
    whole = ad.read_h5ad(path)
    obs = whole.obs[[name for name in PLACES if name in whole.obs]]
    tissue = ad.AnnData(whole.X, obs=obs, var=whole.var[[]], obsm={"spatial": whole.obsm["spatial"]})
    semst.pp.gene_semantics(tissue, progress=False)
    return tissue, whole.obs["ground_truth"].astype(object).to_numpy()


def permute(tissue: ad.AnnData, seed: int) -> ad.AnnData:
    """Give each gene that has a vector that of another one."""
    other = tissue.copy()
    vectors = other.varm["gene_semantics"]
    known = np.flatnonzero(vectors.any(axis=1))
    vectors[known] = vectors[np.random.default_rng(seed).permutation(known)]
    return other


def area(score: np.ndarray, labels: np.ndarray, find: str, avoid: str) -> float:
    """Area under the ROC curve of a score: regions to find against those to avoid, or all others that have a label."""
    positive = np.isin(labels, find.split(";"))
    negative = np.isin(labels, avoid.split(";")) if avoid else ~positive & ~pd.isna(labels)
    judged = positive | negative
    return float(roc_auc_score(positive[judged], score[judged]))


def ask(tissue: ad.AnnData, bank: pd.DataFrame, labels: np.ndarray) -> pd.DataFrame:
    """Ask all queries of one tissue."""
    semst.tl.query(tissue, bank["query"].tolist())
    names = [short_name(query) for query in bank["query"]]
    areas = [
        area(tissue.obs[f"query_{name}"].to_numpy(), labels, find, avoid)
        for name, find, avoid in zip(names, bank["find"], bank["avoid"], strict=True)
    ]
    asked = [tissue.uns["query"][name] for name in names]
    return bank.assign(
        auc=areas,
        p_value=[one["p_value"] for one in asked],
        read_as=[one["read_as"][0] for one in asked],
        genes=[" ".join(one["genes"]["gene"][:5]) for one in asked],
    )


def table(results: pd.DataFrame) -> str:
    """Write the page that the docs show."""
    true, control = results["auc"], results["auc_permuted"]
    warned = results["p_value"] > 0.05
    lines = [
        f"{len(results)} queries over {results['data'].nunique()} sections, default settings: mean area under the ROC "
        f"curve **{true.mean():.3f}**, median {true.median():.3f}; {int((true >= 0.9).sum())} of {len(results)} at "
        f"least 0.90, {int((true < 0.7).sum())} below 0.70.",
        f"Of the {len(results)}, {int(warned.sum())} come with a warning that their genes share no pattern (p > 0.05); "
        f"mean of the others {true[~warned].mean():.3f}.",
        f"Gene vectors permuted among genes ({int(results['permutations'].iloc[0])} times): mean {control.mean():.3f}.",
        "",
        "| section | mean | permuted | queries |",
        "|---|---|---|---|",
    ]
    for name, part in results.groupby("data", sort=False):
        lines.append(f"| {name} | {part['auc'].mean():.3f} | {part['auc_permuted'].mean():.3f} | {len(part)} |")
    lines += [
        "",
        "| section | query | should find | and not | AUC | p | permuted | read as | genes |",
        "|---" * 9 + "|",
    ]
    for _, row in results.iterrows():
        avoid = row["avoid"].replace(";", ", ") or "all others"
        lines.append(
            f"| {row['data']} | {row['query']} | {row['find'].replace(';', ', ')} | {avoid} | {row['auc']:.2f} | "
            f"{row['p_value']:.3f} | {row['auc_permuted']:.2f} | {row['read_as']} | {row['genes']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with the .h5ad files")
    parser.add_argument("--permutations", type=int, default=5, help="runs of the control")
    parser.add_argument("--bank", type=Path, default=HERE / "bank.tsv")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for results.csv and results.md")
    options = parser.parse_args()
    logging.getLogger("semst").setLevel(logging.ERROR)  # what it warns of is in the table, as p
    bank = pd.read_csv(options.bank, sep="\t", keep_default_na=False)
    parts = []
    for name, asked in bank.groupby("data", sort=False):
        tissue, labels = read(options.data / f"{name}.h5ad")
        part = ask(tissue.copy(), asked, labels)
        controls = [ask(permute(tissue, seed), asked, labels)["auc"] for seed in range(options.permutations)]
        parts.append(part.assign(auc_permuted=np.mean(controls, axis=0), permutations=options.permutations))
        print(f"{name:18} {part['auc'].mean():.3f}  permuted {np.mean(controls):.3f}", flush=True)
    results = pd.concat(parts)
    results.round(4).to_csv(options.out / "results.csv", index=False)
    (options.out / "results.md").write_text(table(results))
    print(f"mean {results['auc'].mean():.3f}  permuted {results['auc_permuted'].mean():.3f}")


if __name__ == "__main__":
    main()

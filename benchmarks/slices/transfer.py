"""Domains of a model trained on one slice, found in another, next to those of training on that slice.

    python benchmarks/slices/transfer.py DATA_FOLDER

Writes transfer.csv and transfer.md beside this script; without a folder, the page alone from the rows that are there.
Experts' labels score, and do nothing else.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

import semst
from semst.model import _reading

HERE = Path(__file__).parent
DATA = Path(sys.argv[1]) if len(sys.argv) > 1 else None
FIRST, SECOND, OTHER = "dlpfc_151673", "dlpfc_151676", "her2st_H1"
SEEDS = (0, 1)
RIDGES = (1.0, 0.3, 0.1, 0.03, 0.0)


def read(name: str) -> ad.AnnData:
    return ad.read_h5ad(DATA / f"{name}.h5ad")


def ari(table: ad.AnnData) -> float:
    """Agreement with the experts where they gave a label."""
    known = table.obs["ground_truth"].notna().to_numpy()
    return adjusted_rand_score(table.obs["ground_truth"][known], table.obs["semst"][known])


def shuffled(table: ad.AnnData) -> ad.AnnData:
    table = table.copy()
    table.var_names = np.random.default_rng(0).permutation(table.var_names)
    return table


def panels(table: ad.AnnData, genes: list[str]) -> dict[str, ad.AnnData]:
    """Keep half of the genes, a tenth, and 400 of those that the model reads; spots left without counts go."""
    generator = np.random.default_rng(0)
    masks = {
        "half": generator.random(table.n_vars) < 0.5,
        "tenth": generator.random(table.n_vars) < 0.1,
        "400": table.var_names.isin(generator.choice(genes, 400, replace=False)),
    }
    kept = {name: table[:, mask].copy() for name, mask in masks.items()}
    return {name: each[np.asarray(each.X.sum(axis=1)).ravel() > 0].copy() for name, each in kept.items()}


def main() -> None:
    rows = []
    for seed in SEEDS:
        first, second = read(FIRST), read(SECOND)
        start = time.perf_counter()
        model = semst.SemST.train(first, n_clusters=7, random_state=seed, progress=False)
        seconds = time.perf_counter() - start
        rows.append(_row(seed, f"{FIRST}, trained on it", first, seconds) | {"ari": ari(first)})
        for name, table in (
            (f"{FIRST}, labelled again", read(FIRST)),
            (f"{SECOND}, transfer", read(SECOND)),
            (f"{SECOND}, genes shuffled", shuffled(second)),
            (f"{OTHER} (breast tumour)", read(OTHER)),
        ):
            start = time.perf_counter()
            semst.tl.transfer(model, table)
            rows.append(_row(seed, name, table, time.perf_counter() - start))
            if "ground_truth" in table.obs and OTHER not in name:
                rows[-1]["ari"] = ari(table)
            if "again" in name:
                rows[-1]["like"] = adjusted_rand_score(first.obs["semst"], table.obs["semst"])
            if name == f"{SECOND}, transfer":
                full = table.obs["semst"]
            print(rows[-1], flush=True)
        for name, table in panels(second, [gene for gene in model.genes if gene in second.var_names]).items():
            for ridge in RIDGES if seed == 0 else (_reading._RIDGE,):
                chosen, _reading._RIDGE = _reading._RIDGE, ridge
                start = time.perf_counter()
                semst.tl.transfer(model, table, min_coverage=0)
                _reading._RIDGE = chosen
                rows.append(_row(seed, f"{SECOND}, genes: {name}", table, time.perf_counter() - start))
                like = adjusted_rand_score(full[table.obs_names], table.obs["semst"])
                rows[-1] |= {"ridge": ridge, "like": like, "ari": ari(table)}
                print(rows[-1], flush=True)
        start = time.perf_counter()
        semst.tl.cluster(second, n_clusters=7, random_state=seed, progress=False)
        rows.append(_row(seed, f"{SECOND}, trained on it", second, time.perf_counter() - start) | {"ari": ari(second)})
        print(rows[-1], flush=True)
        pd.DataFrame(rows).to_csv(HERE / "transfer.csv", index=False, float_format="%.3f")


def page() -> None:
    """Write the page from the rows."""
    rows = pd.read_csv(HERE / "transfer.csv")
    plain = rows[~rows["tissue"].str.contains("genes: ")].copy()
    panels = rows[rows["tissue"].str.contains("genes: ")]
    ours = panels[panels["ridge"] == _reading._RIDGE]
    columns = ["seed", "tissue", "ari", "confidence", "below_0.05", "genes", "seconds"]
    means = plain.groupby("tissue")["ari"].mean()
    apart = means[f"{SECOND}, transfer"] - means[f"{SECOND}, trained on it"]
    again = rows.loc[rows["like"].notna() & rows["tissue"].str.contains("again"), "like"]
    plain.loc[plain["tissue"].str.contains("trained on it"), ["confidence", "below_0.05"]] = np.nan  # of another kind
    sure = panels[panels["seed"] == 0].pivot_table(index="ridge", columns="tissue", values="confidence")
    by_ridge = panels[panels["seed"] == 0].pivot_table(index="ridge", columns="tissue", values="like")
    text = f"""# Transfer from one slice to another

`python benchmarks/slices/transfer.py DATA_FOLDER`, by semst {semst.__version__}, on two cores that other work kept
busy (seconds are an upper bound). A model is trained on {FIRST} (`n_clusters=7`, else defaults) and applied with
`semst.tl.transfer`. `ari` is the adjusted Rand index with the experts' layers, which are used for nothing else;
`confidence` is that of the transfer, the median over spots, `below_0.05` the share of spots with less; `genes` the
share of the model's genes that are there.

{_table(plain[columns])}

Transfer minus training on the slice itself, mean over seeds: {apart:+.3f}. Labelling the training slice again gives
its own labels back with ARI {again.min():.3f} or more.

## Fewer genes

`like` is the agreement (ARI) with the labels that the model gives with all genes of {SECOND}.

{_table(ours[["seed", "tissue", "genes", "like", "ari", "confidence"]])}

How missing genes are estimated has one constant, the ridge: 1 takes them as their mean, 0 is plain least squares. It
was chosen by this table of `like` (seed 0), in which no expert's label has a part. Where the last two are close,
confidence decides: without a ridge noise is blown up on small panels, and confidence falls.

{_table(by_ridge.reset_index())}

Median confidence in the same runs:

{_table(sure.reset_index())}
"""
    (HERE / "transfer.md").write_text(text, encoding="utf-8")


def _table(rows: pd.DataFrame) -> str:
    """Write rows as markdown; what does not apply stays empty."""

    def cell(value: object) -> str:
        if isinstance(value, float):
            return "" if np.isnan(value) else f"{value:.3f}"
        return str(value)

    lines = [list(map(str, rows.columns)), ["---"] * rows.shape[1]]
    lines += [[cell(value) for value in row] for row in rows.itertuples(index=False)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _row(seed: int, tissue: str, table: ad.AnnData, seconds: float) -> dict[str, object]:
    facts = table.uns["semst"]
    return {
        "seed": seed,
        "tissue": tissue,
        "ari": np.nan,
        "like": np.nan,
        "confidence": float(table.obs["semst_confidence"].median()),
        "below_0.05": float((table.obs["semst_confidence"] < 0.05).mean()),
        "genes": facts["coverage"]["genes"] if "coverage" in facts else np.nan,
        "ridge": np.nan,
        "seconds": seconds,
    }


if __name__ == "__main__":
    if DATA is not None:
        main()
    page()

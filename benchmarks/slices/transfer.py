"""Domains of a model trained on one slice, found in another, next to those of training on that slice.

    python benchmarks/slices/transfer.py DATA_FOLDER

Writes transfer.csv and transfer.md beside this script. Experts' labels score, and do nothing else.
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
DATA = Path(sys.argv[1])
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
    main()

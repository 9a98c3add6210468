"""Two cortex slices in one run: agreement with experts in each under shared labels, and how the slices mix in domains.

Each run is a row of ``joint.csv``. Labels are taken out of the table before semst reads it, and enter the scores alone.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

import semst

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "accuracy"))
from rows import append  # noqa: E402

DATA = Path(os.environ.get("SEMST_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
SLICES = ("151673", "151676")
N_DOMAINS = 7
WAYS = ("batch_key", "pooled", "alone")
APART = 1e6  # pixels: so that without batch_key no spot has a neighbour in the other slice


def main() -> None:
    """Run what the command line asks for, one row after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["batch_key"])
    parser.add_argument("--to", type=Path, default=HERE / "joint.csv")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    for way in arguments.ways:
        for seed in arguments.seeds:
            row = run(way, seed)
            logging.info("%s", row)
            append(arguments.to, row)


def run(way: str, seed: int) -> dict[str, object]:
    """Find seven domains in both slices at once.

    Parameters
    ----------
    way
        ``"batch_key"``; ``"pooled"``: the two slices as one table, far apart, and no word about them; ``"alone"``: each
        slice in a run of its own, on the genes that both have.
    seed
        Of the run.
    """
    tables = {name: ad.read_h5ad(DATA / f"dlpfc_{name}.h5ad") for name in SLICES}
    tissue = ad.concat(tables, label="slice", index_unique="-", merge="same")
    truth = tissue.obs.pop("ground_truth").astype(object).to_numpy()
    tissue.obs["slice"] = tissue.obs["slice"].astype("category")
    of_slice = tissue.obs["slice"].astype(str).to_numpy()
    if way == "pooled":
        tissue.obsm["spatial"] = tissue.obsm["spatial"] + APART * (of_slice == SLICES[1])[:, None]
    start, cpu = time.perf_counter(), time.process_time()
    if way == "alone":
        parts = [tissue[of_slice == name].copy() for name in SLICES]
        labels = np.concatenate([_find(part, seed, batch_key=None) for part in parts])  # in the order of the rows
    else:
        labels = _find(tissue, seed, batch_key="slice" if way == "batch_key" else None)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    known = pd.notna(truth)
    scores = {}
    for name in SLICES:
        spots = known & (of_slice == name)
        scores[f"ari_{name}"] = adjusted_rand_score(truth[spots], labels[spots])
    return {
        "way": way,
        "seed": seed,
        "genes": tissue.n_vars,
        **{name: round(score, 4) for name, score in scores.items()},
        "ari_mean": round(float(np.mean(list(scores.values()))), 4),
        "ari_together": "" if way == "alone" else round(adjusted_rand_score(truth[known], labels[known]), 4),
        "mixing": "" if way == "alone" else round(mixing(labels, of_slice), 4),
        "seconds": round(seconds),
        "cpu_seconds": round(cpu),
        "semst": semst.__version__,
    }


def _find(tissue: ad.AnnData, seed: int, *, batch_key: str | None) -> np.ndarray:
    semst.pp.gene_semantics(tissue, progress=False)
    semst.tl.cluster(tissue, n_clusters=N_DOMAINS, batch_key=batch_key, random_state=seed, progress=False)
    return tissue.obs["semst"].astype(str).to_numpy()


def mixing(labels: np.ndarray, slices: np.ndarray) -> float:
    """Mean over domains of the entropy of the slices' shares, relative to their entropy in all spots.

    1 where each domain holds the slices as the whole does, 0 where each domain lies in one slice.
    """
    counts = pd.crosstab(labels, slices).to_numpy()
    return float(_entropy(counts).mean() / _entropy(counts.sum(axis=0, keepdims=True))[0])


def _entropy(counts: np.ndarray) -> np.ndarray:
    share = counts / counts.sum(axis=1, keepdims=True)
    return -(share * np.log(np.where(share > 0, share, 1))).sum(axis=1)


if __name__ == "__main__":
    main()

"""Whether tiles and samples cost accuracy: real sections as a whole, and cut as if they were large.

    python benchmarks/scale/tiles.py ../shared/data

``cut``: whatever is fitted sees half of the spots, and networks train on two tiles of half of them each, which is less
than large tissue has. Labels enter the scores alone. Rows go to tiles.csv, means to tiles.md; a second call goes on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import anndata as ad
import pandas as pd

import semst
from semst.metrics import agreement
from semst.pp import _sample
from semst.tl import _tissue_tiles

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "accuracy"))
from rows import append, done  # noqa: E402

SECTIONS = ("osmfish_ssc", "dlpfc_151673", "dlpfc_151676")
SEEDS, WAYS = range(5), ("whole", "cut")
USUAL = _sample.ENOUGH


def run(tissue: ad.AnnData, truth: pd.Series, seed: int, way: str) -> float:
    half = (tissue.n_obs + 1) // 2
    _sample.ENOUGH = USUAL if way == "whole" else half
    _tissue_tiles.TILE = half  # of no effect on the whole
    found = semst.tl.cluster(tissue, n_clusters=truth.cat.categories.size, random_state=seed, copy=True, progress=False)
    labelled = truth.notna().to_numpy()
    return agreement(truth[labelled], found.obs["semst"][labelled])["ari"]


def main() -> None:
    results = HERE / "tiles.csv"
    known = done(results, ["data", "seed", "way"])
    for name in SECTIONS:
        tissue = ad.read_h5ad(Path(sys.argv[1]) / f"{name}.h5ad")
        truth = tissue.obs["ground_truth"]
        tissue.obs = tissue.obs[[]]
        semst.pp.gene_semantics(tissue, progress=False)
        for seed in SEEDS:
            for way in WAYS:
                if (name, seed, way) not in known:
                    ari = run(tissue, truth, seed, way)
                    append(results, {"data": name, "seed": seed, "way": way, "ari": f"{ari:.4f}"})
    table = pd.read_csv(results).groupby(["data", "way"], sort=False)["ari"].agg(["mean", "std", "count"])
    lines = ["| section | way | ARI | seeds |", "|---|---|---|---|"]
    lines += [
        f"| {data} | {way} | {r['mean']:.3f} ± {r['std']:.3f} | {r['count']:.0f} |"
        for (data, way), r in table.iterrows()
    ]
    (HERE / "tiles.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

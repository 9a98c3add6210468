"""Whether tiles and samples cost accuracy: real tissue as a whole, and cut as large tissue is.

    python benchmarks/scale/tiles.py ../shared/data

Two cortex slices in one run, 7099 spots, are cut as the package cuts tissue above 5000: whatever is fitted sees 5000
spots, networks train on tiles of about 2500. Single sections are smaller than that: there half of the spots are seen,
and the tiles are two halves. Labels enter the scores alone. Rows go to tiles.csv, means to tiles.md; a second call goes
on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import anndata as ad
import pandas as pd

import semst
from semst import _sample
from semst.metrics import agreement
from semst.training import _tissue_tiles

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "accuracy"))
from rows import append, done  # noqa: E402

SECTIONS = ("osmfish_ssc", "dlpfc_151673", "dlpfc_151676")
PAIR = ("dlpfc_151673", "dlpfc_151676")
SEEDS, WAYS = range(5), ("whole", "cut")
USUAL = _sample.ENOUGH, _tissue_tiles.TILE


def run(tissue: ad.AnnData, truth: pd.Series, seed: int, way: str) -> tuple[int, float]:
    """Give how many spots are seen by what is fitted, and the ARI, of several slices the mean over them."""
    half = (tissue.n_obs + 1) // 2
    cut = (half, half) if tissue.n_obs <= USUAL[0] else USUAL
    _sample.ENOUGH, _tissue_tiles.TILE = (tissue.n_obs, USUAL[1]) if way == "whole" else cut
    batch_key = "slice" if tissue.obs["slice"].nunique() > 1 else None
    found = semst.tl.cluster(
        tissue, n_clusters=truth.nunique(), batch_key=batch_key, random_state=seed, copy=True, progress=False
    )
    labelled = pd.DataFrame({"truth": truth, "found": found.obs["semst"], "slice": tissue.obs["slice"]})[truth.notna()]
    scores = [agreement(part["truth"], part["found"])["ari"] for _, part in labelled.groupby("slice", observed=True)]
    return _sample.ENOUGH, sum(scores) / len(scores)


def read(names: tuple[str, ...], folder: Path) -> tuple[ad.AnnData, pd.Series]:
    """Give one section or several as one table without labels, and the labels."""
    tissue = ad.concat({name: ad.read_h5ad(folder / f"{name}.h5ad") for name in names}, label="slice", index_unique="-")
    truth = tissue.obs["ground_truth"]
    tissue.obs = tissue.obs[["slice"]].astype("category")
    return tissue, truth


def main() -> None:
    results = HERE / "tiles.csv"
    known = done(results, ["data", "seed", "way"])
    for names in (PAIR, *((name,) for name in SECTIONS)):
        tissue, truth = read(names, Path(sys.argv[1]))
        semst.pp.gene_semantics(tissue, progress=False)
        data = " and ".join(names)
        for seed in SEEDS:
            for way in WAYS:
                if (data, seed, way) not in known:
                    seen, ari = run(tissue, truth, seed, way)
                    append(
                        results,
                        {
                            "data": data,
                            "spots": len(truth),
                            "seed": seed,
                            "way": way,
                            "seen": seen,
                            "ari": f"{ari:.4f}",
                        },
                    )
    table = pd.read_csv(results).groupby(["data", "spots", "way", "seen"], sort=False)["ari"]
    lines = ["| tissue | spots | way | seen by what is fitted | ARI | seeds |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {data} | {spots} | {way} | {seen} | {ari.mean():.3f} ± {ari.std():.3f} | {len(ari)} |"
        for (data, spots, way, seen), ari in table
    ]
    (HERE / "tiles.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

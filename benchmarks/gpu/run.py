"""semst on a GPU beside the same on the CPU: seconds, memory, and how far their domains agree.

    python benchmarks/gpu/run.py --data ../shared/data --seeds 3

A row for each run is appended to results.csv, with date, device and versions; a second call goes on where the
first stopped. Labels of experts are looked at to score alone.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from datetime import date
from pathlib import Path

import anndata as ad
import pandas as pd
import torch
from sklearn.metrics import adjusted_rand_score

import semst

HERE = Path(__file__).resolve().parent
COLUMNS = ["date", "data", "spots", "seed", "device", "seconds", "gpu_mb", "ari", "ari_with_cpu", "torch", "cuda"]
SIMULATED = {"simulated_20000": 20_000, "simulated_100000": 100_000}


def tissue_of(name: str, folder: Path) -> tuple[ad.AnnData, pd.Series]:
    """Give a tissue without labels, and the labels."""
    if name in SIMULATED:
        whole = semst.datasets.simulated(n_spots=SIMULATED[name], n_genes=300, platform="cells", progress=False)
    else:
        whole = ad.read_h5ad(folder / f"{name}.h5ad")
    bare = ad.AnnData(whole.X, obs=whole.obs[[]], var=whole.var[[]], obsm={"spatial": whole.obsm["spatial"]})
    return bare, whole.obs["ground_truth"]


def clustered(tissue: ad.AnnData, truth: pd.Series, device: str, seed: int) -> tuple[pd.Series, dict[str, object]]:
    """Find domains on a device; give them, and what it cost."""
    tissue = tissue.copy()
    semst.pp.gene_semantics(tissue, progress=False)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    semst.tl.cluster(tissue, n_clusters=truth.nunique(), device=device, random_state=seed, progress=False)
    seconds = time.perf_counter() - start
    seen = truth.notna().to_numpy()
    labels = tissue.obs["semst"]
    return labels, {
        "seconds": round(seconds, 1),
        "gpu_mb": round(torch.cuda.max_memory_allocated() / 2**20) if device == "cuda" else "",
        "ari": round(adjusted_rand_score(truth[seen].astype(str), labels[seen].astype(str)), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with the .h5ad files")
    parser.add_argument("--only", nargs="*", default=["dlpfc_151673", "starmap_mvc", *SIMULATED])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=HERE / "results.csv")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("torch finds no CUDA GPU here; there is nothing to compare.")
    if not options.results.exists():
        options.results.write_text(",".join(COLUMNS) + "\n")
    done = set(pd.read_csv(options.results)[["data", "seed", "device"]].itertuples(index=False, name=None))
    versions = {"torch": torch.__version__, "cuda": f"{torch.version.cuda}, {torch.cuda.get_device_name()}"}
    for name in options.only:
        tissue, truth = tissue_of(name, options.data)
        for seed in range(options.seeds):
            if {(name, seed, "cpu"), (name, seed, "cuda")} <= done:
                continue
            found = {device: clustered(tissue, truth, device, seed) for device in ("cpu", "cuda")}
            agreement = adjusted_rand_score(found["cpu"][0].astype(str), found["cuda"][0].astype(str))
            with options.results.open("a", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                for device, (_, cost) in found.items():
                    row = {"date": date.today().isoformat(), "data": name, "spots": tissue.n_obs, "seed": seed}
                    row |= {"device": device, **cost, "ari_with_cpu": round(agreement, 4), **versions}
                    writer.writerow(row)
                    print(row, flush=True)


if __name__ == "__main__":
    main()

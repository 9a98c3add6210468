"""Simulated cells at growing numbers, one process each; rows are written as each ends, a second call goes on.

    python benchmarks/scale/run.py

The domains that were planted enter in the score alone.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

import semst

SIZES = (4_000, 20_000, 100_000, 500_000, 1_000_000)
HERE = Path(__file__).resolve().parent
COLUMNS = ["n", "seed", "cores", "stage", "seconds", "cpu_seconds", "peak_mb", "ari"]


def tissue_of(n: int, folder: Path) -> Path:
    """Give the file with so many cells; make it where there is none."""
    path = folder / f"cells_{n}.h5ad"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        cells = semst.datasets.simulated(n_spots=n, n_genes=300, platform="cells", progress=False)
        cells.write_h5ad(path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)
    return path


def run(path: Path, seed: int) -> dict[str, object]:
    """Run one size in a process of its own, a thread to each of two workers at most."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    command = [sys.executable, HERE / "one.py", path, "--seed", str(seed)]
    done = subprocess.run(
        command, env={**os.environ, **threads, "CUDA_VISIBLE_DEVICES": ""}, stdout=subprocess.PIPE, check=True
    )
    facts: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--seeds", type=int, default=1, help="seeds 0, 1, ... of the method; the tissue is the same")
    parser.add_argument("--results", type=Path, default=HERE / "results.csv")
    parser.add_argument("--keep", type=Path, default=Path("build/scale"), help="folder for the tissue")
    options = parser.parse_args()
    if not options.results.exists():
        options.results.write_text(",".join(COLUMNS) + "\n")
    done = set(pd.read_csv(options.results)[["n", "seed"]].itertuples(index=False, name=None))
    cores = len(os.sched_getaffinity(0))
    for seed in range(options.seeds):
        for n in options.sizes:
            if (n, seed) in done:
                continue
            facts = run(tissue_of(n, options.keep), seed)
            stages = facts["stages"]
            with options.results.open("a", newline="") as file:
                table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                for stage, costs in stages.items():
                    row = {"n": n, "seed": seed, "cores": cores, "stage": stage}
                    row |= {cost: f"{value:.4g}" for cost, value in costs.items()}
                    row["ari"] = f"{facts['ari']:.4f}" if stage == "whole" else ""
                    table.writerow(row)
            whole = stages["whole"]
            print(f"{n:9} {whole['seconds']:7.0f} s {whole['peak_mb']:6.0f} MB  ARI {facts['ari']:.3f}", flush=True)


if __name__ == "__main__":
    main()

"""semst beside the floor, the published dense formulation and the peers: one process each, a row as each ends.

    python benchmarks/scale/rivals.py --data ../shared/data --environments build/peers

A second call goes on where the first stopped. Methods, environments and the process of a run are those of the accuracy
benchmark. Only costs are written; no label is looked at but for the number of domains.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import semst

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "accuracy"))  # before this folder, which has a run.py of its own
from methods import METHODS, Method  # noqa: E402
from run import TOO_LONG, read, start  # noqa: E402

SLICE, CELLS = "dlpfc_151673", "simulated_20000"
DENSE, EPOCHS = "dense, as published", 200
METHODS[DENSE] = Method("../scale/dense.py")
ORDER = [
    "floor, 6 neighbours", "semst", "BANKSY", "SpatialLeiden", "SpaGCN", DENSE, "CellCharter", "GraphST", "STAGATE",
    "Novae, from nothing",
]  # fmt: skip
LONGER = {(SLICE, "GraphST"): 1500}  # seconds of the processor; all others have the limit of the command line
NO_FIT = "does not fit"
KEY = ["data", "method", "seed"]
COLUMNS = [*KEY, "seconds", "cpu_seconds", "peak_mb", "load", "status", "error"]


def tissue_of(data: str, options: argparse.Namespace) -> Path:
    """Give the file of a tissue; simulate it where there is none."""
    if data != CELLS:
        return options.data / f"{data}.h5ad"
    path = options.keep / f"{data}.h5ad"
    if not path.exists():
        semst.datasets.simulated(n_spots=20_000, n_genes=300, progress=False).write_h5ad(path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)
    return path


def run(name: str, data: str, seed: int, options: argparse.Namespace) -> dict[str, object]:
    """Run one method on one tissue in a process of its own; give its costs or what went wrong."""
    options.limit = LONGER.get((data, name), options.usual_limit)
    tissue, truth = read(tissue_of(data, options), 1.0, seed)
    out = options.keep / f"{data}__{name.replace(' ', '_').replace(',', '')}__{seed}.npz"
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        problem = start(name, tissue, truth, out, seed, Path(folder), options)
    row = {"data": data, "method": name, "seed": seed, "load": f"{(before + os.getloadavg()[0]) / 2:.1f}"}
    if problem is None:
        return {**row, **costs(name, out)}
    if problem.startswith(TOO_LONG):
        return {**row, "cpu_seconds": options.limit, "status": "> limit", "error": problem}
    if NO_FIT in problem:
        return {**row, "status": NO_FIT, "error": problem[problem.index(NO_FIT) :]}
    return {**row, "status": "failed", "error": problem}


def costs(name: str, out: Path) -> dict[str, str]:
    """Read what a run took; for the dense formulation, what it would have taken with all its epochs."""
    with np.load(out) as found:
        spent = {cost: float(found[cost]) for cost in ("seconds", "cpu_seconds", "peak_mb")}
    state = {"status": "ok", "error": ""}
    if name == DENSE:
        epoch = json.loads(out.with_suffix(".log").read_text().splitlines()[-1])
        left = EPOCHS - epoch["epochs"]
        for cost in ("seconds", "cpu_seconds"):
            spent[cost] += left * float(np.mean(epoch[f"epoch_{cost}"]))
        each = epoch["epoch_cpu_seconds"]
        per = f"{np.mean(each):.2f} processor seconds an epoch ({min(each):.2f} to {max(each):.2f})"
        state = {"status": "extrapolated", "error": f"{epoch['epochs']} of {EPOCHS} epochs run; {per}"}
    return {**{cost: f"{value:.5g}" for cost, value in spent.items()}, **state}


def done(results: Path) -> set[tuple[object, ...]]:
    """Give the runs that have a row; start the file where there is none."""
    if not results.exists():
        results.write_text(",".join(COLUMNS) + "\n")
    return set(pd.read_csv(results)[KEY].itertuples(index=False, name=None))


def options_of_the_command() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with the .h5ad file")
    parser.add_argument("--only", nargs="*", default=[SLICE, CELLS], help="data sets")
    parser.add_argument("--methods", nargs="*", default=ORDER, metavar="METHOD", choices=ORDER)
    parser.add_argument("--seeds", type=int, default=1, help="seeds 0, 1, ...")
    parser.add_argument("--results", type=Path, default=HERE / "rivals.csv")
    parser.add_argument("--keep", type=Path, default=Path("build/rivals"), help="folder for tissue and logs")
    parser.add_argument("--environments", type=Path, default=Path("build/peers"), help="folder with those of the peers")
    parser.add_argument("--threads", type=int, default=1, help="for each run")
    parser.add_argument("--usual-limit", type=int, default=900, help="seconds of processor after which a run stops")
    return parser.parse_args()


def main() -> None:
    options = options_of_the_command()
    options.keep = options.keep.resolve()
    options.keep.mkdir(parents=True, exist_ok=True)
    known = done(options.results)
    for seed in range(options.seeds):
        for data in options.only:
            for name in options.methods:
                if (data, name, seed) in known:
                    continue
                row = run(name, data, seed, options)
                with options.results.open("a", newline="") as file:
                    csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(row)
                said = " ".join(f"{key} {row[key]}" for key in COLUMNS[3:] if row.get(key))
                print(f"{data:16} {name:22} seed {seed}  {said}", flush=True)


if __name__ == "__main__":
    main()

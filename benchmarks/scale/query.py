"""Seconds that one query takes, with the text model loaded.

python benchmarks/scale/query.py build/scale/cells_1000000.h5ad ../shared/data/dlpfc_151673.h5ad
"""

from __future__ import annotations

import csv
import resource
import sys
import time
from pathlib import Path

import anndata as ad

import semst

HERE = Path(__file__).resolve().parent


def main() -> None:
    rows = []
    for path in map(Path, sys.argv[1:]):
        tissue = ad.read_h5ad(path)
        semst.pp.gene_semantics(tissue, progress=False)
        semst.tl.query(tissue[:2000].copy(), "neurons")  # loads the model
        clock, processor = time.perf_counter(), time.process_time()
        semst.tl.query(tissue, "white matter")
        rows.append(
            {
                "cells": tissue.n_obs,
                "genes": tissue.n_vars,
                "seconds": round(time.perf_counter() - clock, 2),
                "cpu_seconds": round(time.process_time() - processor, 2),
                "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            }
        )
        print(rows[-1], flush=True)
    with (HERE / "query.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

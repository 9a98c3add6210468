"""Run data sets x methods x seeds, and write the results as they come; a second call goes on where the first stopped.

    python benchmarks/accuracy/run.py --data ../shared/data --seeds 5

Labels enter in one place: the call of ``semst.metrics.agreement`` after a method has returned.
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from pathlib import Path

import anndata as ad
import pandas as pd
from methods import METHODS

import semst

DATA = (
    "dlpfc_151673", "dlpfc_151676", "starmap_mvc", "starmap_mpfc_BZ5", "osmfish_ssc", "her2st_H1", "her2st_B1",
)  # fmt: skip
HERE = Path(__file__).parent
COLUMNS = ["data", "method", "seed", "ari", "nmi", "ami", "accuracy", "f1", "pas", "chaos", "seconds"]


def score(path: Path, method: str, seed: int) -> dict[str, object]:
    """Run one method on one tissue and judge what it returns."""
    tissue = ad.read_h5ad(path)
    truth = tissue.obs.pop("ground_truth")  # out of reach while the method runs
    start = time.perf_counter()
    labels = METHODS[method](tissue, truth.cat.categories.size, seed)
    seconds = time.perf_counter() - start
    places = tissue.obsm["spatial"]
    return {
        "data": path.stem,
        "method": method,
        "seed": seed,
        **semst.metrics.agreement(truth, labels),
        "pas": semst.metrics.pas(places, labels),
        "chaos": semst.metrics.chaos(places, labels),
        "seconds": seconds,
    }


def summarise(results: Path) -> str:
    """Mean and standard deviation of the ARI over seeds, as a Markdown table."""
    table = pd.read_csv(results)
    cell = table.groupby(["data", "method"])["ari"].agg(["mean", "std", "count"])
    text = cell.apply(lambda row: f"{row['mean']:.3f} ± {row['std']:.3f} ({row['count']:.0f})", axis=1)
    wide = text.unstack("data").reindex(index=[m for m in METHODS if m in set(table["method"])])
    wide = wide[[name for name in DATA if name in wide.columns]].fillna("")
    rows = ["| method | " + " | ".join(wide.columns) + " |", "|---" * (wide.shape[1] + 1) + "|"]
    rows += [
        f"| {method} | " + " | ".join(values) + " |" for method, values in zip(wide.index, wide.values, strict=True)
    ]
    return "\n".join(rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with the .h5ad files")
    parser.add_argument("--only", nargs="*", default=DATA, help="data sets")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), help="methods")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0, 1, ...")
    parser.add_argument("--results", type=Path, default=HERE / "results.csv")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    done = set()
    if arguments.results.exists():
        done = set(pd.read_csv(arguments.results)[["data", "method", "seed"]].itertuples(index=False, name=None))
    else:
        arguments.results.write_text(",".join(COLUMNS) + "\n")
    for seed in range(arguments.seeds):
        for method in arguments.methods:
            for name in arguments.only:
                if (name, method, seed) in done:
                    continue
                row = score(arguments.data / f"{name}.h5ad", method, seed)
                with arguments.results.open("a", newline="") as file:
                    csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(row)
                print(f"{name:20} {method:26} seed {seed}  ARI {row['ari']:.3f}  {row['seconds']:.0f} s", flush=True)
    (HERE / "results.md").write_text(summarise(arguments.results))


if __name__ == "__main__":
    main()

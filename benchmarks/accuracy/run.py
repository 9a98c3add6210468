"""Run data sets x methods x seeds, one process each, and write a row as each ends; a second call goes on from there.

    python benchmarks/accuracy/run.py --data ../shared/data --seeds 5

Labels are taken out of the tissue before a method sees it. They enter in ``score`` alone, and in the one method that is
marked to use them.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from methods import METHODS, PEERS, Method

from semst.metrics import agreement, chaos, pas

DATA = (
    "her2st_B1", "her2st_H1", "starmap_mpfc_BZ5", "starmap_mvc", "osmfish_ssc", "dlpfc_151673", "dlpfc_151676",
)  # fmt: skip
HERE = Path(__file__).resolve().parent
PLACES = ["array_row", "array_col"]  # where a spot lies on its array; all else in obs could give labels away
KEY = ["data", "method", "molecules", "seed"]
GROUPS = {  # names that stand for several methods on the command line
    "peers": list(PEERS),
    "partitions": [name for name, method in METHODS.items() if method.embedding_of is not None],
}
SCORES = ["ari", "nmi", "ami", "accuracy", "f1", "pas", "chaos", "n_domains"]
TOO_LONG = "over"
COSTS = ["seconds", "cpu_seconds", "peak_mb"]  # the former two agree on an idle machine
COLUMNS = [*KEY, *SCORES, *COSTS, "uses_labels", "status", "error"]


def read(path: Path, molecules: float, seed: int) -> tuple[ad.AnnData, pd.Series]:
    """Give a tissue without labels, and the labels; of the molecules a random part where asked for."""
    whole = ad.read_h5ad(path)
    counts = whole.X.tocsr().copy()
    if molecules < 1:
        counts.data = np.random.default_rng(seed).binomial(counts.data.astype(int), molecules).astype(counts.dtype)
        counts.eliminate_zeros()
    seen = np.asarray(counts.sum(axis=1)).ravel() > 0  # thin tissue may have spots that lose all they had
    obs = whole.obs[[name for name in PLACES if name in whole.obs]]
    tissue = ad.AnnData(counts, obs=obs, var=whole.var[[]], obsm={"spatial": whole.obsm["spatial"]})[seen].copy()
    return tissue, whole.obs["ground_truth"][seen]


def score(tissue: ad.AnnData, truth: pd.Series, labels: np.ndarray) -> dict[str, float]:
    """Judge labels; the only place where the experts' labels are looked at."""
    places = tissue.obsm["spatial"]
    smoothness = {"pas": pas(places, labels), "chaos": chaos(places, labels)}
    return {**agreement(truth, labels), **smoothness, "n_domains": np.unique(labels).size}


def kept(folder: Path, data: str, method: str, molecules: float, seed: int) -> Path:
    """Where a run leaves its labels and its embedding."""
    return folder / f"{data}__{method.replace(' ', '_').replace(',', '')}__{molecules:g}__{seed}.npz"


def python_of(method: Method, environments: Path) -> Path:
    if method.environment is None:
        return Path(sys.executable)
    return environments.resolve() / method.environment / "bin" / "python"


def run(name: str, data: str, seed: int, options: argparse.Namespace) -> dict[str, object] | None:
    """Run one method on one tissue in a process of its own, and judge what it leaves.

    None where it cuts the embedding of a method that has left none (yet).
    """
    method, molecules = METHODS[name], options.keep_molecules
    tissue, truth = read(options.data / f"{data}.h5ad", molecules, seed)
    row = {"data": data, "method": name, "molecules": molecules, "seed": seed, "uses_labels": method.uses_labels}
    out = kept(options.keep, data, name, molecules, seed)
    if method.embedding_of is not None:
        source = kept(options.keep, data, method.embedding_of, molecules, seed)
        if not source.exists():
            return None
        tissue.obsm["embedding"] = np.load(source)["embedding"]
    with tempfile.TemporaryDirectory() as folder:
        problem = start(name, tissue, truth, out, seed, Path(folder), options)
    if problem is not None:
        return {**row, "status": "failed", "error": problem}
    with np.load(out) as found:
        result = {**score(tissue, truth, found["labels"]), **{cost: found[cost] for cost in COSTS}}
    return {**row, **{key: f"{float(value):.6g}" for key, value in result.items()}, "status": "ok"}


def start(
    name: str, tissue: ad.AnnData, truth: pd.Series, out: Path, seed: int, folder: Path, options: argparse.Namespace
) -> str | None:
    """Start the process of a run and wait; give what went wrong, in one line, or None."""
    method = METHODS[name]
    tissue.write_h5ad(folder / "tissue.h5ad")
    command = [python_of(method, options.environments), HERE / "one.py", HERE / method.file, method.function]
    command += [folder / "tissue.h5ad", out, "--n-domains", str(truth.cat.categories.size), "--seed", str(seed)]
    if method.uses_labels:
        np.save(folder / "labels.npy", truth.cat.codes.to_numpy())
        command += ["--labels", folder / "labels.npy"]
    threads = {key: str(options.threads) for key in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")}
    quiet = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "agg"}
    log = out.with_suffix(".log")

    def at_most() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (options.limit, resource.RLIM_INFINITY))

    try:
        with log.open("w") as file:
            subprocess.run(
                command, cwd=folder, env={**os.environ, **threads, **quiet}, stdout=file, stderr=subprocess.STDOUT,
                check=True, preexec_fn=at_most,
            )  # fmt: skip
    except subprocess.CalledProcessError as failure:
        if failure.returncode == -signal.SIGXCPU:
            return f"{TOO_LONG} {options.limit} s"
        lines = log.read_text(errors="replace").strip().splitlines() or [f"exit status {failure.returncode}"]
        return lines[-1][:300]
    except FileNotFoundError:
        return f"no environment {options.environments / str(method.environment)}"
    return None


def already(results: Path, *, retry: bool) -> set[tuple[object, ...]]:
    """Give the runs that need not be done again; start the file where there is none.

    What took too long with one seed is not tried with another.
    """
    if not results.exists():
        results.write_text(",".join(COLUMNS) + "\n")
    table = pd.read_csv(results)
    table = table[table["status"] == "ok"] if retry else table
    too_long = table[table["error"].astype(str).str.startswith(TOO_LONG)][KEY[:-1]].itertuples(index=False, name=None)
    return {*table[KEY].itertuples(index=False, name=None), *too_long}


def options_of_the_command() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with the .h5ad files")
    parser.add_argument("--only", nargs="*", default=DATA, help="data sets")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), metavar="METHOD", choices=[*METHODS, *GROUPS])
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0, 1, ...")
    parser.add_argument("--keep-molecules", type=float, default=1.0, help="part of the molecules that methods see")
    parser.add_argument("--results", type=Path, default=HERE / "results.csv")
    parser.add_argument("--keep", type=Path, default=Path("build/accuracy"), help="folder for labels and embeddings")
    parser.add_argument("--environments", type=Path, default=Path("build/peers"), help="folder with those of the peers")
    parser.add_argument("--threads", type=int, default=1, help="for each run")
    parser.add_argument("--limit", type=int, default=900, help="seconds of processor after which a run stops")
    parser.add_argument("--retry", action="store_true", help="run again what has failed")
    options = parser.parse_args()
    options.methods = [name for given in options.methods for name in GROUPS.get(given, [given])]
    options.keep = options.keep.resolve()
    return options


def main() -> None:
    options = options_of_the_command()
    options.keep.mkdir(parents=True, exist_ok=True)
    done = already(options.results, retry=options.retry)
    for seed in range(options.seeds):
        for method in options.methods:
            for data in options.only:
                kind = (data, method, options.keep_molecules)
                if kind in done or (*kind, seed) in done:
                    continue
                row = run(method, data, seed, options)
                if row is None:
                    print(f"{data:17} {method:32} seed {seed}  no embedding (yet)", flush=True)
                    continue
                with options.results.open("a", newline="") as file:
                    csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(row)
                if str(row.get("error")).startswith(TOO_LONG):
                    done.add(kind)
                outcome = f"ARI {row['ari']}  {row['seconds']} s" if row["status"] == "ok" else row["error"]
                print(f"{data:17} {method:32} seed {seed}  {outcome}", flush=True)


if __name__ == "__main__":
    main()

"""What both experiments share: tissue and control, rows that are written as they come, and the tables."""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import torch
from scipy import sparse

import semst
from semst.pp._graphs import spatial_graph

SMALL = ("starmap_mvc", "starmap_mpfc_BZ5", "her2st_H1", "her2st_B1")
LARGE = ("dlpfc_151673", "dlpfc_151676", "osmfish_ssc")
COLUMNS = ["data", "design", "arm", "seed", "ari", "seconds"]
ENOUGH = 3  # seeds from which a spread over seeds can be told
HERE = Path(__file__).parent

NONE, SEMANTICS, PERMUTED, NOISE = "no FSM", "semantics", "permuted genes", "random vectors"


@dataclass(frozen=True)
class Tissue:
    """A tissue without its labels.

    ``counts`` ``(n, g)`` float32 CSR; ``graph`` ``(n, n)`` CSR of ones; ``n_domains`` the experts' number.
    """

    table: ad.AnnData
    counts: sparse.csr_matrix
    graph: sparse.csr_matrix
    n_domains: int


@cache
def _read(path: Path) -> tuple[Tissue, pd.Series]:
    table = ad.read_h5ad(path)
    truth = table.obs.pop("ground_truth")
    counts = sparse.csr_matrix(table.X, dtype=np.float32)
    graph = spatial_graph(table, np.asarray(table.obsm["spatial"], dtype=np.float64))
    return Tissue(table, counts, graph, truth.cat.categories.size), truth


def read(path: Path) -> Tissue:
    """Read a tissue and leave its labels out."""
    return _read(path)[0]


def ari(path: Path, labels: np.ndarray) -> float:
    """Score labels; the only place where the experts' labels are looked at."""
    return float(semst.metrics.agreement(_read(path)[1], labels)["ari"])


@cache
def spot_semantics(path: Path, arm: str, seed: int) -> np.ndarray | None:
    """Give the spots' semantics ``(n, m)`` float32 of an arm, before they are averaged over the neighbourhood.

    The control gives each gene that has a vector the vector of another one, as in ``benchmarks/accuracy``: the same
    permutation for the same seed, expression untouched. Random vectors know nothing of the spot at all.
    """
    if arm == NONE:
        return None
    table = _read(path)[0].table.copy()
    semst.pp.gene_semantics(table, progress=False)
    if arm == NOISE:
        shape = table.obsm["gene_semantics"].shape
        return np.random.default_rng(1000 + seed).normal(size=shape).astype(np.float32)
    if arm == PERMUTED:
        vectors = table.varm["gene_semantics"].copy()
        known = np.flatnonzero(vectors.any(axis=1))
        vectors[known] = vectors[np.random.default_rng(1000 + seed).permutation(known)]
        named = dict(zip(table.var_names[known], vectors[known], strict=True))
        semst.pp.gene_semantics(table, vectors=named, progress=False)
    return np.asarray(table.obsm["gene_semantics"], dtype=np.float32)


Run = Callable[[Path, str, str, int], tuple[np.ndarray, float]]


def main(
    name: str, description: str, arms: Sequence[tuple[str, str]], run: Run, pairs: Sequence[tuple[str, str, str, str]]
) -> None:
    """Run what is missing and write the tables.

    Parameters
    ----------
    name
        Of the ``.csv`` and ``.md`` beside this file.
    description
        Printed by ``--help``.
    arms
        Pairs of design and arm.
    run
        Takes the path of a tissue, design, arm and seed; returns labels ``(n,)`` and seconds.
    pairs
        Comparisons: design and arm, minus design and arm.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with the .h5ad files")
    parser.add_argument("--only", nargs="*", default=[*SMALL, *LARGE], help="data sets")
    parser.add_argument("--designs", nargs="*", default=list(dict.fromkeys(design for design, _ in arms)))
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0, 1, ... on small tissue")
    parser.add_argument("--large-seeds", type=int, default=5, help="the same above 3000 spots")
    parser.add_argument("--results", type=Path, default=HERE / f"{name}.csv")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    done = set()
    if options.results.exists():
        rows = pd.read_csv(options.results)
        done = set(rows[["data", "design", "arm", "seed"]].itertuples(index=False, name=None))
    else:
        options.results.write_text(",".join(COLUMNS) + "\n")
    jobs = [
        (data, seed)
        for group, n_seeds in ((SMALL, options.seeds), (LARGE, options.large_seeds))
        for seed in range(n_seeds)
        for data in group
        if data in options.only
    ]
    for data, seed in jobs:
        path = options.data / f"{data}.h5ad"
        for design, arm in arms:
            if (data, design, arm, seed) in done or design not in options.designs:
                continue
            labels, seconds = run(path, design, arm, seed)
            row = dict(zip(COLUMNS, (data, design, arm, seed, ari(path, labels), seconds), strict=True))
            with options.results.open("a", newline="") as file:
                csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(row)
            print(f"{data:17} {design:34} {arm:15} seed {seed}  ARI {row['ari']:.3f}  {seconds:.1f} s", flush=True)
    (options.results.with_suffix(".md")).write_text(summary(pd.read_csv(options.results), arms, pairs))


def clock() -> float:
    """Processor seconds of this process: other work on the machine does not count."""
    return time.process_time()


def summary(rows: pd.DataFrame, arms: Sequence[tuple[str, str]], pairs: Sequence[tuple[str, str, str, str]]) -> str:
    """Write mean and standard deviation over seeds, and paired differences, as Markdown."""
    order = [data for data in (*SMALL, *LARGE) if data in set(rows["data"])]
    lines = ["| design | arm | " + " | ".join(order) + " | mean | seconds |", "|---" * (len(order) + 4) + "|"]
    for design, arm in arms:
        mine = rows[(rows["design"] == design) & (rows["arm"] == arm)].groupby("data")
        if not len(mine):
            continue
        score, seconds = mine["ari"].agg(["mean", "std", "count"]), mine["seconds"].mean()
        text = {
            d: f"{row['mean']:.3f}" + (f" ± {row['std']:.3f}" if row["count"] > 1 else "") + f" ({row['count']:.0f})"
            for d, row in score.iterrows()
        }
        cells = [text.get(d, "") for d in order]
        lines.append(
            f"| {design} | {arm} | " + " | ".join(cells) + f" | {score['mean'].mean():.3f} | {seconds.mean():.1f} |"
        )
    lines += ["", "| difference | " + " | ".join(order) + " | mean | seeds drawn anew | seeds and tissues drawn anew |"]
    lines.append("|---" * (len(order) + 4) + "|")
    for pair in pairs:
        differences = paired(rows, *pair)
        if not differences:
            continue
        cells = [f"{differences[d].mean():+.3f}" if d in differences else "" for d in order]
        mean = np.mean([values.mean() for values in differences.values()])
        repeated = [values for values in differences.values() if values.size >= ENOUGH]
        these = _interval(repeated, tissues=False) if repeated else ""
        new = _interval(list(differences.values()), tissues=True)
        design, arm, other_design, other_arm = pair
        name = f"{design}: {arm} - {other_arm}" if design == other_design else f"{design} - {other_design} ({arm})"
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {mean:+.3f} | {these} | {new} |")
    return "\n".join(lines) + "\n"


def paired(rows: pd.DataFrame, design: str, arm: str, other_design: str, other_arm: str) -> dict[str, np.ndarray]:
    """Differences in ARI between two arms at equal seeds, by data set."""
    index = ["data", "seed"]

    def scores(design: str, arm: str) -> pd.Series:
        return rows[(rows["design"] == design) & (rows["arm"] == arm)].set_index(index)["ari"]

    difference = (scores(design, arm) - scores(other_design, other_arm)).dropna()
    return {str(data): values.to_numpy() for data, values in difference.groupby(level="data")}


def _interval(differences: list[np.ndarray], *, tissues: bool, n_draws: int = 10_000) -> str:
    """Bootstrap interval (95 %) of the mean over data sets of the mean over seeds.

    Seeds are drawn anew within each data set: how sure the mean is on these tissues, which needs several seeds. With
    ``tissues`` the data sets are drawn anew as well: how sure it is on tissue of this kind.
    """
    random = np.random.default_rng(0)
    means = np.stack(
        [values[random.integers(values.size, size=(n_draws, values.size))].mean(axis=1) for values in differences]
    )
    if tissues:
        chosen = random.integers(len(means), size=means.shape)
        means = np.take_along_axis(means, chosen, axis=0)
    low, high = np.quantile(means.mean(axis=0), [0.025, 0.975])
    return f"{low:+.3f} to {high:+.3f}"

"""What the choice among partitions has to choose from, and how what it goes by is related to the experts' labels.

    python benchmarks/accuracy/members.py --data ../shared/data --seeds 5

A row for each data set and seed is appended to members.csv; a second call goes on where the first stopped; members.md
shows the means. Labels are looked at to score alone: nothing here is part of the method.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from networks import tissue_of, train_on
from rows import append, done
from run import DATA, read
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

import semst
from semst.partitions._consensus import consensus
from semst.partitions._members import members
from semst.partitions._select import Bench, choose, judge
from semst.partitions._similarity import similarity
from semst.training._recipe import recipe_for

HERE = Path(__file__).resolve().parent
LEGEND = {
    "smoothed": "mean ARI of partitions of the smoothed inputs",
    "networks": "of partitions of the networks' latents",
    "best": "best of all partitions (by the labels: what a perfect choice would give)",
    "explains": "rank correlation over partitions: explaining the counts, and ARI",
    "agrees": "agreeing with the other partitions, and ARI",
    "chosen": "ARI of what semst chooses",
    "agreement alone": "of the consensus of the quarter that agrees best with the others",
    "networks alone": "of the same, partitions of the smoothed inputs left out",
}


def run(path: Path, seed: int) -> dict[str, float]:
    """Find the partitions of a tissue and score them."""
    tissue, truth = read(path, 1.0, seed)
    labelled = truth.notna().to_numpy()
    k = truth.cat.categories.size

    def ari(labels: np.ndarray) -> float:
        return adjusted_rand_score(truth[labelled].astype(str), labels[labelled])

    semst.pp.gene_semantics(tissue, progress=False)
    recipe = recipe_for("default", epochs=None, gaussian=False, n_spots=tissue.n_obs)
    whole = tissue_of(tissue, recipe)
    trained = train_on(whole, recipe, seed)
    found = members(trained.latents, recipe, k, random_state=seed)
    bench = Bench.of(whole.counts, whole.graph, random_state=seed)
    scores = np.array([ari(labels) for labels in found])
    half = len(found) // 2  # the smoothed inputs come first
    explains = np.array([judge(labels, **vars(bench)) for labels in found])
    alike = similarity(found)

    def agreeing(numbers: np.ndarray) -> float:
        order = numbers[np.argsort(-alike[np.ix_(numbers, numbers)].mean(axis=1), kind="stable")]
        return ari(consensus([found[i] for i in order[: len(numbers) // 4]], k, random_state=seed))

    return {
        "smoothed": scores[:half].mean(),
        "networks": scores[half:].mean(),
        "best": scores.max(),
        "explains": spearmanr(explains, scores)[0],
        "agrees": spearmanr(alike.mean(axis=1), scores)[0],
        "chosen": ari(choose(found, k, **vars(bench), random_state=seed)),
        "agreement alone": agreeing(np.arange(len(found))),
        "networks alone": agreeing(np.arange(half, len(found))),
    }


def page(results: Path) -> str:
    """Give the means over seeds as a table."""
    table = pd.read_csv(results)
    lines = [f"| data (seeds) | {' | '.join(LEGEND)} |", "|---" * (len(LEGEND) + 1) + "|"]
    for data, rows in table.groupby("data", sort=False):
        cells = [f"{rows[name].mean():.2f} ± {rows[name].std():.2f}" for name in LEGEND]
        lines.append(f"| {data} ({len(rows)}) | {' | '.join(cells)} |")
    told = [f"- `{name}`: {meaning}" for name, meaning in LEGEND.items()]
    return "\n".join([*lines, "", *told, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with the .h5ad files")
    parser.add_argument("--only", nargs="*", default=DATA, help="data sets")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=HERE / "members.csv")
    options = parser.parse_args()
    known = done(options.results, ["data", "seed"])
    for seed in range(options.seeds):
        for data in options.only:
            if (data, seed) in known:
                continue
            with threadpool_limits(1):
                row = run(options.data / f"{data}.h5ad", seed)
            append(options.results, {"data": data, "seed": seed, **{name: f"{row[name]:.4f}" for name in LEGEND}})
            print(data, seed, {name: round(value, 3) for name, value in row.items()}, flush=True)
    options.results.with_suffix(".md").write_text(page(options.results))


if __name__ == "__main__":
    main()

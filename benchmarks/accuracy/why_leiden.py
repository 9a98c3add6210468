"""Why SpatialLeiden does better on breast cancer: its partition on our features, and our partition on its features.

    python benchmarks/accuracy/why_leiden.py --data ../shared/data --environments build/peers

Needs SpatialLeiden's environment (peers/create.sh). A row for each data set and seed is appended to why_leiden.csv; a
second call goes on where the first stopped. Labels are looked at to score alone: nothing here is part of the method.
"""

from __future__ import annotations

import argparse
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import scanpy as sc
from networks import tissue_of, train_on
from rows import append, done
from run import HERE, read
from scipy import sparse
from scipy.spatial import cKDTree
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

import semst
from semst.partitions._members import _components, members
from semst.partitions._select import Bench, choose, judge
from semst.training._recipe import DEFAULT, recipe_for
from semst.training._sections import features

DATA = ("her2st_H1", "her2st_B1", "starmap_mpfc_BZ5", "starmap_mvc")
WIDEST = max(DEFAULT.member_components)
_STARTS = 2  # of each of these mixtures
CROSSED = {  # features, and the columns of mean mixture, our choice, Leiden, SpatialLeiden
    "30 PCs of each spot": ("pcs",),
    "30 PCs, 10 nearest averaged": ("pcs10",),
    "our smoothed inputs (mean of 8)": tuple(f"latent{i}" for i in range(8)),
    "our latents (mean of 8)": tuple(f"latent{i}" for i in range(8, 16)),
}


def peer_features(tissue: sc.AnnData, seed: int, *, neighbors: int) -> np.ndarray:
    """Give the principal components that SpatialLeiden reads, of spots averaged with so many neighbours."""
    tissue = tissue.copy()
    sc.pp.filter_genes(tissue, min_cells=3)
    sc.pp.normalize_total(tissue)
    sc.pp.log1p(tissue)
    if neighbors:
        nearest = cKDTree(tissue.obsm["spatial"]).query(tissue.obsm["spatial"], neighbors + 1)[1]
        rows = np.repeat(np.arange(tissue.n_obs), neighbors + 1)
        weights = np.full(rows.size, 1 / (neighbors + 1), dtype=np.float32)
        tissue.X = sparse.csr_matrix((weights, (rows, nearest.ravel())), shape=(tissue.n_obs,) * 2) @ tissue.X
    sc.pp.pca(tissue, n_comps=30, random_state=seed)
    return tissue.obsm["X_pca"].astype(np.float32)


def other_mixtures(latents: list[np.ndarray], k: int, seed: int, covariance: str) -> list[np.ndarray]:
    """Cut by mixtures in which each group has a covariance of its own; its ridge is a thousandth of the variance."""
    found = []
    for points in (_components(each)[:, :width].astype(float) for each in latents for width in (8, WIDEST)):
        ridge = 1e-3 * points.var(axis=0).mean()
        for start in range(_STARTS):
            model = GaussianMixture(k, covariance_type=covariance, random_state=seed + start, reg_covar=ridge)
            found.append(np.unique(model.fit_predict(points), return_inverse=True)[1])
    return found


def run(path: Path, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Cut one tissue in all ways and score them."""
    tissue, truth = read(path, 1.0, seed)
    labelled, k = truth.notna().to_numpy(), truth.cat.categories.size

    def ari(labels: np.ndarray) -> float:
        return adjusted_rand_score(truth[labelled].astype(str), labels[labelled])

    semst.pp.gene_semantics(tissue, progress=False)
    recipe = recipe_for("default", epochs=None, gaussian=False, n_spots=tissue.n_obs)
    whole = tissue_of(tissue, recipe)
    latents = train_on(whole, recipe, seed).latents  # the smoothed inputs come first
    given = {"pcs": peer_features(tissue, seed, neighbors=0), "pcs10": peer_features(tissue, seed, neighbors=10)}
    kinds = {**given, **{f"latent{i}": _components(latent)[:, :WIDEST] for i, latent in enumerate(latents)}}
    theirs = cut_by_leiden(kinds, tissue.obsm["spatial"], k, path.stem, seed, options)

    bench = Bench.of(whole.counts, whole.graph, random_state=seed)
    ours = members(latents, recipe, k, random_state=seed)
    half = len(ours) // 2
    mixtures = {
        name: members([points], replace(recipe, starts=8), k, random_state=seed) for name, points in given.items()
    }
    mixtures |= {"latents, smoothed": ours[:half], "latents": ours[half:]}
    views = [
        features(whole, transform, recipe, likelihood="zinb", random_state=seed)
        for transform in dict.fromkeys(view.transform for view in recipe.views)
    ]
    leiden = [theirs[f"latent{i}_0"] for i in range(len(latents))]
    multiplex = [theirs[f"latent{i}_1.8"] for i in range(len(latents))]
    added = {
        "16 Leiden": leiden,
        "16 SpatialLeiden": multiplex,
        "64 full mixtures": other_mixtures(latents, k, seed, "full"),
        "64 diagonal mixtures": other_mixtures(latents, k, seed, "diag"),
        "32 unsmoothed": members(views, recipe, k, random_state=seed),
    }

    def chosen(partitions: list[np.ndarray]) -> float:
        return ari(choose(partitions, k, **vars(bench), random_state=seed))

    row = {}
    for (title, names), cuts in zip(CROSSED.items(), mixtures.values(), strict=True):
        row[f"{title} | one mixture"] = np.mean([ari(labels) for labels in cuts])
        row[f"{title} | our choice"] = chosen(cuts)
        row[f"{title} | Leiden"] = np.mean([ari(theirs[f"{name}_0"]) for name in names])
        row[f"{title} | SpatialLeiden"] = np.mean([ari(theirs[f"{name}_1.8"]) for name in names])
    row |= {f"SpatialLeiden, layer ratio {ratio}": ari(theirs[f"pcs_{ratio}"]) for ratio in ("0.5", "1", "1.8", "4")}
    row["128 of semst"] = chosen(ours)
    for name, partitions in added.items():
        row[f"128 and {name}"] = chosen([*ours, *partitions])
        row[f"{name} alone"] = chosen(partitions)
    row["explains: chosen"] = judge(choose(ours, k, **vars(bench), random_state=seed), **vars(bench))
    row["explains: SpatialLeiden"] = judge(theirs["pcs_1.8"], **vars(bench))
    experts = truth.cat.codes.to_numpy().astype(int)
    row["explains: experts"] = judge(np.where(labelled, experts, k), **vars(bench))
    return row


def cut_by_leiden(
    kinds: dict[str, np.ndarray], places: np.ndarray, k: int, data: str, seed: int, options: argparse.Namespace
) -> dict[str, np.ndarray]:
    """Have SpatialLeiden's environment cut all features; what it found once is kept."""
    given, out = (options.keep / f"{data}_{seed}_{what}.npz" for what in ("features", "leiden"))
    if not out.exists():
        np.savez(given, **kinds, spatial=places, k=k)
        python = options.environments.resolve() / "spatialleiden" / "bin" / "python"
        subprocess.run([python, HERE / "why_leiden_cut.py", given, out, "--seed", str(seed)], check=True)
    with np.load(out) as found:
        return {name: found[name].astype(np.int64) for name in found.files}


def page(results: Path) -> str:
    """Give the means over seeds as a table, a row for each way."""
    table = pd.read_csv(results)
    groups = {f"{data} ({len(rows)})": rows for data, rows in table.groupby("data", sort=False)}
    ways = table.columns.drop(["data", "seed"])
    lines = [f"| ARI | {' | '.join(groups)} |", "|---" * (len(groups) + 1) + "|"]
    for way in ways:
        cells = [f"{rows[way].mean():.3f} ± {rows[way].std():.3f}" for rows in groups.values()]
        lines.append(f"| {way.replace(' | ', ': ')} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with the .h5ad files")
    parser.add_argument("--only", nargs="*", default=DATA, help="data sets")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=HERE / "why_leiden.csv")
    parser.add_argument("--keep", type=Path, default=Path("build/why_leiden"), help="folder for what Leiden found")
    parser.add_argument("--environments", type=Path, default=Path("build/peers"), help="folder with those of the peers")
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    known = done(options.results, ["data", "seed"])
    for seed in range(options.seeds):
        for data in options.only:
            if (data, seed) in known:
                continue
            with threadpool_limits(1):
                row = run(options.data / f"{data}.h5ad", seed, options)
            row = {"data": data, "seed": seed, **{name: f"{value:.4f}" for name, value in row.items()}}
            append(options.results, row)
            print(row, flush=True)
    text = options.results.with_suffix(".md")
    words = text.read_text().partition("\n\n")[2] if text.exists() else ""  # what a person wrote below the table stays
    text.write_text(page(options.results) + (f"\n{words}" if words else ""))


if __name__ == "__main__":
    main()

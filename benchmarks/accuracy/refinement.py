"""What GraphST's last step is worth: a majority among the 50 nearest, and the start of its mixture.

    python benchmarks/accuracy/refinement.py --data ../shared/data --keep build/accuracy

Reads what run.py left of GraphST (embeddings) and of semst (labels), trains nothing, and writes refinement.md. Experts'
labels score alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from run import DATA, HERE, kept, read
from scipy.spatial import cKDTree
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

NEAREST = 50
STARTS = 10
COMPONENTS = 20


def refined(labels: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Give each spot the label most frequent among itself and its nearest."""
    nearest = cKDTree(places).query(places, NEAREST + 1)[1]
    return np.eye(labels.max() + 1)[labels][nearest].sum(axis=1).argmax(axis=1)


def graphst_partitions(embedding: np.ndarray, n_domains: int) -> list[np.ndarray]:
    """Cut an embedding as GraphST does, from ten starts."""
    points = PCA(min(COMPONENTS, embedding.shape[1]), random_state=42).fit_transform(embedding)
    starts = (GaussianMixture(n_domains, covariance_type="tied", random_state=seed) for seed in range(STARTS))
    return [mixture.fit_predict(points) for mixture in starts]


def row(data: str, method: str, options: argparse.Namespace) -> str | None:
    """Score the labels of a method as they are and refined; None where run.py left nothing."""
    tissue, truth = read(options.data / f"{data}.h5ad", 1.0, 0)
    labelled = truth.notna().to_numpy()
    files = [file for seed in range(5) if (file := kept(options.keep, data, method, 1.0, seed)).exists()]
    partitions = []
    for file in files:
        with np.load(file) as found:
            if method == "semst":
                partitions.append(found["labels"])
            else:
                partitions += graphst_partitions(found["embedding"], truth.cat.categories.size)
    if not partitions:
        return None

    def ari(labels: np.ndarray) -> float:
        return adjusted_rand_score(truth[labelled].astype(str), labels[labelled])

    pairs = np.array([(ari(labels), ari(refined(labels, tissue.obsm["spatial"]))) for labels in partitions])
    told = [
        f"{mean:.3f} ± {spread:.3f}" for mean, spread in zip(pairs.mean(axis=0), pairs.std(axis=0, ddof=1), strict=True)
    ]
    return f"| {data} | {method} | {len(files)} | {len(pairs)} | {' | '.join(told)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with the .h5ad files")
    parser.add_argument("--keep", type=Path, default=Path("build/accuracy"), help="folder with labels and embeddings")
    options = parser.parse_args()
    lines = [
        "| data | method | runs | partitions | as they are | majority of the 50 nearest |",
        "|---|---|---|---|---|---|",
    ]
    lines += [line for data in DATA for method in ("GraphST", "semst") if (line := row(data, method, options))]
    (HERE / "refinement.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

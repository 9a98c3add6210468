"""Many ways to let the meaning of genes into the features, each beside the same way with vectors permuted across genes.

    python benchmarks/meaning/forms.py --data ../shared/data

No network: features, their principal components averaged over the neighbourhood, and Gaussian mixtures at three numbers
of components, two neighbourhoods and two seeds. The score of a form is the mean ARI of these twelve partitions, so that
the luck of one partition does not hide a difference. Labels enter in that score alone.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits

import semst
from semst.partitions._partition import mixture
from semst.pp._expression import morans_i, select_genes, stabilise
from semst.pp._graphs import expression_graph, spatial_graph, widen

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = (
    "her2st_B1", "her2st_H1", "starmap_mpfc_BZ5", "starmap_mvc", "osmfish_ssc", "dlpfc_151673", "dlpfc_151676",
)  # fmt: skip
HERE = Path(__file__).resolve().parent
COLUMNS = ["data", "molecules", "form", "arm", "permutation", "ari"]
COMPONENTS, SEEDS = (10, 15, 20), (0, 1)


def scores(values: np.ndarray, d: int = 20) -> np.ndarray:
    """Principal components."""
    centred = values - values.mean(axis=0)
    u, s, _ = randomized_svd(centred, min(d, min(values.shape) - 1), random_state=0)
    return u * s


def averaging(graph: sparse.csr_matrix) -> sparse.csr_matrix:
    """Turn a graph into the matrix that averages over a spot and its neighbours."""
    whole = graph + sparse.identity(graph.shape[0], format="csr")
    return sparse.csr_matrix(sparse.diags(1 / np.asarray(whole.sum(axis=1)).ravel()) @ whole)


class Tissue:
    """Expression and gene vectors of a section, and what its labels say of features."""

    def __init__(self, section: ad.AnnData, n_domains: int) -> None:
        counts = section.X.tocsr().astype(np.float32)
        graph = spatial_graph(section, section.obsm["spatial"])
        genes = select_genes(counts, graph, n_top_genes=3000, transform="log")
        logged = stabilise(counts, "log")[:, genes]
        self.rings = [averaging(graph), averaging(widen(graph))]
        self.weight = np.sqrt(np.clip(morans_i(logged, graph), 0, None)).astype(np.float32)
        dense = logged.toarray()
        self.log = dense - dense.mean(axis=0)
        self.scaled = np.clip(self.log / (self.log.std(axis=0) + 1e-9), -10, 10)
        self.n_domains = n_domains
        semst.pp.gene_semantics(section, progress=False)
        vectors = np.asarray(section.varm["gene_semantics"], dtype=np.float32)[genes]
        self.known = np.flatnonzero(vectors.any(axis=1))
        vectors[self.known] -= vectors[self.known].mean(axis=0)
        self.vectors = vectors

    def permuted(self, seed: int) -> np.ndarray:
        vectors = self.vectors.copy()
        vectors[self.known] = vectors[np.random.default_rng(1000 + seed).permutation(self.known)]
        return vectors

    def score(self, features: np.ndarray, truth: np.ndarray) -> float:
        """Mean ARI of twelve partitions; ``truth`` is -1 where the experts left a spot out."""
        components, judged, found = scores(features), truth >= 0, []
        for ring in self.rings:
            smooth = (ring @ components).astype(np.float32)
            for d in COMPONENTS:
                for seed in SEEDS:
                    labels = mixture(smooth[:, :d], self.n_domains, random_state=seed)
                    found.append(adjusted_rand_score(truth[judged], labels[judged]))
        return float(np.mean(found))


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def white(vectors: np.ndarray) -> np.ndarray:
    return np.linalg.svd(vectors, full_matrices=False)[0] * np.sqrt(len(vectors))


def neighbours(vectors: np.ndarray, k: int = 10) -> np.ndarray:
    """Average over the ``k`` genes of most similar meaning; a gene without a vector gives and takes nothing."""
    alike = unit(vectors) @ unit(vectors).T
    np.fill_diagonal(alike, -1)
    k = min(k, len(alike) - 1)
    nearest = np.argpartition(-alike, k - 1, axis=1)[:, :k]
    mean = np.zeros_like(alike)
    np.put_along_axis(mean, nearest, 1 / k, axis=1)
    mean[~vectors.any(axis=1)] = 0
    return mean.T


def kernel(tissue: Tissue, vectors: np.ndarray, share: float) -> np.ndarray:
    """PCA with loadings that a prior makes alike for genes of like meaning: covariance (1 - share) I + share V V'."""
    pooled = tissue.log @ unit(vectors)
    pooled *= np.sqrt(np.square(tissue.log).sum() / np.square(pooled).sum())
    return np.concatenate([np.sqrt(1 - share) * tissue.log, np.sqrt(share) * pooled], axis=1)


def semantic_graph(tissue: Tissue, vectors: np.ndarray) -> np.ndarray:
    """Components beside their mean over the spots of most similar pooled meaning."""
    components = scores(tissue.log)
    pooled = scores((tissue.rings[0] @ tissue.log) @ unit(vectors)).astype(np.float32)
    alike = averaging(expression_graph(pooled, n_neighbors=15))
    return np.concatenate([components, alike @ components], axis=1)


FORMS: dict[str, Callable[[Tissue, np.ndarray], np.ndarray]] = {
    "pooled vectors": lambda t, v: t.log @ unit(v),
    "pooled vectors, whitened": lambda t, v: t.log @ white(v),
    "pooled vectors, genes scaled": lambda t, v: t.scaled @ unit(v),
    "pooled vectors, genes weighted by Moran's I": lambda t, v: (t.scaled * t.weight) @ unit(v),
    "expression plus its mean over genes of like meaning": lambda t, v: t.log + t.log @ neighbours(v),
    "mean over genes of like meaning alone": lambda t, v: t.log @ neighbours(v),
    "prior on loadings, a third": lambda t, v: kernel(t, v, 1 / 3),
    "prior on loadings, two thirds": lambda t, v: kernel(t, v, 2 / 3),
    "spots of like meaning in the feature graph": semantic_graph,
}
EXPRESSION = "expression alone"


def table(rows: pd.DataFrame) -> str:
    """Mean over data, and how often the true vectors beat the permuted ones."""
    lines = [
        "| molecules | form | true vectors | permuted | difference | data sets where true is better |",
        "|---" * 6 + "|",
    ]
    for molecules, part in sorted(rows.groupby("molecules"), reverse=True):
        alone = part[part["form"] == EXPRESSION].groupby("data")["ari"].mean()
        lines.append(f"| {molecules:.0%} | {EXPRESSION} | {alone.mean():.3f} | | | |")
        for form in FORMS:
            each = part[part["form"] == form].pivot_table(index="data", columns="arm", values="ari")
            if each.shape[1] < 2:
                continue
            gain = each["true"] - each["permuted"]
            lines.append(
                f"| {molecules:.0%} | {form} | {each['true'].mean():.3f} | {each['permuted'].mean():.3f} "
                f"| {gain.mean():+.3f} | {int((gain > 0).sum())} of {len(gain)} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", nargs="*", default=DATA)
    parser.add_argument("--keep-molecules", type=float, default=1.0)
    parser.add_argument("--permutations", type=int, default=5)
    parser.add_argument("--results", type=Path, default=HERE / "forms.csv")
    options = parser.parse_args()
    if not options.results.exists():
        options.results.write_text(",".join(COLUMNS) + "\n")
    done = set(pd.read_csv(options.results)[COLUMNS[:5]].itertuples(index=False, name=None))
    for name in options.only:
        section = ad.read_h5ad(options.data / f"{name}.h5ad")
        if options.keep_molecules < 1:
            part = section.X.tocsr().astype(np.int64)
            part.data = np.random.default_rng(0).binomial(part.data, options.keep_molecules)
            part.eliminate_zeros()
            section.X = part.astype(np.float32)
            section = section[np.asarray(part.sum(axis=1)).ravel() > 0].copy()
        labels = section.obs.pop("ground_truth").cat
        truth, tissue = labels.codes.to_numpy(), Tissue(section, labels.categories.size)

        def run(form: str, arm: str, permutation: int, features: Callable[[], np.ndarray]) -> None:
            key = (name, options.keep_molecules, form, arm, permutation)  # noqa: B023 (called at once)
            if key in done:
                return
            with threadpool_limits(1):
                ari = tissue.score(features(), truth)  # noqa: B023
            with options.results.open("a", newline="") as file:
                csv.writer(file, lineterminator="\n").writerow([*key, f"{ari:.4f}"])

        run(EXPRESSION, "none", 0, lambda: tissue.log)  # noqa: B023
        for form, make in FORMS.items():
            run(form, "true", 0, lambda: make(tissue, tissue.vectors))  # noqa: B023
            for seed in range(options.permutations):
                run(form, "permuted", seed, lambda: make(tissue, tissue.permuted(seed)))  # noqa: B023
        (HERE / "forms.md").write_text(table(pd.read_csv(options.results)))
        print(name, flush=True)


if __name__ == "__main__":
    main()

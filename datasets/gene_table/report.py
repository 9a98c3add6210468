"""Measure the packaged gene table: which genes it finds to belong together, and how much of real counts it covers.

    python datasets/gene_table/report.py --genes <sources of the table> --data <folder with .h5ad files>

prints the tables of ``README.md``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from build import load_encoder, read_genes
from marker_sets import CELL_TYPES, MARKER_SETS

from semst.semantics._packaged import gene_index, packaged_table
from semst.semantics._resolve import resolve_genes

if TYPE_CHECKING:
    from numpy.typing import NDArray


def recovery(vectors: NDArray[np.floating], sets: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    """For each set, how far each member stands above all other genes by its cosine to the sum of the other members.

    The mean over members of the area under the ROC curve: 1 if members come first, 0.5 by chance.
    """
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    scores = []
    for members in sets:
        outside = np.ones(len(unit), dtype=bool)
        outside[members] = False
        total = unit[members].sum(axis=0)
        areas = []
        for member in members:
            similarity = unit @ (total - unit[member])
            below = np.mean(similarity[outside] < similarity[member])
            equal = np.mean(similarity[outside] == similarity[member])
            areas.append(below + equal / 2)
        scores.append(np.mean(areas))
    return np.array(scores)


def recovery_table(genes_folder: Path) -> list[str]:
    """Compare what is packaged with symbols as text, and with the packaged vectors given to other genes."""
    human, mouse, pairs = read_genes(genes_folder)
    mouse_of = {one: other for one, other in pairs if one.upper() == other.upper()}
    encode = load_encoder(None)
    random = np.random.default_rng(0)
    lines = ["| species | vectors | cell types | processes |", "|---|---|---|---|"]
    remarks = []
    for species, genes in (("human", human), ("mouse", mouse)):
        index = gene_index(species)
        place = {symbol: gene for gene, symbol in enumerate(index.symbols)}
        background = [place[symbol] for symbol, coding in zip(genes.symbols, genes.coding, strict=True) if coding]
        background = [gene for gene in background if index.rows[gene] >= 0]
        order = {index.symbols[gene]: position for position, gene in enumerate(background)}
        sets = {}
        for name, members in MARKER_SETS.items():
            named = members if species == "human" else [mouse_of.get(member, "") for member in members]
            sets[name] = np.array([order[member] for member in named if member in order])
        vectors = packaged_table().vectors[index.rows[background]]
        symbols = encode([index.symbols[gene] for gene in background])
        shown = {
            "packaged": vectors,
            "symbols as text": symbols,
            "symbols as text, mean removed": symbols - symbols.mean(axis=0),
        }
        results = {label: recovery(candidate, list(sets.values())) for label, candidate in shown.items()}
        permuted = [recovery(random.permutation(vectors), list(sets.values())) for _ in range(10)]
        results["packaged, genes permuted (mean of 10)"] = np.mean(permuted, axis=0)
        for label, result in results.items():
            areas = dict(zip(sets, result, strict=True))
            cells = np.mean([area for name, area in areas.items() if name in CELL_TYPES])
            processes = np.mean([area for name, area in areas.items() if name not in CELL_TYPES])
            lines.append(f"| {species} | {label} | {cells:.3f} | {processes:.3f} |")
            if label == "packaged":
                weakest = sorted(areas, key=areas.__getitem__)[:5]
                weak = ", ".join(f"{name} {areas[name]:.2f}" for name in weakest)
                remarks.append(f"- {species}: {len(background)} coding genes, {len(sets)} sets; weakest: {weak}")
    return [*lines, "", *remarks]


def coverage_table(data_folder: Path) -> list[str]:
    """Count names and counts that are recognised, and that have a vector, in each file."""
    import anndata

    lines = [
        "| file | species found | names | recognised | with a vector | counts recognised | counts with a vector |",
        "|---|---|---|---|---|---|---|",
    ]
    missed = []
    for path in sorted(data_folder.glob("*.h5ad")):
        adata = anndata.read_h5ad(path)
        found = resolve_genes(adata.var_names)
        counts = np.asarray(adata.X.sum(axis=0), dtype=np.float64).ravel()
        counts /= counts.sum()
        shares = (
            found.known.mean(),
            found.has_vector.mean(),
            counts[found.known].sum(),
            counts[found.has_vector].sum(),
        )
        numbers = " | ".join(f"{100 * share:.1f} %" for share in shares)
        lines.append(f"| {path.stem} | {found.species} | {adata.n_vars} | {numbers} |")
        for label, mask in (("not recognised", ~found.known), ("no vector", found.known & ~found.has_vector)):
            first = sorted(np.flatnonzero(mask), key=lambda gene: -counts[gene])[:6]
            names = ", ".join(f"{found.names[gene]} {100 * counts[gene]:.2f} %" for gene in first)
            missed.append(f"- {path.stem}, {label}: {mask.sum()} names; {names}")
    return [*lines, "", *missed]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genes", type=Path, help="sources of the table; without them the first table is left out")
    parser.add_argument("--data", type=Path, help="folder with .h5ad files; without it the second table is left out")
    options = parser.parse_args()
    if options.genes:
        print("\n".join(recovery_table(options.genes)))
    if options.data:
        print("\n".join(coverage_table(options.data)))


if __name__ == "__main__":
    main()

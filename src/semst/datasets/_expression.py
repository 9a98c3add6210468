"""From cell types to counts: which genes, how much of each in every cell type, and the noise of the measurement."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float64]

# Expression levels belong to the genes, not to a run: two seeds give two sections of the same tissue.
LEVELS_SEED = 20210208
# Log-normal spread of abundance over genes: the eleven mitochondrial genes come to about 10 % of the counts.
ABUNDANCE_SPREAD = 1.4
# Every gene differs a little between cell types, markers much.
BACKGROUND_FOLD = 0.12
MARKER_FOLD = (9.0, 2.5)  # of a cell type's first and last marker
MARKER_RANGE = (0.5, 0.9)  # quantiles of abundance, outside the cell types that a gene marks
PANEL_SKIPS = ("MT-", "RPL", "RPS")

MEDIAN_COUNTS = {"visium": 3000.0, "cells": 200.0}  # at 2000 genes, and at a panel of PANEL_SIZE genes
PANEL_SIZE = 300
DISPERSION = {"visium": 0.15, "cells": 0.3}
# Share of a spot's counts that goes to mitochondrial and to ribosomal genes on top of what its cells have, and its
# spread.
NUISANCE_SHARE = 0.06
NUISANCE_SPREAD = 0.5
BLOCK_VALUES = 4_000_000  # entries drawn at once


@dataclass(frozen=True)
class Genes:
    """The genes of one simulation, in alphabetical order, and their levels.

    Attributes
    ----------
    symbols
        Names in the chosen species.
    marker_of
        Cell types (the first that names the gene) or None.
    levels
        (n_programmes, n_genes) share of each programme's counts that falls on each gene: one row a cell type, then one
        for mitochondrial and one for ribosomal genes, which vary from spot to spot whatever the domain.
    n_types
        How many of the rows are cell types.
    """

    symbols: list[str]
    marker_of: list[str | None]
    levels: Floats
    n_types: int


def symbol_table() -> list[tuple[str, str]]:
    """Human and mouse symbol of each gene at hand, the most expressed first."""
    text = files("semst.datasets").joinpath("_symbols.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    return [(human, mouse) for human, mouse in rows]


def genes_at_hand(*, panel: bool) -> int:
    """How many genes there are to choose from."""
    return sum(not (panel and human.startswith(PANEL_SKIPS)) for human, _ in symbol_table())


def choose_genes(markers: dict[str, tuple[str, ...]], *, n_genes: int, species: str, panel: bool) -> Genes:
    """Choose genes and set their levels.

    Parameters
    ----------
    markers
        Marker genes of each cell type, the most telling first.
    n_genes
        Number of genes: markers first, one of each cell type in turn, then the most expressed others.
    species
        ``"human"`` or ``"mouse"``.
    panel
        Whether the genes are a panel for imaging: no mitochondrial or ribosomal genes, and more even abundances.
    """
    table = symbol_table()
    human = [row[0] for row in table]
    rank = {gene: place for place, gene in enumerate(human)}
    ordered = _markers_in_turn(markers)
    others = [gene for gene in human if gene not in set(ordered) and not (panel and gene.startswith(PANEL_SKIPS))]
    if panel:
        # Panels leave out what every cell has plenty of.
        others = others[len(others) // 10 :] + others[: len(others) // 10]
    names = sorted((ordered + others)[:n_genes])
    levels = _levels(human, markers, panel=panel)[:, [rank[gene] for gene in names]]
    if panel:
        # All probes together are what an experiment detects; elsewhere the rest of the transcriptome takes its share.
        levels[: len(markers)] /= levels[: len(markers)].sum(axis=1).mean()
    first = {gene: kind for kind in reversed(markers) for gene in markers[kind]}
    shown = dict(table) if species == "mouse" else {gene: gene for gene in human}
    return Genes([shown[gene] for gene in names], [first.get(gene) for gene in names], levels, len(markers))


def _markers_in_turn(markers: dict[str, tuple[str, ...]]) -> list[str]:
    longest = max(len(genes) for genes in markers.values())
    turns = [genes[n] for n in range(longest) for genes in markers.values() if n < len(genes)]
    return list(dict.fromkeys(turns))


def _levels(human: list[str], markers: dict[str, tuple[str, ...]], *, panel: bool) -> Floats:
    """Levels of all genes at hand; a gene's level must not depend on how many are asked for."""
    from scipy.stats import norm

    rng = np.random.default_rng(LEVELS_SEED)
    quantile = 1 - (np.arange(len(human)) + 0.5) / len(human)
    spread = ABUNDANCE_SPREAD / 2 if panel else ABUNDANCE_SPREAD
    base = np.exp(spread * norm.ppf(quantile) + rng.normal(0, 0.3, len(human)))
    place = {gene: n for n, gene in enumerate(human)}
    # Markers neither drown nor lead: a rare one would tell nothing at this depth.
    of_markers = [place[gene] for gene in _markers_in_turn(markers)]
    base[of_markers] = np.clip(base[of_markers], *np.quantile(base, MARKER_RANGE))
    levels = base * np.exp(rng.normal(0, BACKGROUND_FOLD, (len(markers), len(human))))
    for row, genes in enumerate(markers.values()):
        for gene, fold in zip(genes, np.geomspace(*MARKER_FOLD, len(genes)), strict=True):
            levels[row, place[gene]] *= fold
    levels /= base.sum()
    leading = [np.array([gene.startswith(prefix) for gene in human]) * base for prefix in ("MT-", ("RPL", "RPS"))]
    return np.vstack([levels, *(part / part.sum() for part in leading)])


def draw_counts(
    rng: np.random.Generator,
    genes: Genes,
    mixture: NDArray[np.float32],
    depth: Floats,
    *,
    platform: str,
    progress: bool,
) -> csr_matrix:
    """Draw gamma-Poisson counts, a block of rows at a time so that nothing dense is ever large.

    Parameters
    ----------
    rng
        Source of randomness.
    genes
        The genes and their levels.
    mixture
        (n, n_types) shares of the cell types.
    depth
        (n,) depth relative to the median.
    platform
        ``"visium"`` or ``"cells"``, which sets the median count and the dispersion.
    progress
        Whether to show a bar when there are many blocks.

    Returns
    -------
    float32 CSR matrix (n, n_genes) of integer values without empty rows.
    """
    from scipy.sparse import csr_matrix
    from tqdm import tqdm

    n, n_genes = len(depth), len(genes.symbols)
    median = MEDIAN_COUNTS[platform] * (np.sqrt(n_genes / PANEL_SIZE) if platform == "cells" else 1.0)
    rows = max(1, BLOCK_VALUES // n_genes)
    blocks = range(0, n, rows)
    parts = []
    for start in tqdm(blocks, desc="drawing counts", unit="block", disable=not progress or len(blocks) < 20):
        block = slice(start, start + rows)
        rate = _with_nuisance(rng, mixture[block], genes) @ genes.levels
        rate *= median * depth[block, None]
        parts.append(csr_matrix(_gamma_poisson(rng, rate, DISPERSION[platform])))
    return _stacked(parts, n_genes)


def _with_nuisance(rng: np.random.Generator, mixture: NDArray[np.float32], genes: Genes) -> Floats:
    """Shares of the cell types, then of mitochondrial and ribosomal counts, which no domain decides."""
    if not genes.levels[genes.n_types :].any():
        return np.hstack([mixture, np.zeros((len(mixture), 2))])
    extra = NUISANCE_SHARE * np.exp(rng.normal(0, NUISANCE_SPREAD, (len(mixture), 2)))
    shares: Floats = np.hstack([mixture, extra]) / (1 + extra.sum(axis=1, keepdims=True))
    return shares


def _gamma_poisson(rng: np.random.Generator, rate: Floats, dispersion: float) -> NDArray[np.float32]:
    counts = np.empty(rate.shape, dtype=np.float32)
    # What is measured without a single count is not kept as a spot, so such rows are drawn again.
    empty = np.arange(len(rate))
    while len(empty):
        noise = rng.standard_gamma(1 / dispersion, (len(empty), rate.shape[1])) * dispersion
        counts[empty] = rng.poisson(rate[empty] * noise)
        empty = empty[~counts[empty].any(axis=1)]
    return counts


def _stacked(parts: list[csr_matrix], n_genes: int) -> csr_matrix:
    """Stack blocks of rows, letting go of each kind of array as it is done: scipy's vstack holds everything twice."""
    from scipy.sparse import csr_matrix

    lengths = np.concatenate([[0], *(np.diff(part.indptr) for part in parts)])
    shape = (len(lengths) - 1, n_genes)
    values, columns = [part.data for part in parts], [part.indices for part in parts]
    parts.clear()
    data = np.concatenate(values)
    values.clear()
    indices = np.concatenate(columns)
    columns.clear()
    index_type = np.int32 if len(data) < np.iinfo(np.int32).max else np.int64
    return csr_matrix(
        (data, indices.astype(index_type, copy=False), np.cumsum(lengths).astype(index_type)), shape=shape
    )

"""Which row of a source (vectors or texts under gene names) belongs to which gene of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from semst.semantics._resolve import resolve_genes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from semst.semantics._resolve import Resolution, Species


@dataclass(frozen=True)
class Match:
    """The rows of a source for ``n`` genes, and how they were found.

    Attributes
    ----------
    names
        The ``n`` names as they came.
    rows
        ``(n,)`` int64, -1 where the source has nothing for a gene.
    how
        ``(n,)`` str: ``"exact"`` (the source has the very name), a way of :func:`~semst.semantics.resolve_genes` such
        as ``"symbol"`` or ``"alias"``, ``"ambiguous"``, or ``"unknown"``.
    species
        ``"human"`` or ``"mouse"``; empty where it did not matter.
    """

    names: tuple[str, ...]
    rows: NDArray[np.int64]
    how: NDArray[np.str_]
    species: str

    @property
    def has_vector(self) -> NDArray[np.bool_]:
        """``(n,)`` bool: whether the source has the gene."""
        return self.rows >= 0

    @property
    def recognised(self) -> NDArray[np.bool_]:
        """``(n,)`` bool: whether it is clear which gene is meant, be it in the source or not."""
        return ~np.isin(self.how, ["unknown", "ambiguous"])

    def named(self, mask: NDArray[np.bool_]) -> NDArray[np.str_]:
        """Names under a mask, as ``uns`` can hold them."""
        return np.array([name for name, wanted in zip(self.names, mask, strict=True) if wanted], dtype=np.str_)


def match_packaged(resolution: Resolution) -> Match:
    """Match genes to the rows of the packaged table."""
    return Match(resolution.names, resolution.rows, resolution.how, resolution.species)


def match_symbols(resolution: Resolution) -> Match:
    """Match each recognised gene to itself, for sources made out of its symbol."""
    rows = np.where(resolution.known, np.arange(len(resolution.names)), -1)
    return Match(resolution.names, rows, resolution.how, resolution.species)


def match_names(genes: Sequence[str], offered: Sequence[str], *, species: Species | None = None) -> Match:
    """Match genes to the names under which somebody else keeps vectors or texts.

    Equal names are matched first. For the others, the names of both sides are brought to official symbols of the
    species of the data, and these are compared. So a table of human genes serves mouse data, through orthologs.

    Parameters
    ----------
    genes
        ``n`` names of genes in the data.
    offered
        Names of the source, each once.
    species
        Of the data; the default finds it.

    Returns
    -------
    The match. Where several names of the source mean one gene, its official symbol comes first.

    Examples
    --------
    >>> match_names(["Mbp", "ENSMUSG00000031425", "no gene"], ["PLP1", "MBP"], species="mouse").rows.tolist()
    [1, 0, -1]
    """
    names = tuple(genes)
    place = {name: row for row, name in enumerate(offered)}
    rows = np.array([place.get(name, -1) for name in names], dtype=np.int64)
    exact = rows >= 0
    if exact.all():
        return Match(names, rows, np.full(len(names), "exact"), species or "")
    resolution = resolve_genes(names, species=species)
    row_of = _rows_by_symbol(resolve_genes(offered, species=resolution.species))
    for position in np.flatnonzero(~exact & resolution.known):
        rows[position] = row_of.get(str(resolution.symbols[position]), -1)
    return Match(names, rows, np.where(exact, "exact", resolution.how), resolution.species)


def _rows_by_symbol(offered: Resolution) -> dict[str, int]:
    # Official symbols come before aliases, so that an outdated entry never takes the place of the real one.
    rank = np.select([offered.how == "symbol", offered.how == "case"], [0, 1], default=2)
    row_of: dict[str, int] = {}
    for row in np.argsort(rank, kind="stable"):
        if offered.known[row]:
            row_of.setdefault(str(offered.symbols[row]), int(row))
    return row_of

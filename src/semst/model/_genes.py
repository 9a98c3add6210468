"""The genes a model knows, and which of them a new tissue has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from semst.semantics._match import match_names
from semst.semantics._resolve import infer_species

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from semst.semantics._resolve import Species


@dataclass(frozen=True)
class Overlap:
    """The genes that a model and a new tissue share.

    Parameters
    ----------
    known
        ``(k,)`` columns of the new tissue that the model knows, whether its networks read them or not.
    chosen
        ``(c,)`` positions in ``known`` of the genes that the networks read.
    used
        ``(c,)`` their positions among the genes that the networks read.
    share
        Share of all counts of the training tissue that lie in the known genes, in (0, 1]: what the library size of the
        training tissue would have been with these genes alone.
    share_read
        The same of the genes that the networks read: share of their counts that lie in those that are there.
    coverage
        Numbers for ``uns``.
    """

    known: NDArray[np.int64]
    chosen: NDArray[np.int64]
    used: NDArray[np.int64]
    share: float
    share_read: float
    coverage: dict[str, Any]


@dataclass(frozen=True)
class Panel:
    """The genes of the training tissue.

    Parameters
    ----------
    names
        Of all ``g`` genes.
    species
        ``"human"`` or ``"mouse"``: how names are read that do not agree letter for letter.
    chosen
        ``(c,)`` int64 positions of the genes that the networks read.
    totals
        ``(g,)`` float64: counts of each gene in the training tissue.
    """

    names: tuple[str, ...]
    species: Species
    chosen: NDArray[np.int64]
    totals: NDArray[np.float64]

    @classmethod
    def of(cls, names: Sequence[str], chosen: NDArray[np.int64], totals: NDArray[np.float64]) -> Panel:
        """Make the panel of a training tissue."""
        return cls(tuple(names), infer_species(names), chosen.astype(np.int64), totals)

    def overlap(self, offered: Sequence[str]) -> Overlap:
        """Find the model's genes in a new tissue: by equal names, else by symbols (aliases, ids, orthologs)."""
        match = match_names(self.names, offered, species=self.species)
        rows, how = match.rows.copy(), match.how
        # Two names of the model may lead to one gene of the tissue: the one that is spelled alike has it.
        order = np.argsort(how != "exact", kind="stable")
        first = np.unique(rows[order], return_index=True)[1]
        kept = np.zeros(rows.size, dtype=bool)
        kept[order[first]] = True
        rows[~kept] = -1
        found = np.flatnonzero(rows >= 0)
        place = np.full(rows.size, -1)
        place[found] = np.arange(found.size)
        used = np.flatnonzero(rows[self.chosen] >= 0)
        chosen = place[self.chosen[used]]
        ways, numbers = np.unique(how[self.chosen[used]], return_counts=True)
        share = _share(self.totals, found)
        coverage = {
            "genes": used.size / max(self.chosen.size, 1),
            "n_genes": int(self.chosen.size),
            "n_found": int(used.size),
            "counts": share,
            "missing": np.array(self.names, dtype=np.str_)[np.delete(self.chosen, used)],
            "how": {str(way): int(number) for way, number in zip(ways, numbers, strict=True)},
        }
        return Overlap(rows[found], chosen, used, share, _share(self.totals[self.chosen], used), coverage)


def _share(totals: NDArray[np.float64], some: NDArray[np.int64]) -> float:
    """Give the share of all counts that some genes have; 0 where there are no counts."""
    total = float(totals.sum())
    return float(totals[some].sum() / total) if total else 0.0

"""Names of genes as people read them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from semst.semantics._packaged import SPECIES
from semst.semantics._resolve import resolve_genes

if TYPE_CHECKING:
    from collections.abc import Iterable

_ID = re.compile(r"ENS(MUS)?G\d{11}(\.\d+)?", re.IGNORECASE)


def shown(names: Iterable[str]) -> list[str]:
    """Put the official symbol in the place of each Ensembl id whose gene is known; all other names stay.

    Examples
    --------
    >>> shown(["ENSG00000197971", "ENSMUSG00000041607.18", "MBP", "ENSG99999999999"])
    ['MBP', 'Mbp', 'MBP', 'ENSG99999999999']
    """
    written = [str(name) for name in names]
    symbols: dict[str, str] = {}
    for species in SPECIES:  # each id in its own, whatever company it is in
        ids = [name for name in written if (found := _ID.fullmatch(name)) and bool(found[1]) == (species == "mouse")]
        if ids:
            official = resolve_genes(ids, species=species).symbols
            symbols |= {name: str(symbol) for name, symbol in zip(ids, official, strict=True) if symbol}
    return [symbols.get(name, name) for name in written]

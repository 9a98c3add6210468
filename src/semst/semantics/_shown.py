"""Names of genes as people read them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from semst.semantics._resolve import infer_species, resolve_genes

if TYPE_CHECKING:
    from collections.abc import Iterable

_ID = re.compile(r"ENS(MUS)?G\d{11}(\.\d+)?", re.IGNORECASE)


def shown(names: Iterable[str]) -> list[str]:
    """Put the official symbol in the place of each Ensembl id whose gene is known; all other names stay.

    Examples
    --------
    >>> shown(["ENSG00000197971", "ENSG00000197971.15", "MBP", "ENSG99999999999"])
    ['MBP', 'MBP', 'MBP', 'ENSG99999999999']
    """
    written = [str(name) for name in names]
    ids = [name for name in written if _ID.fullmatch(name)]
    if not ids:
        return written
    found = resolve_genes(ids, species=infer_species(ids))
    symbols = {name: str(symbol) for name, symbol in zip(ids, found.symbols, strict=True) if symbol}
    return [symbols.get(name, name) for name in written]

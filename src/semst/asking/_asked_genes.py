"""Genes that a query names, however they are spelled: as in the table, in other letters, by an alias or an id."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

_CAPITALS = re.compile(r"[A-Z][A-Z0-9.-]+")  # lower case is prose: "fat" is an alias of CD36 too
_OFFICIAL = ("exact", "symbol", "case", "ensembl")  # an alias without a digit is too easily an abbreviation


def positions(genes: Sequence[str], gene_names: Sequence[str]) -> dict[str, int]:
    """Find genes of a list in the table: the very names first, the others by symbol, alias, id or ortholog.

    Parameters
    ----------
    genes
        As they were asked for.
    gene_names
        Of the table.

    Returns
    -------
    The position of each that the table has, in the order they were asked for.
    """
    place = {name: position for position, name in enumerate(gene_names)}
    others = [gene for gene in genes if gene not in place]
    if others:
        from semst.semantics._match import match_names
        from semst.semantics._resolve import infer_species

        match = match_names(others, gene_names, species=infer_species(gene_names))
        there = np.flatnonzero(match.rows >= 0)
        place.update({others[one]: int(match.rows[one]) for one in there})
    return {gene: place[gene] for gene in genes if gene in place}


def one_gene(text: str, gene_names: Sequence[str]) -> tuple[int | None, bool]:
    """Tell a gene from words.

    A gene is what the table calls so, in any case; and a single word in capitals that is the symbol or id of a gene, or
    an alias with a digit in it.

    Returns
    -------
    Its position, None where the table has no such gene; and whether it is the name of a gene at all.
    """
    if text in gene_names:
        return gene_names.index(text), True
    alike = [position for position, name in enumerate(gene_names) if name.casefold() == text.casefold()]
    if len(alike) == 1:
        return alike[0], True
    if not _CAPITALS.fullmatch(text):
        return None, False
    from semst.semantics._match import match_names
    from semst.semantics._resolve import infer_species

    match = match_names([text], gene_names, species=infer_species(gene_names))
    meant = bool(match.recognised[0]) and (match.how[0] in _OFFICIAL or any(map(str.isdigit, text)))
    return (int(match.rows[0]) if meant and match.rows[0] >= 0 else None), meant

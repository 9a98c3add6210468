"""From the names that a data set gives its genes to the genes themselves."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from semst.semantics._packaged import SPECIES, GeneIndex, Species, gene_index

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Resolution", "Species", "infer_species", "resolve_genes"]

_ENSEMBL = re.compile(r"(?<![A-Z0-9])ENS(MUS)?G(\d{11})(?!\d)")
# Cell Ranger writes the genome before the gene when several were used, with underscores that depend on its version.
_GENOME = re.compile(r"(?:GRCH\d+|HG\d+|HUMAN|(GRCM\d+|MM\d+|MOUSE))(?:-20\d\d-[A-Z])?[_-]+(?=.)")
# "-1" is added to repeated names by scanpy and anndata, ".1" by R.
_REPEAT = re.compile(r"(.+)([-.])\d+")
# R puts an X before names that begin with a digit, as those of RIKEN clones do, and a point in the place of a hyphen.
_R_CLONE = re.compile(r"X(?=\d{7}[A-Z])")
_WORDS = {
    "symbol": "by symbol",
    "case": "by symbol in other letter case",
    "previous": "by previous symbol",
    "alias": "by alias",
    "ensembl": "by Ensembl id",
    "prefix": "after a genome prefix",
    "ortholog": "by ortholog",
    "repeat": "as repeats of another name",
    "punctuation": "by symbol in R's spelling",
}


@dataclass(frozen=True, eq=False)
class Resolution:
    """What became of the gene names of a data set.

    Attributes
    ----------
    names
        The ``n`` names, as they came.
    species
        ``"human"`` or ``"mouse"``: given, or found by ``infer_species``.
    rows
        ``(n,)`` int64: row of each gene in ``packaged_table().vectors``; -1 where the name is not recognised or the
        gene has no vector (most genes that code for no protein).
    symbols
        ``(n,)`` str: official symbol of the gene in this species; empty where the name is not recognised.
    how
        ``(n,)`` str: the way to the gene. ``"symbol"`` (official, letter for letter), ``"case"`` (official in other
        letter case), ``"previous"`` or ``"alias"`` (whatever the case), ``"ensembl"`` (an Ensembl id, with or without
        version), ``"prefix"`` (one of these after a genome, such as ``GRCh38_ACTB``), ``"ortholog"`` (a symbol or id of
        the other species with one ortholog here), ``"repeat"`` (``TBCE-1`` beside ``TBCE``), ``"punctuation"``
        (``HLA.A``, ``X1700001C19Rik``, as R writes them); else ``"ambiguous"`` or ``"unknown"``.
        A gene without a vector keeps the way in which it was recognised.
    ambiguous
        Name -> official symbols of the genes that it may mean, for each name that is ambiguous.
    """

    names: tuple[str, ...]
    species: Species
    rows: NDArray[np.int64]
    symbols: NDArray[np.str_]
    how: NDArray[np.str_]
    ambiguous: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def known(self) -> NDArray[np.bool_]:
        """``(n,)`` bool: whether the name means one gene, be it with a vector or without."""
        return np.asarray(self.symbols != "", dtype=np.bool_)

    @property
    def has_vector(self) -> NDArray[np.bool_]:
        """``(n,)`` bool: whether the gene has a row in the packaged table."""
        return self.rows >= 0

    @property
    def coverage(self) -> float:
        """Share of names, 0 to 1, that mean one gene; 0 when there are no names."""
        return float(self.known.mean()) if self.names else 0.0

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names that mean no gene."""
        return self._named(self.how == "unknown")

    @property
    def without_vector(self) -> tuple[str, ...]:
        """Names of recognised genes that have no vector."""
        return self._named(self.known & ~self.has_vector)

    def summary(self) -> str:
        """One sentence with all the counts.

        Examples
        --------
        >>> resolve_genes(["MBP", "MARCH1", "no gene"], species="human").summary()
        '2 of 3 gene names recognised as human (1 by symbol, 1 by previous symbol), 2 with a vector; 1 unknown: no gene'
        """
        counts = Counter(self.how.tolist())
        ways = ", ".join(f"{counts[way]} {words}" for way, words in _WORDS.items() if counts[way])
        found = f"{int(self.known.sum())} of {len(self.names)} gene names recognised as {self.species}"
        parts = [
            f"{found} ({ways})" if ways else found,
            f"{int(self.has_vector.sum())} with a vector",
        ]
        text = ", ".join(parts)
        for word, names in (("ambiguous", self._named(self.how == "ambiguous")), ("unknown", self.unknown)):
            if names:
                shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
                text += f"; {len(names)} {word}: {shown}"
        return text

    def _named(self, mask: NDArray[np.bool_]) -> tuple[str, ...]:
        return tuple(self.names[position] for position in np.flatnonzero(mask))


def resolve_genes(names: Iterable[str], *, species: Species | None = None) -> Resolution:
    """Find the genes that names mean.

    Parameters
    ----------
    names
        Symbols (official, previous, aliases) or Ensembl gene ids with or without version, in any mixture and letter
        case, such as ``adata.var_names``.
    species
        ``"human"`` or ``"mouse"``; the default finds it with :func:`infer_species`.

    Returns
    -------
    A :class:`Resolution`: for each name the row of its vector, the official symbol and the way in which it was found.
    Nothing is dropped: names that mean no gene or several are listed there.

    Raises
    ------
    TypeError
        If ``names`` is a single string or holds anything else than strings.
    ValueError
        If ``species`` is another one.

    Notes
    -----
    An official symbol wins over a previous one, that over an alias; a name that several genes bear in the first of
    these tiers in which it occurs is ambiguous, unless an official symbol of the other species settles it. What a name
    means does not depend on the order of the others. Only one rule looks at the others at all: ``TBCE-1`` counts as a
    repeat of ``TBCE`` when that is there as well, since gene families have names of the same shape.

    Examples
    --------
    >>> found = resolve_genes(["MBP", "SEPT7", "ENSG00000123560.14", "XYZ99"], species="human")
    >>> found.symbols.tolist()
    ['MBP', 'SEPTIN7', 'PLP1', '']
    >>> found.how.tolist()
    ['symbol', 'previous', 'ensembl', 'unknown']
    >>> found.unknown
    ('XYZ99',)
    """
    checked = _check_names(names)
    if species is None:
        species = infer_species(checked)
    elif species not in SPECIES:
        msg = f"`species` must be one of {', '.join(map(repr, SPECIES))} or None (found by itself), got {species!r}"
        raise ValueError(msg)
    index = gene_index(species)
    present = frozenset(name.strip().upper() for name in checked)
    answers = {name: _find(name, index, present) for name in dict.fromkeys(checked)}
    ways = [answers[name][0] for name in checked]
    genes = np.array([found[0] if len(found := answers[name][1]) == 1 else -1 for name in checked], dtype=np.int64)
    known = genes >= 0
    return Resolution(
        names=checked,
        species=species,
        rows=np.where(known, index.rows[genes], -1),
        symbols=np.array([index.symbols[gene] if gene >= 0 else "" for gene in genes.tolist()], dtype=np.str_),
        how=np.array(ways, dtype=np.str_),
        ambiguous={
            name: tuple(sorted(index.symbols[gene] for gene in found))
            for name, (way, found) in answers.items()
            if way == "ambiguous"
        },
    )


def infer_species(names: Iterable[str]) -> Species:
    """Tell human from mouse by the names of the genes.

    Parameters
    ----------
    names
        As for :func:`resolve_genes`.

    Returns
    -------
    ``"human"`` or ``"mouse"``; ``"human"`` when nothing speaks for either.

    Raises
    ------
    TypeError
        If ``names`` is a single string or holds anything else than strings.

    Notes
    -----
    What counts for a species: Ensembl ids, genome prefixes, and official symbols written exactly so (``Mbp`` is mouse,
    ``MBP`` human). The species with more of these is the one, but for one case: symbols of mouse genes all in capitals
    look human. Among them are more symbols of mouse alone (``GM1992``, ``H2-K1``) than of human alone.

    Examples
    --------
    >>> infer_species(["Mbp", "Plp1"]), infer_species(["MBP", "PLP1"]), infer_species(["ENSMUSG00000041607.18"])
    ('mouse', 'human', 'mouse')
    """
    checked = dict.fromkeys(name.strip() for name in _check_names(names))
    marks = Counter(species for name in checked if (species := _marked_species(name.upper())))
    human, mouse = (gene_index(species) for species in SPECIES)
    exact_human, exact_mouse = (
        sum(index.symbols[gene] == name for name in checked for gene in index.official.get(name.upper(), ()))
        for index in (human, mouse)
    )
    if marks["mouse"] + exact_mouse > marks["human"] + exact_human:
        return "mouse"
    folded = [name.upper() for name in checked]
    only_human = sum(name in human.official and name not in mouse.official for name in folded)
    only_mouse = sum(
        name in mouse.official and not (name in human.official or name in human.previous or name in human.alias)
        for name in folded
    )
    return "mouse" if marks["mouse"] + only_mouse > marks["human"] + only_human else "human"


def _check_names(names: Iterable[str]) -> tuple[str, ...]:
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        msg = f"`names` must be a sequence of gene names, got {type(names).__name__}"
        raise TypeError(msg)
    checked = tuple(names)
    wrong = [name for name in checked if not isinstance(name, str)]
    if wrong:
        msg = f"`names` must hold strings only, got {len(wrong)} other values, such as {wrong[0]!r}"
        raise TypeError(msg)
    return checked


def _marked_species(name: str) -> Species | None:
    ensembl = _ENSEMBL.search(name)
    mark = ensembl or _GENOME.match(name)
    if mark is None:
        return None
    return "mouse" if mark.group(1) else "human"


def _find(name: str, index: GeneIndex, present: frozenset[str]) -> tuple[str, tuple[int, ...]]:
    """Way and genes of one name: one gene, several for "ambiguous", none for "unknown"."""
    way, genes = _find_alone(name, index)
    repeat = None if genes else _REPEAT.fullmatch(name.strip().upper())
    if repeat is None:
        return way, genes
    base, mark = repeat.groups()
    base_way, genes = _find_alone(base, index)
    # Hardly a symbol has a point before its last number, so what stands before that may be one even where it is not
    # in the data (any more).
    if genes and (base in present or (mark == "." and base_way in {"case", "symbol", "previous"})):
        return ("repeat" if len(genes) == 1 else "ambiguous"), genes
    return "unknown", ()


def _find_alone(name: str, index: GeneIndex) -> tuple[str, tuple[int, ...]]:
    stripped = name.strip()
    folded = stripped.upper()
    way, genes = _by_identifier(folded, index)
    if len(genes) == 1:
        exact = way != "symbol" or index.symbols[genes[0]] == stripped
        return (way, genes) if exact else ("case", genes)
    prefix = _GENOME.match(folded)
    if prefix and not genes:
        folded = folded[prefix.end() :]
        _, genes = _by_identifier(folded, index)
        if len(genes) == 1:
            return "prefix", genes
    partners = _by_ortholog(folded, index)
    if len(partners) == 1 and (not genes or partners[0] in genes):
        return "ortholog", partners
    if genes or partners:
        return "ambiguous", genes or partners
    genes = _by_r_spelling(folded, index)
    return ("punctuation", genes) if len(genes) == 1 else ("unknown", ())


def _by_identifier(folded: str, index: GeneIndex) -> tuple[str, tuple[int, ...]]:
    for way, names in (("symbol", index.official), ("previous", index.previous), ("alias", index.alias)):
        genes = names.get(folded)
        if genes:
            return way, genes
    return "ensembl", _by_ensembl(folded, index)


def _by_ensembl(folded: str, index: GeneIndex) -> tuple[int, ...]:
    found = _ENSEMBL.search(folded) if "ENS" in folded else None
    if found is None or bool(found.group(1)) != (index.species == "mouse"):
        return ()
    return index.ensembl.get(int(found.group(2)), ())


def _by_ortholog(folded: str, index: GeneIndex) -> tuple[int, ...]:
    other = gene_index("mouse" if index.species == "human" else "human")
    genes = other.official.get(folded) or other.previous.get(folded) or _by_ensembl(folded, other)
    return other.orthologs(genes[0]) if len(genes) == 1 else ()


def _by_r_spelling(folded: str, index: GeneIndex) -> tuple[int, ...]:
    if _R_CLONE.match(folded):
        return _by_identifier(folded[1:], index)[1]
    return index.official.get(folded.replace(".", "-"), ())

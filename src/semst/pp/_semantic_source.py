"""Which of the many sources of gene vectors is meant, and which genes of the data it has."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semst._inputs import read_matrix
from semst._keys import GENE_NAMES
from semst._problems import counted, listed
from semst.semantics._cache import encode_cached
from semst.semantics._match import Match, match_names, match_packaged, match_symbols
from semst.semantics._resolve import resolve_genes
from semst.semantics._user_table import read_texts, read_vectors, usable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

    from semst._problems import Problems
    from semst.pp._semantics_options import SemanticsOptions
    from semst.semantics._encoders import Encoder
    from semst.semantics._resolve import Species
    from semst.semantics._user_table import VectorSource

logger = logging.getLogger("semst")

FEW_NAMES = 0.5  # of all: where fewer are recognised they are likely to be no gene symbols


@dataclass(frozen=True)
class Source:
    """Gene vectors that are matched to the data, but not read or encoded yet.

    Attributes
    ----------
    match
        The genes of the data in the rows of the source.
    names
        Of its genes, as far as the user brought them; empty for those that come with semst.
    read
        Does the slow part: gives the name of the source for ``uns``, and its vectors ``(n_rows, d)`` float32.
    """

    match: Match
    names: Sequence[str]
    read: Callable[[], tuple[str, NDArray[np.float32]]]


def choose_source(table: AnnData, options: SemanticsOptions, problems: Problems, *, way_out: str = "") -> Source | None:
    """Find out where gene vectors come from; None where ``problems`` says why there are none."""
    names = [str(name) for name in table.var_names]
    source: Source | None
    if isinstance(options.vectors, str) and options.vectors in table.varm:
        source = _from_varm(table, options.vectors, problems)
    elif options.vectors is not None:
        source = _from_user(table, names, options.vectors, problems, species=options.species)
    elif options.encoder is not None:
        source = _from_texts(names, options.encoder, options, problems)
    else:
        source = _from_package(names, species=options.species)
    if source is not None and not source.match.has_vector.any():
        brought = source.names
        problems.add(_nothing_shared(table, brought) if brought else nothing_known(table, way_out=way_out))
        return None
    return source


def open_encoder(encoder: Encoder | str | os.PathLike[str]) -> Encoder:
    """Load a sentence-transformers model if only its name or folder is given."""
    if isinstance(encoder, str | os.PathLike):
        from semst.semantics._sentence import SentenceEncoder

        return SentenceEncoder(encoder)
    return encoder


def _from_package(names: Sequence[str], *, species: Species | None) -> Source:
    def read() -> tuple[str, NDArray[np.float32]]:
        from semst.semantics._packaged import packaged_table

        packaged = packaged_table()
        return "packaged", packaged.vectors

    return Source(match_packaged(resolve_genes(names, species=species)), (), read)


def _from_varm(table: AnnData, key: str, problems: Problems) -> Source | None:
    values = read_matrix(table, "varm", key, problems, gaps=True)
    if values is None:
        return None
    known = usable(values)
    if not known.any():
        problems.add(f"varm[{key!r}] holds nothing but NaN and zeros.")
        return None
    names = tuple(str(name) for name in table.var_names)
    how = np.where(known, "exact", "unknown")
    match = Match(names, np.where(known, np.arange(len(names)), -1), how, "")
    return Source(match, names, lambda: (f"varm[{key!r}]", values))


def _from_user(
    table: AnnData, names: Sequence[str], vectors: VectorSource, problems: Problems, *, species: Species | None
) -> Source | None:
    if isinstance(vectors, str) and Path(vectors).suffix not in {".npz", ".parquet"}:
        problems.missing(
            f"vectors={vectors!r} is neither a key of varm ({listed(table.varm)}) nor a .npz or .parquet file."
        )
        return None
    named = read_vectors(vectors, problems)
    if named is None:
        return None
    match = match_names(names, named.names, species=species)
    return Source(match, named.names, lambda: (named.label, named.vectors))


def _from_texts(
    names: Sequence[str],
    encoder: Encoder | str | os.PathLike[str],
    options: SemanticsOptions,
    problems: Problems,
) -> Source | None:
    if options.gene_text is None:
        logger.warning(
            "gene_semantics: no `gene_text` was given, so the encoder reads bare gene symbols. It then knows little "
            "more than how they are spelled (MBP is nearer to 'astrocyte' than to 'oligodendrocyte'); "
            "give it texts that say what the genes do."
        )
        resolution = resolve_genes(names, species=options.species)
        match, texts = match_symbols(resolution), [str(symbol) for symbol in resolution.symbols]
        text_of: dict[str, str] = {}
    else:
        text_of = read_texts(options.gene_text, problems)
        if not text_of:
            return None
        match, texts = match_names(names, list(text_of), species=options.species), list(text_of.values())

    def read() -> tuple[str, NDArray[np.float32]]:
        opened = open_encoder(encoder)
        used = np.unique(match.rows[match.has_vector])
        encoded = encode_cached(
            opened, [texts[row] for row in used], cache_dir=options.cache_dir, progress=options.progress
        )
        rows = np.zeros((len(texts), encoded.shape[1]), dtype=np.float32)
        rows[used] = encoded
        return opened.name, rows

    return Source(match, list(text_of), read)


def _nothing_shared(table: AnnData, names: Sequence[str]) -> str:
    return (
        f"none of the {table.n_vars} genes of the data ({listed(table.var_names, limit=5)}) is among the "
        f"{counted(len(names), 'gene', 'genes')} that you brought ({listed(names, limit=5)}); both must be named "
        "alike, or be symbols or Ensembl ids of human or mouse."
    )


def nothing_left(n_known: int, names: Sequence[str]) -> str:
    """Say of the vectors that the user brought under these names that they tell no genes apart."""
    alike = "1 gene of the data has one" if n_known == 1 else f"{n_known} genes of the data have one and the same"
    return (
        f"the vectors that you brought for {counted(len(names), 'gene', 'genes')} ({listed(names, limit=5)}) tell "
        f"none apart: {alike}, of which nothing is left once the mean is removed."
    )


def nothing_known(table: AnnData, n_known: int = 0, *, way_out: str = "") -> str:
    """Say that nothing is known of the genes, also where the few that are known have one vector, and the ways out."""
    column = column_of_names(table)
    there = "" if column is None else f"var[{column!r}] holds such: {how_to_take(column)}. Else "
    why = f"none of the {table.n_vars} names was found"
    if n_known:
        alike = "1 has one" if n_known == 1 else f"{n_known} have one and the same"
        why = f"of {table.n_vars} names {alike}, of which nothing is left once the mean is removed"
    return (
        f"no gene has a vector: {why} ({listed(table.var_names, limit=5)}). "
        f"var_names must be symbols or Ensembl ids of human or mouse. {there}"
        f"{'bring' if there else 'Put them there, or bring'} vectors under your names with "
        f"`semst.pp.gene_semantics(adata, vectors=...)`.{way_out}"
    )


def column_of_names(table: AnnData) -> str | None:
    """Find a column of ``var`` that most genes are recognised by, where few are by ``var_names``."""
    for key in GENE_NAMES:
        if key not in table.var:
            continue
        names = table.var[key]
        there = names.notna().to_numpy()  # a missing name would be read as the gene that was called NAN
        if (resolve_genes(names.astype(str).tolist()).known & there).mean() > FEW_NAMES:
            return key
    return None


def how_to_take(column: str) -> str:
    """Say in code how the names of such a column become those of the genes."""
    # A list: an index that bears the column's name could not be written once its names are made unique.
    return f'`adata.var_names = adata.var["{column}"].astype(str).tolist()`, then `adata.var_names_make_unique()`'

"""Gene semantics of a table, computed and not yet written anywhere."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from semst._inputs import check_names, read_counts
from semst._problems import Problems, counted, listed
from semst._provenance import versions
from semst.pp._pool import pool
from semst.pp._prompts import N_TOP, default_min_spots, prompts
from semst.pp._semantic_source import (
    FEW_NAMES,
    choose_source,
    column_of_names,
    how_to_take,
    nothing_known,
    nothing_left,
    open_encoder,
)
from semst.pp._semantics_options import SemanticsOptions
from semst.semantics._cache import encode_cached
from semst.semantics._encoders import MINILM, why_no_encoder
from semst.semantics._match import Match, match_symbols
from semst.semantics._resolve import resolve_genes
from semst.semantics._vectors import center_vectors

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray
    from scipy import sparse


logger = logging.getLogger("semst")

WHERE = "semst.pp.gene_semantics"


@dataclass(frozen=True)
class SemanticsResult:
    """What :func:`compute_gene_semantics` found.

    Attributes
    ----------
    spot_vectors
        ``(n_spots, d)`` float32.
    gene_vectors
        ``(n_genes, d)`` float32, rows of zeros where a gene has none; None for ``mode="spots"``.
    center
        ``(d,)`` float32: the mean that was removed from the gene vectors; None for ``mode="spots"``.
    params, coverage, versions
        What goes into ``uns``.
    """

    spot_vectors: NDArray[np.float32]
    gene_vectors: NDArray[np.float32] | None
    center: NDArray[np.float32] | None
    params: dict[str, Any]
    coverage: dict[str, Any]
    versions: dict[str, str]


def compute_gene_semantics(
    table: AnnData, options: SemanticsOptions | None = None, *, problems: Problems | None = None, way_out: str = ""
) -> SemanticsResult:
    """Do what :func:`semst.pp.gene_semantics` does to a table, without writing anything into it.

    Parameters
    ----------
    table
        AnnData in memory.
    options
        The default is that of the public function.
    problems
        What the caller found wrong already; raised together with what is wrong here.
    way_out
        A sentence on what else the caller can do where no gene is known.

    Returns
    -------
    The vectors, parameters and coverage.

    Raises
    ------
    TypeError, KeyError, ValueError, OSError
        As the public function.
    """
    options = SemanticsOptions() if options is None else options
    problems = Problems(WHERE) if problems is None else problems
    no_encoder = "" if options.encoder is None else why_no_encoder(options.encoder)
    if no_encoder:
        message = f"{WHERE}: {no_encoder}"
        raise TypeError(message)
    faults = options.faults()
    for fault in faults:
        problems.add(fault)
    check_names(table, problems)
    counts = _read_counts(table, options, problems)
    if faults or table.n_vars == 0:
        # Names can only be looked up once the options say how, and if there are any.
        problems.raise_if_any()
    compute = _from_genes if options.mode == "genes" else _from_spots
    return compute(table, counts, options, problems, way_out)


def _from_genes(
    table: AnnData, counts: sparse.csr_matrix | None, options: SemanticsOptions, problems: Problems, way_out: str
) -> SemanticsResult:
    source = choose_source(table, options, problems, way_out=way_out)
    problems.raise_if_any()
    assert counts is not None  # else a problem was raised, here and below
    assert source is not None
    name, rows = source.read()
    genes = center_vectors(rows, source.match.rows)
    coverage = _coverage(counts, source.match)
    _report(coverage, table, wherefore="have vectors")
    if not genes.vectors.any():
        n_known = int(genes.known.sum())
        brought = source.names
        problems.add(nothing_left(n_known, brought) if brought else nothing_known(table, n_known, way_out=way_out))
        problems.raise_if_any()
    spot_vectors = pool(counts, genes.vectors, genes.known, weights=options.weights, n_top=options.n_top)
    params = _params(options, source=name, species=source.match.species, weights=options.weights, n_top=options.n_top)
    return SemanticsResult(spot_vectors, genes.vectors, genes.center, params, coverage, _versions(options))


def _from_spots(
    table: AnnData, counts: sparse.csr_matrix | None, options: SemanticsOptions, problems: Problems, way_out: str
) -> SemanticsResult:
    resolution = resolve_genes([str(name) for name in table.var_names], species=options.species)
    match = match_symbols(resolution)
    if not match.has_vector.any():
        problems.add(nothing_known(table, way_out=way_out))
    min_spots = default_min_spots(table.n_obs) if options.min_spots is None else int(options.min_spots)
    if counts is not None and counts.nnz and not (counts.getnnz(axis=0) >= min_spots).any():
        problems.add(f"no gene is seen in {min_spots} spots; lower `min_spots`.")
    problems.raise_if_any()
    assert counts is not None
    n_top = N_TOP if options.n_top is None else int(options.n_top)
    # A text says more with current symbols; names that are not recognised stay as they are.
    names = np.where(resolution.known, resolution.symbols, np.array(match.names))
    texts = prompts(*_by_name(counts, names), n_top=n_top, min_spots=min_spots)
    encoder = open_encoder(MINILM if options.encoder is None else options.encoder)
    spot_vectors = encode_cached(encoder, texts, cache_dir=options.cache_dir, progress=options.progress)
    coverage = _coverage(counts, match)
    _report(coverage, table, wherefore="have names that are known")
    params = _params(options, source=encoder.name, species=match.species, n_top=n_top, min_spots=min_spots)
    return SemanticsResult(spot_vectors, None, None, params, coverage, _versions(options))


def _by_name(counts: sparse.csr_matrix, names: NDArray[np.str_]) -> tuple[sparse.csr_matrix, list[str]]:
    """Add up the counts of genes of one name, so that no text names it twice."""
    from scipy import sparse

    different, first, where = np.unique(names, return_index=True, return_inverse=True)
    if different.size == names.size:
        return counts, names.tolist()
    order = np.argsort(first)  # as they come in the data
    place = np.argsort(order)[where]
    ones = np.ones(names.size, dtype=np.float32)
    member = sparse.csr_matrix((ones, (np.arange(names.size), place)), shape=(names.size, different.size))
    return sparse.csr_matrix(counts @ member), different[order].tolist()


def _read_counts(table: AnnData, options: SemanticsOptions, problems: Problems) -> sparse.csr_matrix | None:
    counts = read_counts(table, problems, layer=options.layer, integers=False)
    if counts is None or options.weights == "raw":
        return counts
    values = counts.data
    if np.isfinite(values).all() and not np.array_equal(values, np.rint(values)):
        way_out = " or take the values as they are with `weights='raw'`" if options.mode == "genes" else ""
        where = "X" if options.layer is None else f"layers[{options.layer!r}]"
        problems.add(
            f"{where} does not hold whole numbers (highest {values.max():g}), so it looks normalised or logged; "
            f"name the layer with raw counts with `layer`{way_out}."
        )
    return counts


def _coverage(counts: sparse.csr_matrix, match: Match) -> dict[str, Any]:
    per_gene = np.asarray(counts.sum(axis=0, dtype=np.float64)).ravel()
    used, recognised, ambiguous = match.has_vector, match.recognised, match.how == "ambiguous"
    ways, numbers = np.unique(match.how, return_counts=True)
    return {
        "genes": float(used.mean()),
        "counts": float(per_gene[used].sum() / per_gene.sum()),
        "n_genes": len(match.names),
        "n_with_vector": int(used.sum()),
        "n_recognised": int(recognised.sum()),
        "n_ambiguous": int(ambiguous.sum()),
        "n_unknown": int((~recognised & ~ambiguous).sum()),
        "n_spots_without": int((counts @ used.astype(np.float32) == 0).sum()),
        "without_vector": match.named(recognised & ~used),
        "ambiguous": match.named(ambiguous),
        "unknown": match.named(~recognised & ~ambiguous),
        "how": {str(way): int(number) for way, number in zip(ways, numbers, strict=True)},
    }


def _report(coverage: dict[str, Any], table: AnnData, *, wherefore: str) -> None:
    few = coverage["n_recognised"] < FEW_NAMES * coverage["n_genes"]
    logger.log(
        logging.WARNING if few else logging.INFO,
        "gene_semantics: %s of %s genes (%.1f %%), which carry %.1f %% of the counts, %s; "
        "%s are recognised, %s ambiguous (%s), %s unknown (%s).",
        coverage["n_with_vector"],
        coverage["n_genes"],
        100 * coverage["genes"],
        100 * coverage["counts"],
        wherefore,
        coverage["n_recognised"],
        coverage["n_ambiguous"],
        listed(coverage["ambiguous"], limit=3),
        coverage["n_unknown"],
        listed(coverage["unknown"], limit=3),
    )
    column = column_of_names(table) if few else None
    if column is not None:
        logger.warning(
            "gene_semantics: few names are recognised, but var[%r] holds symbols or Ensembl identifiers: %s.",
            column,
            how_to_take(column),
        )
    elif few:
        logger.warning(
            "gene_semantics: few names are recognised. Are var_names gene symbols or Ensembl identifiers of human or "
            "mouse? Else put such names there, name the species, or bring vectors of your own (`vectors`)."
        )
    if coverage["n_spots_without"]:
        logger.warning(
            "gene_semantics: %s none of the genes that have a vector.",
            counted(coverage["n_spots_without"], "spot expresses", "spots express"),
        )


def _params(options: SemanticsOptions, **applied: str | int | None) -> dict[str, str | int]:
    """Parameters for ``uns``, which can hold no None: what is left out was not given or does not apply."""
    everything = {"mode": options.mode, "layer": options.layer, **applied}
    return {name: value for name, value in everything.items() if value is not None and value != ""}


def _versions(options: SemanticsOptions) -> dict[str, str]:
    found = versions()
    if options.encoder is not None or options.mode == "spots":
        found |= {package: version(package) for package in ("sentence-transformers", "transformers")}
    return found

"""What a semantic control reads of a table, and what it needs to be worth its time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from semst._batch_key import slice_column
from semst._inputs import read_counts, read_matrix
from semst._keys import IN_CONTROL, SEMANTICS, SPATIAL, ControlKeys
from semst._labels import empty_as_missing
from semst._problems import Problems, listed
from semst._results import check_untaken
from semst.pp._compute_semantics import compute_gene_semantics
from semst.pp._gene_semantics import written_params
from semst.pp._pool import Pooling
from semst.pp._semantics_options import SemanticsOptions

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from semst.control._options import ControlOptions

logger = logging.getLogger("semst")

_FEWEST_SPOTS = 11  # ten neighbours and the spot itself, for PAS
_FEWEST_VECTORS = 10  # of fewer, a permutation may well be none
_FEWEST_MOLECULES = 100  # held out


def read_labels(table: AnnData, key: str | None, problems: Problems) -> pd.Series | None:
    """Read experts' labels; None where none are wanted, or ``problems`` says why not."""
    if key is None:
        return None
    if key not in table.obs:
        problems.missing(f"no labels obs[{key!r}]; obs has {listed(table.obs.columns)}, or leave `labels` out.")
        return None
    labels = empty_as_missing(table.obs[key])
    if labels.nunique() < 2:
        problems.add(f"obs[{key!r}] must hold at least two labels, got {listed(labels.dropna().unique())}.")
    return labels


def read_meaning(table: AnnData, options: ControlOptions, problems: Problems) -> Pooling | None:
    """Read gene vectors, and how they were pooled; None where they are still to be made."""
    key = options.semantics_key
    if key not in table.varm:
        if key in table.obsm:
            problems.missing(
                f"obsm[{key!r}] has no gene vectors beside it in varm[{key!r}], so there is nothing to permute among "
                "genes; make some with `semst.pp.gene_semantics(adata, key_added='genes')` and name them with "
                "`semantics_key='genes'`."
            )
        elif key != SEMANTICS.base:
            problems.missing(
                f"no gene vectors: varm[{key!r}] is missing; varm has {listed(table.varm)}. "
                f"Make them with `semst.pp.gene_semantics(adata, key_added={key!r})`."
            )
        return None
    vectors = read_matrix(table, "varm", key, problems, way_out="; run `semst.pp.gene_semantics` again")
    if vectors is None:
        return None
    params = written_params(table, key)
    readable = options.layer is None or options.layer in table.layers  # if not, that is noted elsewhere
    if key in table.uns and readable and params.get("layer") != options.layer:
        source, wanted = (
            "X" if layer is None else f"layers[{layer!r}]" for layer in (params.get("layer"), options.layer)
        )
        problems.add(
            f"{key!r} was pooled from {source}, but the counts are those of {wanted}; give both the same `layer`."
        )
    return Pooling.of(vectors, params)


def compute_meaning(table: AnnData, options: ControlOptions, problems: Problems) -> Pooling:
    """Make the default gene vectors; where nothing is known of the genes, that is raised with all problems."""
    logger.info("no gene vectors in varm[%r]: those of semst.pp.gene_semantics by default are used.", SEMANTICS.base)
    computed = compute_gene_semantics(
        table,
        SemanticsOptions(layer=options.layer, progress=False),
        problems=problems,
        way_out=" Without a meaning there is nothing to test.",
    )
    assert computed.gene_vectors is not None  # the default mode makes them
    return Pooling(computed.gene_vectors)


def check_name(table: AnnData, options: ControlOptions, problems: Problems) -> None:
    """Note a name under which the result would take the place of semantics, or of what semst did not write."""
    key = options.key_added
    if key in (SEMANTICS.base, options.semantics_key, SPATIAL.coordinates, options.spatial_key):
        problems.add(f"key_added={key!r} is a name that coordinates or semantics have; choose another name.")
        return
    place = ("uns", ControlKeys(key).uns)
    check_untaken(table, key, [place], problems, known_by=(IN_CONTROL.runs, IN_CONTROL.verdict))


def check_spots(table: AnnData, options: ControlOptions, problems: Problems) -> None:
    """Note a tissue, or a slice, too small for spatial coherence."""
    if table.n_obs < _FEWEST_SPOTS:
        problems.add(f"at least {_FEWEST_SPOTS} spots are needed to measure spatial coherence, got {table.n_obs}.")
        return
    column = None if options.batch_key is None else slice_column(table, options.batch_key, problems)
    if column is None:
        return
    sizes = column.value_counts()
    least = int(sizes[sizes > 0].min())  # a category may have no spot
    if least < _FEWEST_SPOTS:
        problems.add(
            f"at least {_FEWEST_SPOTS} spots are needed in each slice to measure spatial coherence, got {least}."
        )


def check_molecules(table: AnnData, options: ControlOptions, problems: Problems) -> None:
    """Note counts of which too few would be held out."""
    noted = len(problems)
    counts = read_counts(table, problems, layer=options.layer)
    if counts is None or len(problems) > noted or not options.has_share:
        return
    in_spot = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    expected = float(in_spot[in_spot > 1].sum()) * options.held_out  # a lone molecule is never taken
    if expected < _FEWEST_MOLECULES:
        problems.add(
            f"about {expected:.0f} molecules would be held out, too few to judge domains (at least "
            f"{_FEWEST_MOLECULES}); raise `held_out`."
        )


def check_vectors(meaning: Pooling, problems: Problems) -> None:
    """Note too few vectors to permute them."""
    n_known = int(meaning.known.sum())
    if n_known < _FEWEST_VECTORS:
        problems.add(f"at least {_FEWEST_VECTORS} genes with a vector are needed to permute them, got {n_known}.")
